import { flush, gate } from "@hotset/testing";
import { describe, expect, it, onTestFinished } from "vitest";
import { Site, valueOf } from "./site.ts";

function raise(): never {
  throw new Error("no disk is left");
}

const FRESH = { "cache-control": "max-age=60" };
const ETAG = { ...FRESH, etag: '"a"' };

describe("serving", () => {
  it("H40 H77 answers from the cache without the origin, and says so", async () => {
    const site = new Site().counts(FRESH);
    expect(await site.ask()).toEqual(["1", "hotset; fwd=uri-miss; fwd-status=200; stored"]);
    site.clock.advance(1_500);
    expect(await site.ask()).toEqual(["1", "hotset; hit; ttl=58"]);
    expect(site.loads).toBe(1);
  });

  it("H25 H26 counts Age in whole seconds, and is stale at the end of the lifetime", async () => {
    const site = new Site().counts({ ...FRESH, age: "10", expires: "0" });
    expect((await site.get()).fields).toMatchObject({ age: "10", "cache-control": "max-age=60", expires: "0" });
    site.clock.advance(49_999);
    expect((await site.get()).fields).toMatchObject({ age: "59", "cache-control": "max-age=60", expires: "0" });
    site.clock.advance(1);
    expect(await site.ask()).toEqual(["2", "hotset; fwd=stale; fwd-status=200; stored"]);
  });

  it("H24 compares no clocks of two machines: the time in the cache is that of its tier", async () => {
    const site = new Site().counts(FRESH);
    await site.get();
    site.clock.suspend("1h");
    expect((await site.get()).fields["age"]).toBe("0");
  });

  it.each([
    ['If-None-Match: W/"a"', { "if-none-match": 'W/"a"' }, 304],
    ["If-None-Match: *", { "if-none-match": "*" }, 304],
    ["If-None-Match goes first", { "if-none-match": '"b"', "if-modified-since": "Wed, 01 Jan 2025 00:00:00 GMT" }, 200],
    ["If-Modified-Since", { "if-modified-since": "Thu, 02 Jan 2020 00:00:00 GMT" }, 304],
  ])("H40 H60 %s: also where the response is loaded for it", async (_, fields, status) => {
    const site = new Site().counts({
      ...ETAG,
      "last-modified": "Wed, 01 Jan 2020 00:00:00 GMT",
      "content-type": "text/plain",
      vary: "accept",
    });
    for (const _again of [1, 2]) {
      const answer = await site.get({ fields });
      expect(answer.status).toBe(status);
      expect(answer.fields).toMatchObject({ etag: '"a"', "cache-control": "max-age=60", vary: "accept" });
      expect("content-type" in answer.fields).toBe(status === 200);
      expect(await answer.text()).toBe(status === 304 ? "" : "1");
    }
    expect(site.seen.map(({ request }) => valueOf(request, "if-none-match"))).toEqual([undefined]);
  });

  it("H41 answers HEAD from a stored GET, and forwards it where there is none", async () => {
    const site = new Site().counts(FRESH, { body: "hello" });
    await site.get({ method: "HEAD" });
    expect(site.seen.map(({ request }) => request.method)).toEqual(["HEAD"]);
    await site.get();
    const answer = await site.get({ method: "HEAD" });
    expect([answer.status, answer.body, answer.fields["content-length"]]).toEqual([200, null, "5"]);
    expect(site.loads).toBe(2);
  });

  it.each([
    ["bytes=1-2", 206, "el", "bytes 1-2/5"],
    ["bytes=-2", 206, "lo", "bytes 3-4/5"],
    ["bytes=9-", 416, "", "bytes */5"],
    ["bytes=0-1,3-4", 200, "hello", undefined],
    ["lines=1", 200, "hello", undefined],
  ])("H42 answers Range: %s with %d", async (range, status, body, contentRange) => {
    const site = new Site().counts(ETAG, { body: "hello" });
    await site.get();
    const answer = await site.get({ fields: { range } });
    expect([answer.status, await answer.text(), answer.fields["content-range"]]).toEqual([status, body, contentRange]);
    const other = await site.get({ fields: { range, "if-range": '"b"' } });
    expect([other.status, await other.text()]).toEqual([200, "hello"]);
    expect(site.loads).toBe(1);
  });

  it("H42 forwards a range of what is not stored, and stores no part", async () => {
    const site = new Site();
    site.page = () => ({ status: 206, fields: { ...FRESH, "content-range": "bytes 0-1/5" }, body: "he" });
    for (const _ of [1, 2]) expect((await site.get({ fields: { range: "bytes=0-1" } })).status).toBe(206);
    expect(site.seen.map(({ request }) => valueOf(request, "range"))).toEqual(["bytes=0-1", "bytes=0-1"]);
  });

  it("H43 obeys requests where that is said, and not by default", async () => {
    const site = new Site().counts(FRESH);
    const obeying = new Site({ requestDirectives: true }).counts(FRESH);
    for (const each of [site, obeying]) {
      await each.get();
      each.clock.advance(10_000);
      await each.get({ fields: { "cache-control": "no-cache" } });
      await each.get({ fields: { "cache-control": "max-age=5" } });
      await each.get({ fields: { pragma: "no-cache" } });
    }
    expect([site.loads, obeying.loads]).toEqual([1, 3]);
    const only = { "cache-control": "only-if-cached" };
    expect((await obeying.get({ fields: only })).status).toBe(200);
    expect((await obeying.get({ path: "/other", fields: only })).status).toBe(504);
    obeying.clock.advance(70_000);
    expect(await obeying.ask({ fields: { "cache-control": "max-stale=20" } })).toEqual([
      "3",
      "hotset; hit; ttl=-10; detail=max-stale",
    ]);
    expect(obeying.loads).toBe(3);
  });

  it("H10 stores nothing for a request with no-store, and serves it what is stored", async () => {
    const site = new Site({ requestDirectives: true }).counts(FRESH);
    const fields = { "cache-control": "no-store" };
    expect((await site.ask({ fields }))[0]).toBe("1");
    expect((await site.ask())[0]).toBe("2");
    expect((await site.ask({ fields }))[0]).toBe("2");
  });

  it("H45 serves a stale response immediately within its window, with one refresh behind it", async () => {
    const site = new Site().counts({ "cache-control": "max-age=10, stale-while-revalidate=20" });
    await site.get();
    site.clock.advance(29_999);
    const answers = await Promise.all(Array.from({ length: 20 }, () => site.ask()));
    expect(new Set(answers.map(String))).toEqual(new Set(["1,hotset; hit; ttl=-20; detail=revalidating"]));
    await flush();
    expect(site.loads).toBe(2);
    expect(site.seen[1]!.context.background).toBe(true);
    expect((await site.ask())[0]).toBe("2");
    site.clock.advance(30_000);
    expect((await site.ask())[0]).toBe("3");
  });

  it.each<[string, Record<string, string>]>([
    ["no-cache", { "cache-control": "no-cache, max-age=60", etag: '"a"' }],
    ["stale on arrival", { "cache-control": "max-age=60", age: "60", etag: '"a"' }],
    ["a validator alone", { etag: '"a"' }],
    ["a time of change alone", { "last-modified": "Sat, 01 Jan 2000 00:00:00 GMT" }],
  ])("H12 H63 a response with %s answers its own caller, and others ask for themselves", async (_, fields) => {
    const site = new Site();
    const loading = gate();
    site.page = async (request) => {
      await loading.pass();
      return { fields, body: `of ${valueOf(request, "x-user")}` };
    };
    const users = ["ann", "bob", "cat", "dan", "eve"];
    const answers = users.map((user) => site.ask({ fields: { "x-user": user } }));
    await loading.arrived();
    loading.open();
    expect((await Promise.all(answers)).map(([body]) => body)).toEqual(users.map((user) => `of ${user}`));
    expect(site.loads).toBe(5);
    site.clock.advance(86_400_000);
    const before = site.loads;
    await site.ask();
    expect(site.loads).toBe(before + 1);
  });

  it("H12 H52 validates each time what says no-cache", async () => {
    const site = new Site().counts({ "cache-control": "no-cache", etag: '"a"' });
    await site.ask();
    expect((await site.ask())[0]).toBe("2");
    expect(valueOf(site.seen[1]!.request, "if-none-match")).toBe('"a"');
  });

  it("H30 H82 H84 forwards what it cannot read in one way only", async () => {
    const site = new Site({ hosts: ["shop.example"] }).counts(FRESH);
    for (const fields of [{ host: "evil.example" }, { host: "shop.example", "x-http-method-override": "PUT" }])
      for (const _ of [1, 2]) await site.get({ fields });
    expect(site.loads).toBe(4);
    expect(site.events.map(({ notStored }) => notStored)).toEqual(["host", "host", "ambiguous", "ambiguous"]);
    for (const _ of [1, 2]) await site.get({ fields: { host: "shop.example" } });
    expect(site.loads).toBe(5);
  });

  it("H30 takes the authority from base, and not from Host", async () => {
    const site = new Site({ base: "https://shop.example" }).counts(FRESH);
    await site.get({ url: "http://a.internal:8080/x?y" });
    expect((await site.ask({ url: "http://b.internal/x?y" }))[0]).toBe("1");
    expect(site.seen[0]!.request.url).toBe("https://shop.example/x?y");
  });

  it("H29 H31 ignores the query parameters that do not count", async () => {
    const site = new Site({ key: { query: { except: ["utm_*"] }, sortQuery: true } }).counts(FRESH);
    await site.get({ path: "/a?b=1&c=2" });
    expect((await site.ask({ path: "/a?utm_x=5&c=2&b=1" }))[0]).toBe("1");
    expect((await site.ask({ path: "/a?c=2" }))[0]).toBe("2");
  });

  it("H78 explains what it would do", async () => {
    const site = new Site().counts({ ...FRESH, vary: "accept", "cache-tag": "books" });
    const request = { method: "GET", url: "https://shop.example/", fields: [["accept", "a"]] as const, hasBody: false };
    expect(await site.http.explain(request)).toMatchObject({ outcome: "miss", reason: "uri-miss" });
    await site.get({ fields: { accept: "a" } });
    site.clock.advance(1_000);
    expect(await site.http.explain(request)).toMatchObject({
      outcome: "hit",
      selecting: ["accept"],
      ageSeconds: 1,
      freshForSeconds: 59,
      tags: ["books"],
    });
    expect(await site.http.explain({ ...request, fields: [["accept", "b"]] })).toMatchObject({ reason: "vary-miss" });
    expect(await site.http.explain({ ...request, method: "POST" })).toMatchObject({
      outcome: "pass",
      reason: "method",
    });
    expect(site.loads).toBe(1);
  });

  it.each<[string, () => unknown]>([
    ["throws", () => raise()],
    ["rejects", async () => raise()],
  ])("C118: a listener that %s changes no answer", async (_, listener) => {
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => void unhandled.push(error);
    process.on("unhandledRejection", note);
    onTestFinished(() => void process.off("unhandledRejection", note));
    const site = new Site().counts(FRESH);
    site.http.on("answer", listener);
    expect(await site.ask()).toEqual(["1", "hotset; fwd=uri-miss; fwd-status=200; stored"]);
    await new Promise((resolve) => void setImmediate(resolve));
    expect(unhandled).toEqual([]);
  });

  it("H79 counts answers by outcome, and what was not stored by reason", async () => {
    const site = new Site().counts(FRESH, { body: "hello" });
    await site.get();
    await site.get();
    site.counts({ ...FRESH, "set-cookie": "a=1" });
    await site.get({ path: "/cookie" });
    expect(site.http.stats()).toEqual({
      hits: 1,
      stale: 0,
      revalidated: 0,
      misses: 1,
      collapsed: 0,
      passed: { "set-cookie": 1 },
      bytesFromCache: 5,
      bytesFromOrigin: 5,
    });
  });
});

describe("validation", () => {
  it("H33 H54 a Vary that a 304 brings selects from then on", async () => {
    const site = new Site().counts(ETAG, { body: "en" });
    await site.get({ fields: { "accept-language": "en" } });
    site.clock.advance(60_000);
    const varying = { ...ETAG, vary: "accept-language" };
    site.page = (request) =>
      valueOf(request, "if-none-match") === undefined
        ? { fields: varying, body: valueOf(request, "accept-language")! }
        : { status: 304, fields: varying };
    for (const language of ["en", "de", "en"])
      expect((await site.ask({ fields: { "accept-language": language } }))[0]).toBe(language);
  });

  const modified = "Wed, 01 Jan 2020 00:00:00 GMT";

  it("H52 H53 H54 asks with both validators and the selecting fields, and answers from what is stored", async () => {
    const site = new Site().counts(
      { ...ETAG, "last-modified": modified, vary: "accept", "x-a": "1" },
      { body: "hello" },
    );
    const fields = { accept: "text/html", range: "bytes=0-0", "if-none-match": '"z"' };
    await site.get({ fields: { accept: "text/html" } });
    site.clock.advance(3_000_000);
    site.page = () => ({ status: 304, fields: { ...FRESH, "x-a": "2", "content-length": "0" } });
    const answer = await site.get({ fields });
    expect([answer.status, await answer.text()]).toEqual([206, "h"]);
    expect(answer.fields).toMatchObject({ "x-a": "2", age: "0" });
    const { request } = site.seen[1]!;
    expect(["if-none-match", "if-modified-since", "accept", "range"].map((name) => valueOf(request, name))).toEqual([
      '"a"',
      modified,
      "text/html",
      undefined,
    ]);
    site.clock.advance(59_000);
    expect(await site.ask({ fields: { accept: "text/html" } })).toEqual(["hello", "hotset; hit; ttl=1"]);
    expect(site.loads).toBe(2);
  });

  it("H53 keeps it no longer than keepForValidation", async () => {
    const site = new Site({ whenDisconnected: 0, keepForValidation: "10m" }).counts(ETAG);
    await site.get();
    site.clock.advance(660_000);
    await site.get();
    expect(valueOf(site.seen[1]!.request, "if-none-match")).toBeUndefined();
  });

  it("H54 answers the client's own condition from the result", async () => {
    const site = new Site().counts(ETAG);
    await site.get();
    site.clock.advance(60_000);
    site.page = () => ({ status: 304, fields: ETAG });
    expect((await site.get({ fields: { "if-none-match": '"a"' } })).status).toBe(304);
  });

  it("H55 asks again without conditions, once, where a 304 is about something else", async () => {
    const site = new Site().counts(ETAG);
    await site.get();
    site.clock.advance(60_000);
    site.page = (request) =>
      valueOf(request, "if-none-match") === undefined
        ? { fields: { ...FRESH, etag: '"b"' }, body: "new" }
        : { status: 304, fields: { etag: '"b"' } };
    expect((await site.ask())[0]).toBe("new");
    expect(site.loads).toBe(3);
  });

  it.each([
    [200, FRESH, "2", 2],
    [404, FRESH, "2", 2],
    [410, { "cache-control": "no-store" }, "3", 3],
    [500, {}, "1", 3],
  ])("H57 a %d with %j: then %s, after %d loads", async (status, fields, body, loads) => {
    const site = new Site({ errorBackoff: 0 }).counts(ETAG);
    await site.get();
    site.clock.advance(60_000);
    site.counts(fields, { status });
    expect((await site.get()).status).toBe(status);
    site.page = (request) =>
      valueOf(request, "if-none-match") === undefined
        ? { fields: FRESH, body: `${site.loads}` }
        : { status: 304, fields: FRESH };
    expect((await site.ask())[0]).toBe(body);
    expect(site.loads).toBe(loads);
  });

  it("H10 removes what was stored when a no-store answers its revalidation", async () => {
    const site = new Site().counts(ETAG);
    await site.get();
    site.clock.advance(60_000);
    site.counts({ "cache-control": "no-store" });
    await site.get();
    site.counts(FRESH);
    await site.get();
    expect(site.seen.map(({ request }) => valueOf(request, "if-none-match"))).toEqual([undefined, '"a"', undefined]);
  });

  it("H58 a HEAD with equal validators renews, with others makes stale", async () => {
    const site = new Site().counts(ETAG, { body: "hello" });
    await site.get();
    site.clock.advance(60_000);
    site.page = () => ({ fields: { ...ETAG, "x-a": "new", "content-length": "5" } });
    await site.get({ method: "HEAD" });
    expect(site.loads).toBe(2);
    const answer = await site.get();
    expect([await answer.text(), answer.fields["x-a"], site.loads]).toEqual(["hello", "new", 2]);
    site.clock.advance(60_000);
    site.page = () => ({ fields: { ...FRESH, etag: '"b"' } });
    await site.get({ method: "HEAD" });
    site.counts({ ...FRESH, etag: '"b"' });
    expect((await site.ask())[0]).toBe("4");
  });
});

describe("when the origin fails", () => {
  const failing = (): never => {
    throw new TypeError("fetch failed");
  };

  it.each([500, 502, 503, 504])("H47 serves a stale response for %d within its window alone", async (status) => {
    const site = new Site({ errorBackoff: 0 }).counts({ "cache-control": "max-age=10, stale-if-error=20" });
    await site.get();
    site.counts({}, { status });
    site.clock.advance(29_999);
    expect(await site.ask()).toEqual(["1", "hotset; hit; ttl=-20; detail=error"]);
    site.clock.advance(1);
    const answer = await site.get();
    expect([answer.status, await answer.text()]).toEqual([status, "3"]);
  });

  it("H48 serves it without that directive where the origin cannot be reached, for whenDisconnected", async () => {
    const site = new Site({ errorBackoff: 0, whenDisconnected: "1h" }).counts(FRESH);
    await site.get();
    site.page = failing;
    site.clock.advance(60_000 + 3_599_999);
    expect((await site.ask())[0]).toBe("1");
    site.clock.advance(1);
    await expect(site.get()).rejects.toThrow("fetch failed");
  });

  it.each(["must-revalidate", "proxy-revalidate", "s-maxage=60", "no-cache"])(
    "H44 H48 never serves it against %s",
    async (directive) => {
      const site = new Site().counts({ "cache-control": `max-age=60, ${directive}, stale-if-error=600`, etag: '"a"' });
      await site.get();
      site.clock.advance(60_000);
      site.page = failing;
      await expect(site.get()).rejects.toThrow("fetch failed");
      site.counts({}, { status: 503 });
      expect((await site.get()).status).toBe(503);
    },
  );

  it.each([0, 1])("H47 H48 serves what is stale from the start %d ms after it was stored", async (laterMs) => {
    const site = new Site().counts({ "cache-control": "max-age=0, stale-if-error=60" });
    await site.get();
    site.clock.advance(laterMs);
    const fail = [() => ({ status: 503 }), () => Promise.reject(new Error("down"))];
    for (site.page of fail) expect(await site.ask()).toEqual(["1", expect.stringContaining("; detail=error")]);
  });

  it("H49 spares the origin for errorBackoff", async () => {
    const site = new Site({ errorBackoff: "10s" }).counts(FRESH);
    await site.get();
    site.page = failing;
    site.clock.advance(60_000);
    for (let i = 0; i < 20; i++) expect((await site.ask())[0]).toBe("1");
    expect(site.loads).toBe(2);
    site.clock.advance(10_000);
    await site.get();
    expect(site.loads).toBe(3);
  });

  it("H68 H94 several users wait for a private page that takes longer than loadTimeout: one run each, and no error", async () => {
    const site = new Site({ loadTimeout: "5s", base: "https://shop.example" });
    const loading = gate();
    site.page = async (request) => {
      await loading.pass();
      return { fields: { "cache-control": "private" }, body: `${valueOf(request, "cookie")}` };
    };
    const users = ["ann", "bob", "cat"];
    const answers = Promise.all(users.map((cookie) => site.ask({ fields: { cookie } })));
    await loading.arrived();
    site.clock.advance(5_000);
    await flush();
    // The load, which continues for all, and a second one in case that hangs.
    expect(site.seen.map(({ request }) => valueOf(request, "cookie"))).toEqual([undefined, undefined]);
    loading.open();
    expect((await answers).map(([body]) => body)).toEqual(users);
    expect(site.loads).toBe(5);
  });

  it("H48 H68 waits loadTimeout for the head where a stale response may answer", async () => {
    const site = new Site({ loadTimeout: "5s" }).counts(FRESH);
    await site.get();
    site.clock.advance(60_000);
    const loading = gate<never>();
    site.page = () => loading.pass();
    const answer = site.ask();
    await loading.arrived();
    site.clock.advance(5_000);
    expect((await answer)[0]).toBe("1");
  });
});
