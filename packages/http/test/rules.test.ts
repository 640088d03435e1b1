import { httpCache, readRules, type HttpCacheOptions, type HttpRule, type PlainRequest } from "@hotset/http";
import { flush } from "@hotset/testing";
import { describe, expect, it, onTestFinished } from "vitest";
import { requestTest, responseTest } from "../src/cache/matching.ts";
import { Site, valueOf, type Given } from "./site.ts";

const FRESH = { "cache-control": "max-age=60" };

describe("matches", () => {
  const request = (path: string, fields: Record<string, string> = {}, method = "GET"): PlainRequest => ({
    method,
    url: `https://shop.example${path}`,
    fields: Object.entries(fields),
    hasBody: false,
  });

  it.each<[unknown, string, unknown]>([
    [{}, "/", {}],
    [{ path: "/books/{id}" }, "/books/1?x", { id: "1" }],
    [{ path: "/books/{id}" }, "/books/", undefined],
    [{ path: "/books/{id}" }, "/books/1/2", undefined],
    [{ path: "/books/{id}" }, "/books/a%2Fb", { id: "a%2Fb" }],
    [{ path: ["/a", "/static/{rest}*"] }, "/static/x/y.css", { rest: "x/y.css" }],
    [{ path: "/static/{rest}*" }, "/static/", { rest: "" }],
    [{ path: "/a.b" }, "/acb", undefined],
    [{ method: ["HEAD"] }, "/", undefined],
    [{ query: { a: "1" } }, "/?a=1&b=2", {}],
    [{ query: { a: true } }, "/?b", undefined],
    [{ query: { a: false } }, "/?b", {}],
  ])("H21 H92 %j of %s: %j", (match, path, expected) => {
    expect(requestTest("match", match)(request(path))).toEqual(expected);
  });

  it.each<[unknown, string | undefined, boolean]>([
    ["a", "a", true],
    ["a", "A", false],
    [true, "", true],
    [false, undefined, true],
    [{ regex: "^h.*o$" }, "hello", true],
    [{ regex: "^x" }, "hello", false],
    [{ regex: "" }, undefined, false],
  ])("H92 the field matches %j: %j %s", (test, value, expected) => {
    const fields: Record<string, string> = value === undefined ? {} : { "x-a": value };
    expect(requestTest("match", { header: { "X-A": test } })(request("/", fields)) !== undefined).toBe(expected);
  });

  it.each<[unknown, number, Record<string, string>, boolean]>([
    [{ status: [200, "4xx"] }, 404, {}, true],
    [{ status: [200, "4xx"] }, 301, {}, false],
    [{ status: [[500, 599]] }, 503, {}, true],
    [{ contentType: ["application/json"] }, 200, { "content-type": "Application/JSON; charset=utf-8" }, true],
    [{ contentType: ["text/*"] }, 200, { "content-type": "image/png" }, false],
    [{ contentType: ["text/*"] }, 200, {}, false],
  ])("H21 H92 the response matches %j: %d %j: %s", (match, status, fields, expected) => {
    expect(responseTest("store", match)({ status, fields: Object.entries(fields) })).toBe(expected);
  });

  it("is refused in place of the cache, which comes first", () => {
    expect(() => Reflect.apply(httpCache, undefined, [{ rules: [] }])).toThrow(
      "httpCache: begin with a cache or a namespace: httpCache(cache, options)",
    );
  });

  it.each<[unknown, string]>([
    ["all", "rules must be an array"],
    [[1], "rules[0] must be an object, got 1"],
    [
      [{ macth: {} }],
      'rules[0]: unknown property "macth"; did you mean match?; accepted: key, partition, store, defaults, override, tags, clientCacheControl, name, match, pass',
    ],
    [[{}, { match: { path: "books" } }], 'rules[1].match.path must begin with "/"'],
    [[{ match: { path: "/a{id}" } }], "rules[0].match.path: a parameter is a whole segment"],
    [[{ match: { path: "/{a}*/b" } }], "rules[0].match.path: a parameter is a whole segment"],
    [[{ match: { path: "/{a}/{a}" } }], "rules[0].match.path must be"],
    [[{ match: { method: "GET" } }], 'rules[0].match.method must be an array, such as ["GET"], got "GET"'],
    [[{ match: { header: { a: { in: ["b"] } } } }], 'rules[0].match.header.a: unknown property "in"; accepted: regex'],
    [[{ match: { header: { a: { regex: "(" } } } }], "rules[0].match.header.a.regex must be the source"],
    [[{ store: { status: [2] } }, { store: { status: ["6xx"] } }], "rules[1].store.status[0] must be a code"],
    [[{ defaults: { ttl: "soon" } }], "rules[0].defaults.ttl must be milliseconds"],
    [
      [{ defaults: { tll: "1m" } }],
      'rules[0].defaults: unknown property "tll"; did you mean ttl?; accepted: ttl, staleWhileRevalidate, staleIfError',
    ],
    [[{ tags: ["book:{id}"] }], "rules[0].tags[0]: {id} is not a parameter"],
    [[{ pass: "yes" }], "rules[0].pass must be true or false"],
    [[{ clientCacheControl: "a\nb" }], "rules[0].clientCacheControl must be"],
    [[{ store: "x" }], "rules[0].store must be an object"],
    [[{ partition: "x" }], "rules[0].partition must be a function"],
    [[{ key: { query: "some" } }], "rules[0].key.query must be an object"],
  ])("H92 %j is refused: %s", (rules, message) => {
    expect(() => readRules(rules)).toThrow(`httpCache: ${message}`);
    const { cache } = new Site();
    expect(() => httpCache(cache.namespace("x"), { rules: rules as never })).toThrow(`httpCache: ${message}`);
  });
});

describe("rules", () => {
  const served = async (site: Site, ...asked: readonly Given[]): Promise<readonly string[]> => {
    const bodies: string[] = [];
    for (const given of asked) bodies.push((await site.ask(given))[0]);
    return bodies;
  };
  const withRules = (rules: unknown, options: HttpCacheOptions = {}): Site =>
    new Site({ ...options, rules: readRules(JSON.parse(JSON.stringify(rules))) });

  it("H92 the first that matches counts, and what none matches is forwarded", async () => {
    const site = withRules([
      { name: "me", match: { path: "/me/{rest}*" }, pass: true },
      { name: "books", match: { path: "/{kind}/{id}" }, defaults: { ttl: "10s" }, tags: ["{kind}:{id}"] },
    ]).counts({});
    const asked = [{ path: "/me/1" }, { path: "/me/1" }, { path: "/books/1" }, { path: "/books/1" }, { path: "/" }];
    expect(await served(site, ...asked)).toEqual(["1", "2", "3", "3", "4"]);
    expect(site.events.map(({ rule, notStored }) => [rule, notStored])).toEqual([
      [undefined, "rule"],
      [undefined, "rule"],
      ["books", undefined],
      ["books", undefined],
      [undefined, "rule"],
    ]);
    await site.http.purgeTags(["books:1"]);
    expect(await served(site, { path: "/books/1" })).toEqual(["5"]);
    site.clock.advance(10_000);
    expect(await served(site, { path: "/books/1" })).toEqual(["6"]);
  });

  it("H92 a reload swaps all rules, or none", async () => {
    const site = withRules([{ match: { path: "/a" } }]).counts(FRESH);
    expect(await served(site, { path: "/a" }, { path: "/a" })).toEqual(["1", "1"]);
    expect(() => site.http.useRules([{ match: { path: "/b" } }, { match: { path: "b" } }])).toThrow("rules[1]");
    expect(await served(site, { path: "/a" }, { path: "/b" }, { path: "/b" })).toEqual(["1", "2", "3"]);
    site.http.useRules(readRules([{ match: { path: "/b" } }]));
    expect(await served(site, { path: "/a" }, { path: "/b" }, { path: "/b" })).toEqual(["4", "5", "5"]);
  });

  it("H21 only responses that match are stored, and the others are not buffered", async () => {
    const site = withRules([{ store: { status: ["2xx"], contentType: ["text/*"] } }]);
    const types: Record<string, string> = { "/text": "text/html", "/image": "image/png" };
    site.page = ({ url }) => ({
      fields: { ...FRESH, "content-type": types[new URL(url).pathname]! },
      body: new ReadableStream(
        {
          pull: (controller) => controller.enqueue(new TextEncoder().encode(`${site.loads}`)),
        },
        { highWaterMark: 0 },
      ),
    });
    const image = await site.get({ path: "/image" });
    expect(image.fields["cache-status"]).toBe("hotset; fwd=uri-miss; fwd-status=200; detail=rule");
    const reader = (image.body as ReadableStream<Uint8Array>).getReader();
    expect(new TextDecoder().decode((await reader.read()).value)).toBe("1");
    await reader.cancel();
    site.counts({ ...FRESH, "content-type": "text/html" });
    expect(await served(site, { path: "/text" }, { path: "/text" })).toEqual(["2", "2"]);
  });

  it("H21 a function decides, with the head alone", async () => {
    const seen: number[] = [];
    const site = new Site({ store: ({ status }) => (seen.push(status), status === 404) }).counts(FRESH);
    expect(await served(site, {}, {})).toEqual(["1", "2"]);
    site.counts(FRESH, { status: 404 });
    expect(await served(site, {}, {})).toEqual(["3", "3"]);
    expect(seen).toEqual([200, 200, 404]);
  });

  it("H21 a response of events is passed on as it comes", async () => {
    const site = new Site();
    site.page = () => ({
      fields: { ...FRESH, "content-type": "text/event-stream" },
      body: new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode("data: 1\n\n")) }),
    });
    const { body, fields } = await site.get();
    expect(new TextDecoder().decode((await (body as ReadableStream<Uint8Array>).getReader().read()).value)).toBe(
      "data: 1\n\n",
    );
    expect(fields["cache-status"]).toContain("detail=stream");
    expect((await site.get({ fields: { upgrade: "websocket" } })).fields["cache-status"]).toContain("detail=ambiguous");
  });

  const byClients: readonly [string | null, string | undefined][] = [
    ["no-cache", "no-cache"],
    [null, undefined],
  ];
  it.each(byClients)(
    "H28 clientCacheControl %j: clients get %j, and it changes nothing here",
    async (clientCacheControl, expected) => {
      const site = new Site({ clientCacheControl }).counts({ ...FRESH, expires: "0", etag: '"a"' });
      for (const given of [{}, {}, { fields: { "if-none-match": '"a"' } }]) {
        const { fields } = await site.get(given);
        expect([fields["cache-control"], fields["expires"]]).toEqual([expected, undefined]);
      }
      expect(site.loads).toBe(1);
      site.counts({ "cache-control": "no-store" });
      expect((await site.get({ path: "/other" })).fields["cache-control"]).toBe("no-store");
    },
  );

  it("H31 key names the query parameters that count", async () => {
    const site = withRules([
      { match: { path: "/search" }, key: { query: ["q", "page"], sortQuery: true } },
      { key: { query: "none" } },
    ]);
    site.counts(FRESH);
    const paths = ["/search?q=1&x=1&page=2", "/search?page=2&q=1", "/search?q=2", "/?a", "/?b"];
    expect(await served(site, ...paths.map((path) => ({ path })))).toEqual(["1", "1", "2", "3", "3"]);
    await site.http.purge("https://shop.example/search?page=2&utm=1&q=1");
    expect(await served(site, { path: paths[0]! }, { path: "/search?q=2" })).toEqual(["4", "2"]);
  });

  it("H31 persisted queries of GraphQL, whose hash is in `extensions`, are apart without a key", async () => {
    const site = new Site().counts(FRESH);
    const path = (hash: string): string =>
      `/graphql?operationName=a&extensions=${encodeURIComponent(`{"persistedQuery":{"sha256Hash":"${hash}"}}`)}`;
    expect(await served(site, { path: path("a") }, { path: path("b") }, { path: path("a") })).toEqual(["1", "2", "1"]);
  });

  it("H31 No-Vary-Search merges what it covers, and never what was stored without it", async () => {
    const site = new Site({ noVarySearch: true }).counts(FRESH);
    const paths = ["/a?q=1&x=1", "/a?q=1&x=2"];
    expect(await served(site, { path: paths[0]! })).toEqual(["1"]);
    site.counts({ ...FRESH, "no-vary-search": 'params=("x")' });
    // The first response with the field says where those of its path are.
    expect(await served(site, { path: paths[1]! }, { path: paths[1]! })).toEqual(["2", "3"]);
    expect(await served(site, ...paths.map((path) => ({ path })), { path: "/a?q=2" })).toEqual(["3", "3", "4"]);
    await site.get({ method: "POST", path: "/a?q=1&x=9" });
    expect(await served(site, { path: paths[0]! })).toEqual(["6"]);
    await site.http.purge("https://shop.example/a?q=1&x=7");
    expect(await served(site, { path: paths[1]! })).toEqual(["7"]);
  });

  it("H32 keeps tenants apart, and forwards where there is none", async () => {
    const site = new Site({
      base: "https://shop.example",
      safeHeaders: ["x-tenant"],
      partition: (request) => {
        const tenant = valueOf(request, "x-tenant");
        if (tenant === "broken") throw new Error("no such tenant");
        return tenant;
      },
    });
    site.page = (request) => ({
      fields: { ...FRESH, vary: "accept" },
      body: `${valueOf(request, "x-tenant")} ${site.loads}`,
    });
    const of = (tenant?: string, accept = "a"): Given => ({
      fields: { accept, ...(tenant !== undefined && { "x-tenant": tenant }) },
    });
    expect(await served(site, of("a"), of("b"), of("a"), of("b"))).toEqual(["a 2", "b 3", "a 2", "b 3"]);
    expect(await served(site, of(), of(), of("broken"), of("broken"))).toEqual([
      "undefined 4",
      "undefined 5",
      "broken 6",
      "broken 7",
    ]);
    expect(site.http.stats().passed).toEqual({ rule: 4 });
    await site.http.purge("https://shop.example/");
    expect(await served(site, of("a"), of("b"))).toEqual(["a 8", "b 9"]);
    await site.http.purge("https://shop.example/", { soft: true });
    expect((await site.ask(of("a")))[1]).toContain("fwd=stale");
    await site.get({ method: "DELETE", ...of("a") });
    expect(await served(site, of("a"), of("b"))).toEqual(["a 12", "b 13"]);
  });

  describe.each<[string, () => never]>([
    [
      "throws",
      () => {
        throw new Error("broken");
      },
    ],
    ["gives a promise", () => Promise.reject(new Error("broken")) as never],
  ])("a function that %s", (_, broken) => {
    it.each<[string, HttpCacheOptions]>([
      ["match", { rules: [{ match: broken }] }],
      ["match, in front of a rule that matches,", { rules: [{ match: broken, pass: true }, {}] }],
      ["store", { store: broken }],
      ["store of a rule", { rules: [{ store: broken }] }],
      ["partition", { partition: broken }],
    ])("H92 as %s stores nothing", async (_name, options) => {
      const unhandled: unknown[] = [];
      const note = (error: unknown): void => void unhandled.push(error);
      process.on("unhandledRejection", note);
      onTestFinished(() => void process.off("unhandledRejection", note));
      const site = new Site(options).counts({ ...FRESH, "content-location": "/" });
      expect(await served(site, {}, {}, { method: "POST" })).toEqual(["1", "2", "3"]);
      expect(site.http.stats().passed).toEqual({ rule: 2, method: 1 });
      await new Promise((resolve) => void setImmediate(resolve));
      expect(unhandled).toEqual([]);
    });
  });

  it("H33 a value that normalise throws for, or gives a promise for, selects as it came", async () => {
    const languageOf = (value: string): string => {
      if (value === "late") return Promise.reject(new Error("broken")) as never;
      return new Intl.Locale(value).language;
    };
    const site = new Site({ normalise: { "Accept-Language": languageOf } });
    site.counts({ ...FRESH, vary: "accept-language" });
    const of = (value: string): Given => ({ fields: { "accept-language": value } });
    expect(await served(site, of("de-DE"), of("de-AT"), of("en-GB"))).toEqual(["1", "1", "2"]);
    expect(await served(site, of("*"), of("late"), of("*"), of("late"))).toEqual(["3", "4", "3", "4"]);
  });

  it("H92 a store that gives no true stores nothing", async () => {
    const site = new Site({ store: (() => undefined) as never }).counts(FRESH);
    expect(await served(site, {}, {})).toEqual(["1", "2"]);
  });

  it("H92 a function that gives a promise of invalidatedBy or cacheStatus ends no process", async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => void unhandled.push(error);
    process.on("unhandledRejection", note);
    onTestFinished(() => void process.off("unhandledRejection", note));
    const late = () => Promise.reject(new Error("broken")) as never;
    const site = new Site({ invalidatedBy: late, cacheStatus: late }).counts(FRESH);
    expect(await served(site, {}, { method: "POST" }, {})).toEqual(["1", "2", "3"]);
    await new Promise((resolve) => void setImmediate(resolve));
    expect(unhandled).toEqual([]);
  });

  it("H77 a cacheStatus that throws fails no answer", async () => {
    const cacheStatus = (): never => {
      throw new Error("broken");
    };
    const site = new Site({ cacheStatus }).counts(FRESH);
    expect([await site.ask(), await site.ask()]).toEqual([
      ["1", undefined],
      ["1", undefined],
    ]);
  });

  it("H32 H84 a URL that is too long for a tag is not stored for a tenant, and purging it fails nothing", async () => {
    const site = new Site({ key: { header: ["x-tenant"] } }).counts(FRESH);
    const path = `/${"a".repeat(1_100)}`;
    expect(await served(site, { path, fields: { "x-tenant": "a" } }, { path, fields: { "x-tenant": "a" } })).toEqual([
      "1",
      "2",
    ]);
    expect(await site.http.purge(`https://shop.example${path}`)).toEqual({ status: "done" });
  });

  it("H32 H38 a load of a tenant that began before a purge stores nothing that is found", async () => {
    const site = new Site({ key: { header: ["x-tenant"] } }).counts({ ...FRESH, vary: "accept" });
    const given = { fields: { "x-tenant": "a", accept: "a" } };
    await site.get({ fields: { "x-tenant": "a", accept: "b" } });
    const count = site.page;
    site.page = async (request, context) => {
      const page = await count(request, context);
      await site.http.purge("https://shop.example/");
      return page;
    };
    await site.get(given);
    await flush();
    site.page = count;
    expect((await site.ask(given))[0]).toBe("3");
  });

  it("H29 H80 fields and cookies of the key keep responses apart, and the handler sees no others", async () => {
    const site = withRules([{ key: { header: ["x-plan"], cookie: ["theme"] } }], { base: "https://shop.example" });
    site.counts(FRESH);
    const of = (cookie: string, plan = "free"): Given => ({ fields: { cookie, "x-plan": plan } });
    const asked = [
      of("theme=dark; id=1"),
      of("id=2; theme=dark"),
      of("theme=light"),
      of("theme=dark", "paid"),
      of("id=3"),
    ];
    expect(await served(site, ...asked)).toEqual(["1", "1", "2", "3", "4"]);
    expect(site.seen.map(({ request }) => [valueOf(request, "cookie"), valueOf(request, "x-plan")])).toEqual([
      ["theme=dark", "free"],
      ["theme=light", "free"],
      ["theme=dark", "paid"],
      [undefined, "free"],
    ]);
  });

  it("H92 what a rule does not say the options of the cache say", async () => {
    const rules: readonly HttpRule[] = [{ match: { path: "/a" }, defaults: { ttl: 1_000 } }, {}];
    const site = new Site({ defaults: { ttl: 9_000 }, rules }).counts({});
    for (const path of ["/a", "/b"]) await site.get({ path });
    site.clock.advance(1_000);
    expect(await served(site, { path: "/a" }, { path: "/b" })).toEqual(["3", "2"]);
  });
});
