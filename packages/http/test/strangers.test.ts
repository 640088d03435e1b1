import type { HttpCacheOptions, PlainRequest } from "@hotset/http";
import { flush, gate } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { PARTS, isShaped, loadRequest } from "../src/cache/load-request.ts";
import { fedBody, Site, valueOf, type Page } from "./site.ts";
import { pages } from "./table-of-parts.ts";

const FRESH = { "cache-control": "max-age=60" };
const PUBLIC = { "cache-control": "public, max-age=60" };
const SERVER = { base: "https://shop.example" };
const BROWSER = { "user-agent": "Firefox" };

describe("errors are not shared", () => {
  it.each([401, 403, 407, 429, 500, 502, 503, 504])("H100 %d is not stored, even with max-age", async (status) => {
    const site = new Site(SERVER).counts(PUBLIC, { status });
    await site.get({ fields: BROWSER });
    site.counts(FRESH);
    const answer = await site.get({ fields: BROWSER });
    expect([answer.status, answer.fields["cache-status"]]).toEqual([
      200,
      "hotset; fwd=uri-miss; fwd-status=200; detail=status",
    ]);
  });

  it("H100 nor is one that a framework made of an error, with any status", async () => {
    const site = new Site(SERVER).counts(PUBLIC, { isFailure: true });
    expect((await site.ask())[1]).toBe("hotset; fwd=uri-miss; fwd-status=200; detail=status");
    expect((await site.ask())[1]).toBe("hotset; fwd=uri-miss; fwd-status=200; detail=status");
  });

  it("H100 is stored where `status` of a rule names it, and for no function", async () => {
    const named = new Site({ ...SERVER, store: { status: ["5xx", 200] } });
    const by = new Site({ ...SERVER, store: () => true });
    for (const site of [named, by]) {
      site.counts(PUBLIC, { status: 503 });
      await site.get();
    }
    expect((await named.ask())[1]).toBe("hotset; hit; ttl=60");
    expect(by.loads).toBe(1);
    await by.get();
    expect(by.loads).toBe(2);
  });

  it.each([400, 401, 403, 422, 429])("H100 %d replaces nothing that may still be served", async (status) => {
    const site = new Site(SERVER).counts({ "cache-control": "max-age=60, stale-if-error=600" });
    await site.get();
    site.clock.advance(60_000);
    site.counts(FRESH, { status, body: "refused" });
    expect((await site.get()).status).toBe(status);
    site.page = () => ({ status: 503 });
    const answer = await site.get();
    expect([answer.status, await answer.text()]).toEqual([200, "1"]);
  });

  it.each([404, 410])("H57 H100 %d does", async (status) => {
    const site = new Site(SERVER).counts({ "cache-control": "max-age=60, stale-if-error=600" });
    await site.get();
    site.clock.advance(60_000);
    site.counts({}, { status });
    await site.get();
    site.page = () => ({ status: 503 });
    expect((await site.get()).status).toBe(503);
  });
});

describe("what one client sends decides nothing for the others", () => {
  it.each(["cookie", "authorization", "accept", "accept-language", "accept-charset", "x-any"])(
    "H101 no load has %s of its client",
    async (name) => {
      const site = new Site(SERVER).counts(FRESH);
      await site.get({ fields: { [name]: "x" } });
      const inLoads = site.seen.filter(({ context }) => context.shared).map(({ request }) => valueOf(request, name));
      expect(inLoads).toEqual(name === "authorization" ? [] : [undefined]);
    },
  );

  it("H101 a request with Authorization runs alone, unless the field may be seen or is in the key", async () => {
    const runs = async (options: HttpCacheOptions): Promise<readonly (boolean | undefined)[]> => {
      const site = new Site({ ...SERVER, ...options });
      site.page = (request) => ({ fields: PUBLIC, body: valueOf(request, "authorization") ?? "nobody" });
      for (const authorization of ["ann", "ann"]) await site.get({ fields: { authorization } });
      expect((await site.ask({ fields: { authorization: "ann" } }))[0]).toBe("ann");
      return site.seen.map(({ context }) => context.shared);
    };
    expect(await runs({})).toEqual([false, false, false]);
    expect(await runs({ safeHeaders: ["authorization"] })).toEqual([true]);
    expect(await runs({ key: { header: ["authorization"] } })).toEqual([true]);
  });

  it("H101 a field by which others next to it vary is lent, and what it shaped unnamed is made again", async () => {
    const site = new Site(SERVER);
    site.page = (request): Page => {
      const { pathname } = new URL(request.url);
      const language = valueOf(request, "accept-language") ?? "none";
      return { fields: { ...FRESH, ...(pathname !== "/books/3" && { vary: "accept-language" }) }, body: language };
    };
    const ask = async (path: string): Promise<string> =>
      (await site.ask({ path, fields: { "accept-language": "de" } }))[0];
    expect([await ask("/books/1"), site.loads]).toEqual(["de", 2]);
    expect([await ask("/books/2"), site.loads]).toEqual(["de", 3]);
    expect([await ask("/books/3"), site.loads]).toEqual(["none", 5]);
    expect([await ask("/others/1"), site.loads]).toEqual(["de", 7]);
    site.clock.advance(60_000);
    expect([await ask("/books/3"), site.loads]).toEqual(["none", 8]);
  });

  it.each<[string, Page, readonly (string | undefined)[]]>([
    ["a plain page is for all", { fields: FRESH }, ["br"]],
    ["so is a plain redirect", { status: 301, fields: FRESH }, ["br"]],
    ["one that names it, too", { fields: { ...FRESH, "content-encoding": "br", vary: "accept-encoding" } }, ["br"]],
    [
      "one that is coded and does not is made again",
      { fields: { ...FRESH, "content-encoding": "br" } },
      ["br", undefined],
    ],
    ["so is an answer that is not a page", { status: 406, fields: FRESH }, ["br", undefined]],
  ])("H101 Accept-Encoding is lent: %s", async (_, page, seen) => {
    const site = new Site(SERVER);
    site.page = () => page;
    await site.get({ fields: { "accept-encoding": "br" } });
    expect(site.seen.map(({ request }) => valueOf(request, "accept-encoding"))).toEqual(seen);
    expect((await site.ask({ fields: { "accept-encoding": "br" } }))[1]).toMatch(/hit/);
  });

  const broken = (): never => {
    throw new Error("x");
  };
  it.each<[string, string, () => Page, number]>([
    ["throws on Accept-Encoding", "accept-encoding", broken, 2],
    ["answers 500 for it", "accept-encoding", () => ({ status: 500 }), 2],
    ["throws on a field by which others vary", "accept-language", broken, 4],
    ["fails with one", "accept-language", () => ({ isFailure: true, fields: FRESH }), 4],
  ])("H101 a handler that %s harms its client alone", async (_, name, fail, runs) => {
    const site = new Site(SERVER);
    site.page = ({ fields: seen }) =>
      seen.some(([, value]) => value === "x")
        ? fail()
        : { fields: { ...FRESH, vary: "accept-language" }, body: "page" };
    await site.get({ path: "/of-others", fields: { "accept-language": "de" } });
    const loads = site.loads;
    await site.get({ fields: { ...BROWSER, [name]: "x" } }).catch(() => undefined);
    expect(site.loads - loads).toBe(runs);
    const next = { fields: { ...BROWSER, "accept-encoding": "br", "accept-language": "de" } };
    expect((await site.ask(next))[1]).toMatch(/; stored$/);
    expect((await site.ask(next))[1]).toMatch(/hit/);
  });

  it("H101 what fails with a safe field is not remembered: the next client loads", async () => {
    const site = new Site({ ...SERVER, safeHeaders: ["x-token"] }).counts(FRESH);
    await site.get();
    site.clock.advance(60_000);
    const page = site.page;
    site.page = (request, context) => {
      if (valueOf(request, "x-token") !== undefined) throw new Error("bad token");
      return page(request, context);
    };
    expect((await site.ask({ fields: { "x-token": "junk" } }))[0]).toBe("1");
    expect((await site.ask({ fields: BROWSER }))[0]).toBe("3");
  });

  it("H101 nor is it where nothing is stored: others load, and that client runs alone", async () => {
    const site = new Site({ ...SERVER, safeHeaders: ["x-token"] }).counts(FRESH);
    const page = site.page;
    site.page = (request, context) => {
      if (valueOf(request, "x-token") === "junk") throw new Error("bad token");
      return page(request, context);
    };
    const junk = { fields: { ...BROWSER, "x-token": "junk" } };
    await expect(site.ask(junk)).rejects.toThrow("bad token");
    expect((await site.ask({ fields: { ...BROWSER, "x-token": "good" } }))[1]).toMatch(/; stored$/);
    expect((await site.ask({ fields: BROWSER }))[1]).toMatch(/hit/);
    await site.http.clear();
    await expect(site.ask(junk)).rejects.toThrow("bad token");
    expect(site.seen.map(({ context }) => context.shared)).toEqual([true, false, true, false]);
  });

  it("H49 a failure without fields of a client spares the origin", async () => {
    const site = new Site({ ...SERVER, safeHeaders: ["x-token"] }).counts(FRESH);
    await site.get();
    site.clock.advance(60_000);
    site.page = () => Promise.reject(new Error("down"));
    for (let i = 0; i < 5; i++) expect((await site.ask({ fields: BROWSER }))[0]).toBe("1");
    expect(site.loads).toBe(2);
  });

  it("H101 H104 behind a proxy, a load has the scheme and the host of its key, and no address", async () => {
    const site = new Site({ hosts: ["shop.example"], trustProxy: true }).counts(FRESH);
    await site.get({
      url: "http://localhost/",
      fields: {
        host: "10.0.0.7:3000",
        "x-forwarded-for": "6.6.6.6, 203.0.113.9",
        "x-forwarded-host": "evil.example, shop.example",
        "x-forwarded-proto": "https",
      },
    });
    const { url, fields } = site.seen[0]!.request;
    expect([url, Object.fromEntries(fields)]).toEqual([
      "https://shop.example/",
      {
        host: "shop.example",
        "x-forwarded-host": "shop.example",
        "x-forwarded-proto": "https",
      },
    ]);
    // One that came to it directly has the scheme, too: a redirect to https would be the page of all.
    const direct = new Site({ ...SERVER, trustProxy: true }).counts(FRESH);
    await direct.get({ url: "http://localhost/" });
    expect(valueOf(direct.seen[0]!.request, "x-forwarded-proto")).toBe("https");
  });

  it("H101 the guide shows what a load sees as the code has it", () => {
    const { written, generated } = pages();
    expect(written).toBe(generated);
  });

  it("H101 each part of a request is in one row of the table", () => {
    const named = PARTS.flatMap(({ rule }) => [...(rule?.fields ?? [])]);
    expect(new Set(named).size).toBe(named.length);
    const plan = { safe: new Set<string>(), trustsProxy: false };
    for (const name of [...named, "x-other"]) {
      const request: PlainRequest = {
        method: "GET",
        url: "https://shop.example/",
        fields: [[name, "x"]],
        hasBody: false,
      };
      const rule = { headers: [], cookies: [], search: {} } as never;
      const visit = { request, rule, index: undefined, search: undefined };
      const shared = loadRequest(visit, plan);
      expect([name, shared.request.fields]).toEqual([name, [["host", "shop.example"]]]);
      expect([name, shared.isShaped]).toEqual([name, isShaped(visit, plan)]);
    }
  });
});

describe("a handler that fails without the fields of its client", () => {
  const mobile = (request: PlainRequest): Page => ({
    fields: FRESH,
    body: `mobile ${valueOf(request, "user-agent")!.includes("Mobile")}`,
  });

  it("H102 runs with all of them, once for each client, and three times in a minute beyond that", async () => {
    const site = new Site(SERVER);
    site.page = mobile;
    for (let i = 0; i < 20; i++) {
      expect((await site.ask({ fields: BROWSER }))[0]).toBe("mobile false");
      site.clock.advance(1_000);
    }
    expect(site.seen.map(({ context }) => context.shared).filter(Boolean)).toHaveLength(3);
    expect(site.loads).toBe(23);
    expect((await site.ask({ fields: BROWSER }))[1]).toBe("hotset; fwd=uri-miss; fwd-status=200; detail=failed");
  });

  it("H102 each of those that wait for it does so", async () => {
    const site = new Site(SERVER);
    const loading = gate();
    site.page = async (request) => {
      await loading.pass();
      return mobile(request);
    };
    const answers = Promise.all(Array.from({ length: 10 }, () => site.ask({ fields: BROWSER })));
    await loading.arrived();
    loading.open();
    expect((await answers).map(([body]) => body)).toEqual(Array.from({ length: 10 }, () => "mobile false"));
    expect(site.loads).toBe(11);
  });

  it("H102 its client alone gets its own error", async () => {
    const site = new Site(SERVER);
    site.page = (request) => {
      if (valueOf(request, "accept-language") === "xx") throw new Error("no such language");
      return { fields: { ...FRESH, vary: "accept-language" }, body: "page" };
    };
    const [de, xx] = ["de", "xx"].map((language) => ({ ...BROWSER, "accept-language": language }));
    expect((await site.ask({ fields: de! }))[0]).toBe("page");
    await expect(site.ask({ fields: xx! })).rejects.toThrow("no such language");
    await expect(site.ask({ path: "/b", fields: xx! })).rejects.toThrow("no such language");
    expect((await site.ask({ fields: de! }))[1]).toMatch(/^hotset; hit/);
    expect(await site.ask({ path: "/b", fields: de! })).toEqual(["page", expect.stringMatching(/; stored$/)]);
    // It is asked at once with all of its fields from then on.
    const { loads } = site;
    await expect(site.ask({ fields: xx! })).rejects.toThrow("no such language");
    expect(site.loads).toBe(loads + 1);
  });

  it("H48 H102 a stale response goes before that, and a request with nothing withheld gets the error", async () => {
    const site = new Site(SERVER).counts(FRESH);
    await site.get();
    site.clock.advance(60_000);
    site.page = () => Promise.reject(new Error("down"));
    expect((await site.ask({ fields: BROWSER }))[0]).toBe("1");
    await expect(site.ask({ path: "/b" })).rejects.toThrow("down");
    expect(site.loads).toBe(3);
  });
});

describe("parts of versions", () => {
  it.each(["if-match", "if-unmodified-since"])("H42 a range with %s is asked of the handler", async (name) => {
    const site = new Site(SERVER).counts({ ...FRESH, etag: '"2"' }, { body: "abcdef" });
    await site.get();
    site.page = (request) => ({ status: valueOf(request, name) === undefined ? 200 : 412 });
    expect((await site.get({ fields: { range: "bytes=2-" } })).status).toBe(206);
    expect((await site.get({ fields: { range: "bytes=2-", [name]: '"1"' } })).status).toBe(412);
  });
});

describe("bodies", () => {
  it("H103 no answer waits for a body without a reader", async () => {
    const site = new Site(SERVER);
    const page = fedBody();
    site.page = () => ({ status: 500, fields: PUBLIC, body: page.body });
    expect((await site.get({ fields: BROWSER })).status).toBe(500);
    await flush();
    expect(site.loads).toBe(2);
  });
});
