import { httpCache, type HttpCacheOptions } from "@hotset/http";
import { purgeHandler } from "@hotset/http/fetch";
import { flush, gate } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { Site, valueOf } from "./site.ts";

const FRESH = { "cache-control": "max-age=60" };
const SERVER = { base: "https://shop.example" };

describe("what is not in the key cannot shape what is stored", () => {
  it("H80 H101 the handler of a shared load sees no field that is not in the key, and the Host of that", async () => {
    const site = new Site(SERVER).counts(FRESH);
    const poison = {
      host: "evil.example",
      "x-forwarded-host": "evil.example",
      "x-original-host": "evil.example",
      origin: "https://evil.example",
      cookie: "user=1",
      "user-agent": "curl",
      accept: "text/html",
      "accept-language": "de",
      "accept-encoding": "br",
      traceparent: "00-1-1-01",
      "x-request-id": "<script>",
      via: "1.1 <script>",
    };
    await site.get({ fields: poison });
    expect(site.seen[0]!.request.fields).toEqual([
      ["accept-encoding", "br"],
      ["host", "shop.example"],
    ]);
    expect(site.seen[0]!.context.shared).toBe(true);
  });

  it("H80 lets further names through, and all of them where it is off", async () => {
    const fields = { "x-country": "de", "x-a": "1" };
    const some = new Site({ ...SERVER, safeHeaders: ["X-Country"] }).counts(FRESH);
    const all = new Site({ ...SERVER, safeHeaders: false }).counts(FRESH);
    const client = new Site().counts(FRESH);
    for (const site of [some, all, client]) await site.get({ fields });
    const seen = (site: Site): readonly unknown[] =>
      ["x-country", "x-a"].map((name) => valueOf(site.seen[0]!.request, name));
    expect([seen(some), seen(all), seen(client)]).toEqual([
      ["de", undefined],
      ["de", "1"],
      ["de", "1"],
    ]);
  });

  it("H80 an answer that is not stored is made again for its own client, with all of its fields", async () => {
    const site = new Site(SERVER);
    site.page = (request) => ({ fields: { "cache-control": "private" }, body: `${valueOf(request, "cookie")}` });
    expect((await site.ask({ fields: { cookie: "user=1" } }))[0]).toBe("user=1");
    expect(site.seen.map(({ context }) => context.shared)).toEqual([true, false]);
    // Nothing was withheld, so there is nothing to make again.
    expect((await site.ask({ fields: { connection: "keep-alive" } }))[0]).toBe("undefined");
    expect(site.loads).toBe(3);
  });

  it.each<[string, Record<string, string>]>([
    ["an ETag alone", { etag: '"a"' }],
    ["a time of change alone", { "last-modified": "Sat, 01 Jan 2000 00:00:00 GMT" }],
    ["no-cache", { "cache-control": "no-cache, max-age=60", etag: '"a"' }],
    ["max-age=0", { "cache-control": "max-age=0", etag: '"a"' }],
  ])("H95 an answer with %s that was made without a cookie is for no client that sent one", async (_, fields) => {
    const site = new Site(SERVER);
    site.page = (request) => ({ fields, body: valueOf(request, "cookie") ?? "nobody" });
    expect((await site.ask())[0]).toBe("nobody");
    for (const cookie of ["user=ann", "user=bob", "user=ann"])
      expect((await site.ask({ fields: { cookie } }))[0]).toBe(cookie);
    // Where the server says that it knows its copy, too.
    site.page = (request) =>
      valueOf(request, "cookie") === undefined ? { status: 304, fields } : { fields, body: "bob's" };
    site.clock.advance(60_000);
    expect((await site.ask({ fields: { cookie: "user=bob" } }))[0]).toBe("bob's");
  });

  it("H80 a query parameter that is not in the key reaches no handler of a shared load", async () => {
    const site = new Site({ ...SERVER, key: { query: { except: ["utm_*"] } } });
    site.page = (request) => ({ fields: FRESH, body: new URL(request.url).search });
    expect((await site.ask({ path: "/?a=%2f&utm_content=<script>" }))[0]).toBe("?a=%2f");
    expect(await site.ask({ path: "/?a=%2F" })).toEqual(["?a=%2f", "hotset; hit; ttl=60"]);
    // One that is not stored is made again with all of it.
    site.page = (request) => ({ fields: { "cache-control": "private" }, body: new URL(request.url).search });
    expect((await site.ask({ path: "/b?utm_source=x" }))[0]).toBe("?utm_source=x");
  });

  it("H80 asks again with a field that Vary names and the handler has not seen", async () => {
    const site = new Site(SERVER);
    site.page = (request) => ({ fields: { ...FRESH, vary: "x-country" }, body: `${valueOf(request, "x-country")}` });
    const ask = async (country: string): Promise<string> => (await site.ask({ fields: { "x-country": country } }))[0];
    expect([await ask("de"), await ask("at"), await ask("de")]).toEqual(["de", "at", "de"]);
    expect(site.loads).toBe(3);
  });

  it("H58 H80 a HEAD with fields of its client changes nothing that is stored", async () => {
    const site = new Site(SERVER).counts(FRESH, { body: "hello" });
    await site.get();
    site.clock.advance(60_000);
    site.page = (request) => ({ fields: { ...FRESH, link: `<https://${valueOf(request, "x-forwarded-host")}/>` } });
    const head = await site.get({ method: "HEAD", fields: { "x-forwarded-host": "evil.example" } });
    expect(head.fields["link"]).toBe("<https://evil.example/>");
    expect((await site.get()).fields["link"]).toBe("<https://undefined/>");
    expect(site.loads).toBe(3);
  });

  it.each([
    ["connection", "1", 1],
    ["accept", "2", 2],
  ])("H20 H80 an answer to a POST with %s: then a GET gets %s", async (name, body, loads) => {
    const site = new Site(SERVER).counts({ ...FRESH, "content-location": "/" });
    await site.get({ method: "POST", fields: { [name]: "evil.example" } });
    expect((await site.ask())[0]).toBe(body);
    expect(site.loads).toBe(loads);
  });

  it("H80 each of 100 parallel callers with a cookie gets its page, and what is stored is of none", async () => {
    const site = new Site(SERVER);
    const loading = gate();
    site.page = async (request) => {
      await loading.pass();
      const cookie = valueOf(request, "cookie");
      return cookie === undefined
        ? { fields: { ...FRESH, "set-cookie": "session=new" }, body: "stranger" }
        : { fields: { ...FRESH, "set-cookie": "session=old" }, body: cookie };
    };
    const answers = Array.from({ length: 100 }, (_, i) => site.ask({ fields: { cookie: `user=${i}` } }));
    await loading.arrived();
    loading.open();
    expect((await Promise.all(answers)).map(([body]) => body)).toEqual(
      Array.from({ length: 100 }, (_, i) => `user=${i}`),
    );
    expect((await site.ask())[0]).toBe("stranger");
  });
});

describe("how often a handler runs for answers that are not stored", () => {
  const BROWSER = { cookie: "user=1", "user-agent": "Mozilla/5.0", "sec-fetch-mode": "navigate" };

  it.each<[string, Record<string, string>, Record<string, string>, number]>([
    ["private", { "cache-control": "private" }, { connection: "keep-alive" }, 10],
    ["private", { "cache-control": "private" }, BROWSER, 11],
    ["Vary: Cookie", { ...FRESH, vary: "cookie" }, BROWSER, 11],
    ["Vary: User-Agent", { ...FRESH, vary: "user-agent" }, BROWSER, 11],
    ["Set-Cookie", { ...FRESH, "set-cookie": "sid=1" }, BROWSER, 11],
    ["an ETag alone", { etag: '"a"' }, BROWSER, 11],
    ["event stream", { "content-type": "text/event-stream" }, { ...BROWSER, accept: "text/event-stream" }, 10],
    ["a large body that says max-age", { ...FRESH, "content-length": "6000000" }, BROWSER, 10],
  ])("H94 10 requests, %s: once each, and once more for the first of a browser", async (_, fields, sent, runs) => {
    const site = new Site(SERVER);
    site.page = () => ({ fields, body: new Uint8Array(Number(fields["content-length"] ?? 1)) });
    for (let i = 0; i < 10; i++) await site.get({ fields: sent });
    expect(site.loads).toBe(runs);
  });

  it("H94 side by side as well: 20 clients of a page that is private are 21 runs", async () => {
    const site = new Site(SERVER);
    site.page = async (request) => {
      await flush();
      return { fields: { "cache-control": "private" }, body: valueOf(request, "cookie") ?? "nobody" };
    };
    const users = Array.from({ length: 20 }, (_, i) => `user=${i}`);
    const answers = await Promise.all(users.map((cookie) => site.ask({ fields: { cookie } })));
    expect(answers.map(([body]) => body)).toEqual(users);
    expect(site.loads).toBe(21);
  });

  it("H64 H94 the first answer that may be stored ends it, and a page that only seems so does not run twice", async () => {
    const site = new Site(SERVER).counts({ "cache-control": "private" });
    await site.get({ fields: BROWSER });
    site.counts(FRESH);
    await site.get({ fields: BROWSER });
    await site.get({ fields: BROWSER });
    expect((await site.ask({ fields: BROWSER }))[1]).toMatch(/^hotset; hit/);
    expect(site.loads).toBe(4);
    const mixed = new Site(SERVER);
    mixed.page = (request) => ({
      fields: { "cache-control": valueOf(request, "cookie") === undefined ? "private" : "max-age=60" },
    });
    for (let i = 0; i < 50; i++) await mixed.get({ fields: BROWSER });
    expect(mixed.loads).toBe(53);
    mixed.clock.advance(60_000);
    await mixed.get({ fields: BROWSER });
    expect(mixed.loads).toBe(55);
  });
});

describe("H13 H95 clients of a shared cache who send cookies", () => {
  const users = ["user=ann", "user=bob"];
  const answersTo = async (options: HttpCacheOptions, fields: Record<string, string>): Promise<readonly string[]> => {
    const site = new Site(options);
    site.page = (request) => ({ fields, body: valueOf(request, "cookie") ?? "nobody" });
    const bodies: string[] = [];
    for (const cookie of users) bodies.push((await site.ask({ fields: { cookie } }))[0]);
    return bodies;
  };

  it.each<[string, HttpCacheOptions, Record<string, string>, readonly string[]]>([
    ["freshness alone", {}, FRESH, users],
    ["freshness alone, without safeHeaders", { ...SERVER, safeHeaders: false }, FRESH, users],
    ["public", {}, { "cache-control": "public, max-age=60" }, ["user=ann", "user=ann"]],
    ["cookies that may select", { varyOn: ["cookie"] }, { ...FRESH, vary: "cookie" }, users],
    ["the cookie in the key", { key: { cookie: ["user"] } }, FRESH, users],
    ["another cookie in the key", { key: { cookie: ["theme"] } }, FRESH, users],
    ["a partition", { partition: () => "tenant" }, FRESH, ["user=ann", "user=ann"]],
    ["a cookie that is said to be safe", { ...SERVER, safeHeaders: ["cookie"] }, FRESH, ["user=ann", "user=ann"]],
    ["a private cache", { mode: "private" }, FRESH, ["user=ann", "user=ann"]],
  ])("a cookie counts as Authorization does: %s", async (_, options, fields, expected) => {
    expect(await answersTo(options, fields)).toEqual(expected);
  });
});

describe("what an attacker may try", () => {
  it("H81 an answer under a longer path is stored under that path alone", async () => {
    const site = new Site(SERVER);
    site.page = (request) => ({ fields: FRESH, body: new URL(request.url).pathname });
    const paths = ["/account", "/account/x.css", "/account;x.css", "/account%2Fx.css", "/account%00.css", "/Account"];
    for (const path of paths) await site.get({ path });
    for (const path of paths) expect((await site.ask({ path }))[0]).toBe(path);
    expect(site.loads).toBe(paths.length);
  });

  it("H37 no client fills a tier with variants", async () => {
    const site = new Site({ ...SERVER, maxVariants: 8 }).counts({ ...FRESH, vary: "accept-language" });
    for (let i = 0; i < 50; i++) await site.get({ fields: { "accept-language": `x-${i}` } });
    await flush();
    expect(site.cache.stats().tiers[0]!.entries).toBeLessThanOrEqual(9);
    const coded = new Site(SERVER).counts({ ...FRESH, vary: "accept-encoding", "content-encoding": "gzip" });
    for (let i = 0; i < 50; i++)
      await coded.get({ fields: { "accept-encoding": `${i % 2 === 0 ? "gzip" : "br"}, x-${i};q=0.${i}` } });
    expect(coded.loads).toBe(2);
    const cookies = new Site(SERVER).counts({ ...FRESH, vary: "cookie" });
    await cookies.get({ fields: { cookie: "a" } });
    expect(cookies.events[0]!.notStored).toBe("vary-unlisted");
  });

  it("H43 no client makes a server load by its Cache-Control", async () => {
    const site = new Site(SERVER).counts(FRESH);
    await site.get();
    for (const value of ["no-cache", "no-store", "max-age=0"]) await site.get({ fields: { "cache-control": value } });
    expect(site.loads).toBe(1);
  });

  it("H74 H84 forwards URLs that no key or tag can be made of", async () => {
    const site = new Site({ pathTags: true }).counts(FRESH);
    for (const url of [
      "https://[",
      "no url",
      "https://shop.example/\ud800",
      `https://shop.example/${"a".repeat(1_100)}`,
    ])
      expect((await site.get({ url })).status).toBe(200);
    expect((await site.get({ url: "https://[", method: "POST" })).status).toBe(200);
    expect(site.events.map(({ notStored }) => notStored)).toEqual([
      "ambiguous",
      "ambiguous",
      "ambiguous",
      "tags",
      "method",
    ]);
  });

  it("H84 forwards header bombs and long URLs, and counts them", async () => {
    const site = new Site(SERVER).counts(FRESH);
    await site.get({ fields: Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`x-${i}`, "1"])) });
    await site.get({ path: `/${"a".repeat(9_000)}` });
    expect(site.http.stats().passed).toEqual({ limits: 2 });
  });
});

describe("options", () => {
  it.each([
    [{ ttl: "1m" }, 'unknown option "ttl"'],
    [{ mode: "both" }, 'mode must be "shared" or "private", got "both"'],
    [{ setCookie: "keep" }, 'setCookie must be "refuse" or "strip" or "store"'],
    [{ maxBodyBytes: -1 }, "maxBodyBytes must be a whole number"],
    [{ loadTimeout: "soon" }, "loadTimeout must be milliseconds"],
    [{ trustProxy: "no" }, 'trustProxy must be true or false, got "no"'],
    [{ normalise: { accept: "lower" } }, "normalise.accept must be a function"],
    [{ cacheStatus: "no" }, 'cacheStatus must be true, false or a function, got "no"'],
    [{ base: "https://shop.example/path" }, "base must be an origin"],
    [{ hosts: ["http://["] }, "hosts must be an origin"],
    [{ hosts: "shop.example" }, 'hosts must be an array, such as ["shop.example"]'],
    [{ varyOn: "cookie" }, 'varyOn must be an array, such as ["cookie"]'],
    [{ varyOn: [1] }, "varyOn[0] must be a non-empty string, got 1"],
    [{ targetedFields: "x-cdn" }, 'targetedFields must be an array, such as ["x-cdn"]'],
    [{ safeHeaders: "yes" }, 'safeHeaders must be an array, such as ["yes"]'],
    [{ tagFields: { tags: ";" } }, 'tagFields.tags must be "," or " ", got ";"'],
    [{ tagFields: ["tags"] }, "tagFields must be an object, got an array"],
    [{ heuristic: true }, "heuristic must be an object, got true"],
    [{ heuristic: { fraction: "10%" } }, 'heuristic.fraction must be a number from 0 to 1, got "10%"'],
    [{ heuristic: { most: "1d" } }, 'heuristic: unknown property "most"'],
    [{ invalidatedBy: "POST" }, 'invalidatedBy must be an array, such as ["POST"]'],
  ])("refuses %j: %s", (options, message) => {
    const namespace = new Site().cache.namespace("x");
    expect(() => httpCache(namespace, options as never)).toThrow(message);
  });
});

describe("purging over the network", () => {
  const order = (body: unknown, method = "POST"): Request =>
    new Request("https://shop.example/page", { method, ...(body !== undefined && { body: JSON.stringify(body) }) });

  it("H76 is possible only through a handler that asks for leave first", async () => {
    const site = new Site(SERVER).counts({ ...FRESH, "cache-tag": "books" });
    await site.get({ path: "/page" });
    const closed = purgeHandler(site.http, { authorize: () => false });
    expect((await closed(order({ tags: ["books"] }))).status).toBe(403);
    await site.get({ path: "/page" });
    expect(site.loads).toBe(1);
    const open = purgeHandler(site.http, { authorize: () => true });
    const answer = await open(order({ tags: ["books"] }));
    expect([answer.status, await answer.json()]).toEqual([200, { status: "done" }]);
    await site.get({ path: "/page" });
    expect(site.loads).toBe(2);
    expect((await open(order(undefined, "PURGE"))).status).toBe(200);
    await site.get({ path: "/page" });
    expect(site.loads).toBe(3);
    await open(order({ urls: ["https://shop.example/page"], soft: true }));
    await site.get({ path: "/page" });
    expect(site.loads).toBe(4);
  });

  it("H76 PURGE names the URL as clients do, behind a proxy too", async () => {
    const purge = (url: string, host = "shop.example"): Request =>
      new Request(url, { method: "PURGE", headers: { host, "x-forwarded-proto": "https" } });
    for (const options of [{ base: "https://shop.example" }, { hosts: ["shop.example"], trustProxy: true }]) {
      const site = new Site(options).counts(FRESH);
      const given = { url: "http://10.0.0.1/page", fields: { host: "shop.example", "x-forwarded-proto": "https" } };
      const handler = purgeHandler(site.http, { authorize: () => true });
      await site.get(given);
      expect((await handler(purge("http://10.0.0.1/page"))).status).toBe(200);
      await site.get(given);
      expect(site.loads).toBe(2);
      if (options.base === undefined)
        expect((await handler(purge("http://10.0.0.1/page", "evil.example"))).status).toBe(400);
    }
  });

  it.each([
    "/page",
    "http://shop.example/page",
    "https://other.example/page",
    "https://shop.example.evil/page",
    "https://shop.example@evil/page",
    "ftp://shop.example/page",
    "",
  ])("H75 a purge that could purge nothing throws: %s", async (url) => {
    const { http } = new Site({ ...SERVER, base: "https://shop.example", pathTags: true });
    await expect(http.purge(url)).rejects.toThrow("purge takes a URL of https://shop.example, got");
    await expect(http.purgePrefix(url)).rejects.toThrow("purge takes a URL of https://shop.example, got");
  });

  it("H30 H75 a host without a scheme is that of both, and a purge reaches both", async () => {
    const site = new Site({ hosts: ["shop.example"] }).counts(FRESH);
    const ask = async (scheme: string): Promise<string> =>
      (await site.ask({ url: `${scheme}://inner/a`, fields: { host: "shop.example" } }))[0];
    const both = async (): Promise<readonly string[]> => [await ask("http"), await ask("https")];
    expect([await both(), await both()]).toEqual([
      ["1", "2"],
      ["1", "2"],
    ]);
    await site.http.purge("https://shop.example:443/a");
    expect(await both()).toEqual(["3", "4"]);
  });

  it("H75 H76 takes prefixes where paths are tags, and refuses them elsewhere", async () => {
    const site = new Site({ ...SERVER, pathTags: true }).counts(FRESH);
    const handler = purgeHandler(site.http, { authorize: () => true });
    await site.get({ path: "/books/1" });
    await site.get({ path: "/bookshelf" });
    expect((await handler(order({ prefixes: ["https://shop.example/books"] }))).status).toBe(200);
    await site.get({ path: "/bookshelf" });
    expect(site.loads).toBe(2);
    await site.get({ path: "/books/1" });
    expect(site.loads).toBe(3);
    const without = purgeHandler(new Site(SERVER).http, { authorize: () => true });
    const refused = await without(order({ prefixes: ["https://shop.example/books"] }));
    expect([refused.status, await refused.json()]).toEqual([
      400,
      { error: expect.stringContaining("pathTags: true") as string },
    ]);
  });

  it.each([
    ["no JSON", "the body must be JSON", "x"],
    ["a list", "the body must be an object", "[]"],
    ["another property", 'unknown property "all"; accepted are tags, urls, prefixes, soft', '{"all":true}'],
    ["no list", "tags, urls and prefixes must be arrays of non-empty strings", '{"tags":"books"}'],
    ["an empty tag", "tags, urls and prefixes must be arrays of non-empty strings", '{"tags":[""]}'],
    ["another flag", "soft must be true or false", '{"soft":"no"}'],
    ["no URL", 'httpCache: purge takes a URL of https://shop.example, got "/books"', '{"prefixes":["/books"]}'],
  ])("H76 refuses %s: %s", async (_, error, body) => {
    const handler = purgeHandler(new Site({ ...SERVER, pathTags: true }).http, { authorize: () => true });
    const answer = await handler(new Request("https://shop.example/purge", { method: "POST", body }));
    expect([answer.status, await answer.json()]).toEqual([400, { error }]);
    expect((await handler(new Request("https://shop.example/purge"))).status).toBe(405);
  });
});
