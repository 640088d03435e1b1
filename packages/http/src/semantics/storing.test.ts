import { describe, expect, it } from "vitest";
import { firstOf, type FieldLines } from "./fields.ts";
import { initialAgeMs, type Exchange, type Freshness } from "./freshness.ts";
import { DEFAULT_SETTINGS, type Settings } from "./settings.ts";
import { decideStore, type StoreDecision } from "./storing.ts";

const NOW = Date.UTC(2026, 10, 26, 12);
const AT: Exchange = { sentAt: NOW, receivedAt: NOW };
const http = (at: number): string => new Date(at).toUTCString();
const DATE = http(NOW);
const MINUTE = 60_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;

interface Case {
  readonly method?: string;
  readonly url?: string;
  readonly status?: number;
  readonly isFailure?: boolean;
  readonly request?: Record<string, string>;
  readonly response?: Record<string, string>;
  readonly lines?: FieldLines;
  readonly settings?: Partial<Settings>;
  readonly saysNoStore?: boolean;
  readonly exchange?: Exchange;
}

function decide(given: Case): StoreDecision {
  const { method = "GET", url = "https://shop.example/books/1", status = 200, request = {}, response = {} } = given;
  return decideStore(
    { method, url, fields: Object.entries(request), saysNoStore: given.saysNoStore ?? false },
    { status, fields: given.lines ?? Object.entries({ date: DATE, ...response }), isFailure: given.isFailure },
    given.exchange ?? AT,
    { ...DEFAULT_SETTINGS, ...given.settings },
  );
}

const outcome = (given: Case): string => {
  const decision = decide(given);
  return decision.store ? "stored" : decision.reason;
};
const freshness = (given: Case): Freshness => decide(given).freshness;
const PRIVATE: Partial<Settings> = { isShared: false, targetedFields: [] };
const cc = (value: string): Record<string, string> => ({ "cache-control": value });
const NAMED: Partial<Settings> = { namesStatus: (status) => status >= 400 };
const MODIFIED = { "last-modified": http(NOW - 10 * HOUR) };

const CODED = { vary: "accept-encoding", "content-encoding": "compress" };

describe("H8 H9 H13 what is stored", () => {
  it.each<[string, string, Case]>([
    ["H8 explicit freshness", "stored", { response: cc("max-age=60") }],
    ["H8 Expires", "stored", { response: { expires: http(NOW + MINUTE) } }],
    ["H8 public, with a validator", "stored", { response: { ...cc("public"), etag: '"a"' } }],
    ["H8 a heuristically cacheable status with Last-Modified", "stored", { response: MODIFIED }],
    ["H8 a validator with no-cache", "stored", { response: { ...cc("no-cache"), etag: '"a"' } }],
    ["H8 no-cache without a validator", "no-freshness", { response: cc("no-cache") }],
    ["H8 nothing", "no-freshness", {}],
    ["H8 an ETag alone", "stored", { response: { etag: '"a"' } }],
    ["H8 a status without heuristics", "status", { status: 302, response: MODIFIED }],
    ["H8 that status with public", "stored", { status: 302, response: { ...MODIFIED, ...cc("public") } }],
    ["H9 an unknown status with explicit freshness", "stored", { status: 499, response: cc("max-age=60") }],
    ...[401, 403, 407, 429, 500, 503, 599].flatMap((status): [string, string, Case][] => [
      [`H100 ${status}`, "status", { status, response: cc("public, max-age=60") }],
      [`H100 ${status}, named by a rule`, "stored", { status, response: cc("max-age=60"), settings: NAMED }],
    ]),
    ["H100 another error", "stored", { status: 404, response: cc("max-age=60") }],
    ["H100 a handler that failed", "status", { isFailure: true, response: cc("public, max-age=60") }],
    ["H9 299", "stored", { status: 299, response: cc("max-age=60") }],
    ["H9 103", "status", { status: 103, response: cc("max-age=60") }],
    ["H9 206", "status", { status: 206, response: cc("max-age=60") }],
    ["H9 304", "status", { status: 304, response: cc("max-age=60") }],
    ["H9 600", "status", { status: 600, response: cc("max-age=60") }],
    ["H9 must-understand, understood", "stored", { response: cc("must-understand, no-store, max-age=60") }],
    ["H9 must-understand, unknown", "status", { status: 299, response: cc("must-understand, max-age=60") }],
    ["H10 no-store", "no-store", { response: cc("no-store, max-age=60") }],
    ["H10 no-store in the request", "request-no-store", { response: cc("max-age=60"), saysNoStore: true }],
    ["H11 private", "private", { response: cc("private, max-age=60") }],
    ["H11 private with names", "stored", { response: cc('private="x-a", max-age=60') }],
    ["H11 private with no names", "private", { response: cc('private="", max-age=60') }],
    ["H11 private with a switch", "private", { response: cc("max-age=60, private=true") }],
    ["H11 private with anything else", "private", { response: cc('max-age=60, private="x a"') }],
    ["H11 private with a quote that is not closed", "private", { response: cc('max-age=60, private="x-a') }],
    ["H12 no-cache with a switch", "no-freshness", { response: cc("max-age=60, no-cache=true") }],
    ["H34 a coding that selects no variant", "vary-unlisted", { response: { ...cc("max-age=60"), ...CODED } }],
    ["H95 a cookie", "cookie", { request: { cookie: "a=1" }, response: cc("max-age=60") }],
    ["H95 a cookie, with public", "stored", { request: { cookie: "a=1" }, response: cc("public, max-age=60") }],
    ["H11 private in a private cache", "stored", { response: cc("private, max-age=60"), settings: PRIVATE }],
    ["H13 Authorization", "authorization", { request: { authorization: "Basic x" }, response: cc("max-age=60") }],
    ["H13 with public", "stored", { request: { authorization: "x" }, response: cc("public, max-age=60") }],
    ["H13 with s-maxage", "stored", { request: { authorization: "x" }, response: cc("s-maxage=60") }],
    ["H13 must-revalidate", "stored", { request: { authorization: "x" }, response: cc("must-revalidate, max-age=1") }],
    ["H13 public =", "authorization", { request: { authorization: "x" }, response: cc("public =, max-age=60") }],
    ["H13 public=1", "authorization", { request: { authorization: "x" }, response: cc("public=1, max-age=60") }],
    ["H13 must-revalidate =", "authorization", { request: { authorization: "x" }, response: cc("must-revalidate =") }],
    ["H13 open quote", "authorization", { request: { authorization: "x" }, response: cc('a="x, public, max-age=60') }],
    ["H13 open quote", "authorization", { request: { authorization: "x" }, response: cc('a="x, s-maxage=60') }],
    ["H13 s-maxage =60", "authorization", { request: { authorization: "x" }, response: cc("s-maxage =60") }],
    ["H11 must-understand = with no-store", "no-store", { response: cc("must-understand =, no-store, max-age=60") }],
    ["H11 private =x", "private", { response: cc("private =x, max-age=60") }],
    ["H13 private cache", "stored", { request: { authorization: "x" }, response: cc("max-age=1"), settings: PRIVATE }],
    ["H14 Set-Cookie", "set-cookie", { response: { ...cc("public, max-age=60"), "set-cookie": "a=1" } }],
    ["H14 store", "stored", { response: { ...cc("max-age=1"), "set-cookie": "a" }, settings: { setCookie: "store" } }],
    ["H14 strip", "stored", { response: { ...cc("max-age=1"), "set-cookie": "a" }, settings: { setCookie: "strip" } }],
    ["H14 a private cache", "stored", { response: { ...cc("max-age=1"), "set-cookie": "a" }, settings: PRIVATE }],
    ["H15 Connection", "connection-field", { response: { ...cc("max-age=60"), connection: "cache-control" } }],
    ["H18 as announced", "stored", { response: { ...cc("max-age=60"), "content-length": "5242880" } }],
    ["H18 too large", "too-large", { response: { ...cc("max-age=60"), "content-length": "5242881" } }],
    ["H20 POST", "method", { method: "POST", response: cc("max-age=60") }],
    ["H20 QUERY", "method", { method: "QUERY", response: cc("max-age=60") }],
    ["H21 events", "stream", { response: { ...cc("max-age=60"), "content-type": "text/event-stream; x=y" } }],
    ["H35 Vary: *", "vary-star", { response: { ...cc("max-age=60"), vary: "accept, *" } }],
    ["H37 Vary: Cookie", "vary-unlisted", { response: { ...cc("max-age=60"), vary: "Accept, Cookie" } }],
    ["H37 listed", "stored", { response: { ...cc("max-age=1"), vary: "Cookie" }, settings: { varyOn: ["cookie"] } }],
    ["H37 a private cache", "stored", { response: { ...cc("max-age=1"), vary: "User-Agent" }, settings: PRIVATE }],
    ["H83 a forged field", "limits", { response: { ...cc("max-age=60"), "x-a": "b\r\nc: d" } }],
    ["H84 too many fields", "limits", { response: cc("max-age=60"), settings: { maxFields: 1 } }],
    ["H84 too many bytes", "limits", { response: cc("max-age=60"), settings: { maxFieldBytes: 20 } }],
  ])("%s: %s", (_, expected, given) => {
    expect(outcome(given)).toBe(expected);
  });

  it.each([
    ["its own URL", "/books/1", "stored"],
    ["its own URL, absolute", "https://shop.example/books/1", "stored"],
    ["another URL", "/books/2", "method"],
    ["no URL", "http://[", "method"],
  ])("H20 stores the answer to a POST for %s: %s", (_, location, expected) => {
    const given = { method: "POST", response: { ...cc("max-age=60"), "content-location": location } };
    expect(outcome(given)).toBe(expected);
    expect(outcome({ ...given, response: { ...MODIFIED, "content-location": location } })).toBe("method");
  });

  it("H35 finds the star in any line", () => {
    const lines: FieldLines = [
      ["cache-control", "max-age=60"],
      ["vary", "accept"],
      ["vary", "x, * ,y"],
    ];
    expect(outcome({ lines })).toBe("vary-star");
  });

  it("H11 H12 H14 H15 leaves out what may not be kept, and keeps the order and duplicates of the rest", () => {
    const decision = decide({
      settings: { setCookie: "strip" },
      lines: [
        ["x-a", "1"],
        ["date", DATE],
        ["connection", "x-hop"],
        ["x-hop", "1"],
        ["set-cookie", "a=1"],
        ["cache-control", 'max-age=60, private="x-user", no-cache="x-trace"'],
        ["x-user", "ada"],
        ["x-trace", "7"],
        ["age", "3"],
        ["x-a", "2"],
      ],
    });
    expect(decision.store && decision.fields).toEqual([
      ["x-a", "1"],
      ["date", DATE],
      ["cache-control", 'max-age=60, private="x-user", no-cache="x-trace"'],
      ["x-a", "2"],
    ]);
    expect(decision.freshness.mustValidate).toBe(false);
  });

  it("keeps the instant of a response that has no Date", () => {
    const decision = decide({ lines: [["cache-control", "max-age=60"]] });
    expect(decision.store && firstOf(decision.fields, "date")).toBe(DATE);
  });

  it("H6 is governed by a valid targeted field, and forwards both", () => {
    const decision = decide({ response: { ...cc("no-store"), "cdn-cache-control": "max-age=60" } });
    expect(decision.store && decision.fields.map(([name]) => name)).toEqual([
      "date",
      "cache-control",
      "cdn-cache-control",
    ]);
    expect(outcome({ response: { ...cc("max-age=60"), "cdn-cache-control": "no-store" } })).toBe("no-store");
    expect(outcome({ response: { ...cc("no-store"), "cdn-cache-control": "max-age=60, &&&" } })).toBe("no-store");
  });

  it("H74 gives the tags of every tag field, and refuses more than it can purge", () => {
    const decision = decide({
      response: { ...cc("max-age=60"), "cache-tag": "a, b c", "surrogate-key": "d  e", "cache-groups": '"g, h"' },
    });
    expect(decision.store && decision.tags).toEqual(["a", "b c", "d", "e", "group, https://shop.example g, h"]);
    const tags = (count: number): string => Array.from({ length: count }, (_, i) => `t${i}`).join(",");
    expect(outcome({ response: { ...cc("max-age=60"), "cache-tag": tags(128) } })).toBe("stored");
    expect(outcome({ response: { ...cc("max-age=60"), "cache-tag": tags(129) } })).toBe("tags");
    expect(outcome({ response: { ...cc("max-age=60"), "cache-tag": "x".repeat(256) } })).toBe("stored");
    expect(outcome({ response: { ...cc("max-age=60"), "cache-tag": "x".repeat(257) } })).toBe("tags");
  });

  it("H93 keeps groups apart by origin, and takes none from a field that does not parse", () => {
    const groups = (value: string, url: string): unknown => {
      const decision = decide({ url, response: { ...cc("max-age=60"), "cache-groups": value } });
      return decision.store ? decision.tags : decision.reason;
    };
    expect(groups('"a"', "https://a.example/")).toEqual(["group, https://a.example a"]);
    expect(groups('"a"', "https://b.example/")).toEqual(["group, https://b.example a"]);
    expect(groups('"a", b', "https://a.example/")).toEqual([]);
    expect(groups(Array.from({ length: 33 }, (_, i) => `"${i}"`).join(", "), "https://a.example/")).toBe("tags");
  });
});

describe("H22 H23 freshness", () => {
  it.each<[string, number, Freshness["source"], Case]>([
    [
      "the targeted field",
      10_000,
      "targeted",
      { response: { ...cc("s-maxage=1"), "cdn-cache-control": "max-age=10" } },
    ],
    ["s-maxage in a shared cache", 20_000, "s-maxage", { response: cc("max-age=10, s-maxage=20") }],
    ["max-age in a private one", 10_000, "max-age", { response: cc("max-age=10, s-maxage=20"), settings: PRIVATE }],
    ["max-age before Expires", 10_000, "max-age", { response: { ...cc("max-age=10"), expires: http(NOW + HOUR) } }],
    ["Expires - Date", HOUR, "expires", { response: { date: http(NOW - HOUR), expires: DATE } }],
    ["Expires before Date", 0, "expires", { response: { expires: http(NOW - HOUR) } }],
    ["Expires that is not a date", 0, "expires", { response: { expires: "0" } }],
    ["Expires without Date", HOUR, "expires", { lines: [["expires", http(NOW + HOUR)]] }],
    [
      "two Expires",
      0,
      "expires",
      {
        lines: [
          ["expires", http(NOW + HOUR)],
          ["expires", http(NOW + HOUR)],
        ],
      },
    ],
    ["H23 a tenth of Date - Last-Modified", HOUR, "heuristic", { response: MODIFIED }],
    ["H23 at most a day", DAY, "heuristic", { response: { "last-modified": http(NOW - 1_000 * DAY) } }],
    ["H23 not from the future", 0, "none", { response: { "last-modified": http(NOW + HOUR) } }],
    ["H23 turned off", 0, "none", { response: MODIFIED, settings: { heuristic: undefined } }],
    ["H23 not for other statuses", 0, "none", { status: 302, response: MODIFIED }],
    ["H23 with public", HOUR, "heuristic", { status: 302, response: { ...MODIFIED, ...cc("public") } }],
    ["H3 2^31 seconds at most", 2 ** 31 * 1_000, "max-age", { response: cc("max-age=99999999999") }],
    [
      "H2 an argument that is not a number",
      0,
      "max-age",
      { response: { ...cc("max-age=1.5"), expires: http(NOW + DAY) } },
    ],
    ["H27 a default", 5_000, "default", { response: MODIFIED, settings: { defaults: { ttlMs: 5_000 } } }],
    [
      "H27 no default over the response",
      1_000,
      "max-age",
      { response: cc("max-age=1"), settings: { defaults: { ttlMs: 5_000 } } },
    ],
    [
      "H27 an override",
      5_000,
      "override",
      { response: cc("max-age=1, no-cache"), settings: { override: { ttlMs: 5_000 } } },
    ],
  ])("H22 %s: %d ms, %s", (_, lifetimeMs, source, given) => {
    expect(freshness(given)).toMatchObject({ lifetimeMs, source });
  });

  it.each(["no-store", "private", "set-cookie"])("H27 an override does not make %s storable", (reason) => {
    const response = reason === "set-cookie" ? { "set-cookie": "a" } : cc(reason);
    expect(outcome({ response, settings: { override: { ttlMs: 5_000 } } })).toBe(reason);
  });

  it("H27 gives windows where the response gives none, and replaces its own", () => {
    const windows = { staleWhileRevalidateMs: 1, staleIfErrorMs: 2 };
    const own = { response: cc("max-age=1, stale-while-revalidate=10, stale-if-error=20") };
    expect(freshness(own)).toMatchObject({ staleWhileRevalidateMs: 10_000, staleIfErrorMs: 20_000 });
    expect(freshness({ ...own, settings: { defaults: windows } })).toMatchObject({ staleWhileRevalidateMs: 10_000 });
    expect(freshness({ ...own, settings: { override: windows } })).toMatchObject(windows);
    expect(freshness({ response: cc("max-age=1"), settings: { defaults: windows } })).toMatchObject(windows);
  });

  it.each([
    ["must-revalidate", true, true],
    ["proxy-revalidate", true, false],
    ["s-maxage=5", true, false],
    ["no-cache", true, true],
    ['no-cache="x-a"', false, false],
  ])("H44 %s ends all stale windows: shared %s, private %s", (directive, inShared, inPrivate) => {
    const response = cc(`max-age=1, stale-while-revalidate=10, stale-if-error=20, ${directive}`);
    for (const [settings, mustRevalidate] of [
      [{}, inShared],
      [PRIVATE, inPrivate],
    ] as const)
      expect(freshness({ response, settings })).toMatchObject({
        mustRevalidate,
        staleWhileRevalidateMs: mustRevalidate ? 0 : 10_000,
        staleIfErrorMs: mustRevalidate ? 0 : 20_000,
      });
  });

  it("takes Pragma: no-cache of a response where nothing else says how long it is fresh", () => {
    expect(freshness({ response: { pragma: "no-cache", ...MODIFIED } }).mustValidate).toBe(true);
    expect(freshness({ response: { pragma: "no-cache", ...cc("max-age=1") } }).mustValidate).toBe(false);
    expect(freshness({ response: { pragma: "no-cache", expires: DATE } }).mustValidate).toBe(false);
  });

  it.each<[string, number, Record<string, string>, Exchange]>([
    ["nothing says more", 0, {}, AT],
    ["Date has whole seconds", 0, { date: DATE }, { sentAt: NOW + 999, receivedAt: NOW + 999 }],
    ["an old Date", HOUR - 1_000, { date: http(NOW - HOUR) }, AT],
    ["a Date of the future", 0, { date: http(NOW + HOUR) }, AT],
    ["Age", 30_000, { age: "30" }, AT],
    ["Age and the time of the request", 32_500, { age: "30" }, { sentAt: NOW - 2_500, receivedAt: NOW }],
    ["the greater of both", HOUR - 1_000, { age: "30", date: http(NOW - HOUR) }, AT],
    ["an Age that is not a number", 0, { age: "30.5" }, AT],
  ])("H24 the initial age: %s: %d", (_, expected, response, exchange) => {
    const fields = Object.entries({ date: DATE, ...cc("max-age=60"), ...response });
    expect(initialAgeMs(fields, exchange)).toBe(expected);
  });
});
