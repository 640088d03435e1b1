import { flush, gate } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { httpCache } from "@hotset/http";
import { purgeHandler } from "@hotset/http/fetch";
import { Site, valueOf } from "./site.ts";

const FRESH = { "cache-control": "max-age=60" };
const SERVER = { base: "https://shop.example" };

describe("what is not in the key cannot shape what is stored", () => {
  it("H80 the handler of a shared load sees only harmless fields, and the Host of the key", async () => {
    const site = new Site(SERVER).counts(FRESH);
    const poison = {
      host: "evil.example",
      "x-forwarded-host": "evil.example",
      "x-original-host": "evil.example",
      origin: "https://evil.example",
      cookie: "user=1",
      "user-agent": "curl",
      accept: "text/html",
      traceparent: "00-1-1-01",
    };
    await site.get({ fields: poison });
    expect(site.seen[0]!.request.fields).toEqual([
      ["accept", "text/html"],
      ["traceparent", "00-1-1-01"],
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
    expect((await site.ask({ fields: { accept: "*/*" } }))[0]).toBe("undefined");
    expect(site.loads).toBe(3);
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
    ["accept", "1", 1],
    ["x-forwarded-host", "2", 2],
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
    for (const url of ["https://[", "no url", "https://shop.example/\ud800", `https://shop.example/${"a".repeat(600)}`])
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
    [{ mode: "both" }, "mode must be one of shared, private"],
    [{ setCookie: "keep" }, "setCookie must be one of refuse, strip, store"],
    [{ maxBodyBytes: -1 }, "maxBodyBytes must be a whole number"],
    [{ loadTimeout: "soon" }, "loadTimeout must be milliseconds"],
    [{ base: "https://shop.example/path" }, "base must be an origin"],
    [{ hosts: ["http://["] }, "hosts must be an origin"],
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
    ["no URL", "Invalid URL", '{"prefixes":["/books"]}'],
  ])("H76 refuses %s: %s", async (_, error, body) => {
    const handler = purgeHandler(new Site({ ...SERVER, pathTags: true }).http, { authorize: () => true });
    const answer = await handler(new Request("https://shop.example/purge", { method: "POST", body }));
    expect([answer.status, await answer.json()]).toEqual([400, { error }]);
    expect((await handler(new Request("https://shop.example/purge"))).status).toBe(405);
  });
});
