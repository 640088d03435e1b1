import { afterEach, describe, expect, it } from "vitest";
import { Site, valueOf, type Given, type Page } from "../site.ts";

// A short form of the public suite: the kinds of its tests that this cache, or a cache beside it, has failed. The cases
// are ours, and have the names of the tests that they stand for. suite.ts runs the suite itself.

type Fields = Record<string, string>;
/** `cached`: without the origin. `validated`: the origin was asked with the stored validator. */
type Outcome = "cached" | "not_cached" | "validated";
type Row = readonly [id: string, response: Fields, expected: Outcome, afterS?: number, request?: Fields];

const sites: Site[] = [];
afterEach(async () => {
  await Promise.all(sites.splice(0).map(({ cache }) => cache.close()));
});

/** As the suite is run: shared, with request directives and Set-Cookie as RFC 9111 has them. */
function open(): Site {
  const site = new Site({ setCookie: "store", requestDirectives: true, store: { status: [[200, 599]] } });
  sites.push(site);
  return site;
}

/** How the last of these requests was answered. */
async function outcomeOf(site: Site, given: Given): Promise<Outcome> {
  const before = site.loads;
  await (await site.get(given)).text();
  const asked = site.seen[before]?.request;
  if (asked === undefined) return "cached";
  const isConditional = ["if-none-match", "if-modified-since"].some((name) => valueOf(asked, name) !== undefined);
  return isConditional ? "validated" : "not_cached";
}

async function twice([, response, , afterS = 0, request = {}]: Row): Promise<Outcome> {
  const site = open();
  const { status = "200", ...fields } = response;
  site.page = ({ fields: asked }): Page =>
    asked.some(([name]) => name === "if-none-match")
      ? { status: 304, fields }
      : { status: Number(status), fields, body: "a" };
  await (await site.get({ fields: request })).text();
  site.clock.advance(afterS * 1_000);
  return outcomeOf(site, { fields: request });
}

const FRESH = { "cache-control": "max-age=3600" };
const at = (seconds: number): string => new Date(new Site().clock.epochMs() + seconds * 1_000).toUTCString();
const [now, later] = [at(0), at(3_600)];
/** `Sun, 06 Nov 1994 08:49:37 GMT`, taken apart. */
const [, weekday = "", day = "", month = "", year = "", time = ""] = /^(\w+), (\d+) (\w+) (\d+) (\S+)/.exec(later)!;
const LONG_DAYS: Fields = {
  Mon: "Monday",
  Tue: "Tuesday",
  Wed: "Wednesday",
  Thu: "Thursday",
  Fri: "Friday",
  Sat: "Saturday",
  Sun: "Sunday",
};
const expires = (text: string): Fields => ({ expires: text });
const ttl = (text: string): Fields => ({ "cache-control": text });
const aged = (age: string, seconds = 3_600): Fields => ({ ...ttl(`max-age=${seconds}`), age });
const cdn = (text: string, cacheControl?: string): Fields => ({
  "cdn-cache-control": text,
  ...(cacheControl !== undefined && ttl(cacheControl)),
});

const ROWS: readonly Row[] = [
  // Freshness.
  ["freshness-max-age", FRESH, "cached"],
  ["freshness-max-age-stale", ttl("max-age=2"), "not_cached", 3],
  ["freshness-max-age-0", ttl("max-age=0"), "not_cached"],
  ["freshness-max-age-negative", ttl("max-age=-3600"), "not_cached"],
  ["freshness-max-age-max-plus", ttl("max-age=99999999999"), "cached"],
  ["freshness-max-age-case-insenstive", ttl("MaX-aGe=3600"), "cached"],
  ["freshness-max-age-single-quoted", ttl("max-age='3600'"), "not_cached"],
  ["freshness-max-age-ignore-quoted", ttl('extension="max-age=3600", max-age=1'), "not_cached", 2],
  ["freshness-max-age-leading-zero", ttl("max-age=003600"), "cached"],
  ["freshness-max-age-0-expires", { ...ttl("max-age=0"), ...expires(later) }, "not_cached"],
  ["freshness-max-age-expires-invalid", { ...FRESH, ...expires("0") }, "cached"],
  ["freshness-s-maxage-shared", ttl("s-maxage=3600"), "cached"],
  ["freshness-max-age-s-maxage-shared-longer", ttl("max-age=3600, s-maxage=1"), "not_cached", 2],
  ["freshness-max-age-s-maxage-shared-shorter", ttl("max-age=1, s-maxage=3600"), "cached", 2],
  // Age.
  ["freshness-max-age-age", aged("7200"), "not_cached"],
  ["age-parse-nonnumeric", aged("abc"), "cached"],
  ["age-parse-negative", aged("-7200"), "cached"],
  ["age-parse-float", aged("7200.0"), "cached"],
  ["age-parse-large", aged("2147483648"), "not_cached"],
  ["age-parse-suffix", aged("7200, 0"), "not_cached"],
  ["age-parse-prefix", aged("0, 7200"), "cached"],
  ["age-parse-numeric-parameter", aged("7200;foo=bar"), "not_cached"],
  // Dates.
  ["freshness-expires-future", expires(later), "cached"],
  ["freshness-expires-past", expires(at(-3_600)), "not_cached"],
  ["freshness-expires-invalid", expires("0"), "not_cached"],
  ["freshness-expires-age-slow-date", { ...expires(at(60)), date: now, age: "3600" }, "not_cached"],
  [
    "freshness-expires-rfc850",
    expires(`${LONG_DAYS[weekday]}, ${day}-${month}-${year.slice(2)} ${time} GMT`),
    "cached",
  ],
  ["freshness-expires-ansi-c", expires(`${weekday} ${month} ${day.replace(/^0/, " ")} ${time} ${year}`), "cached"],
  ["freshness-expires-wrong-case-month", expires(later.replace(month, month.toUpperCase())), "cached"],
  ["freshness-expires-wrong-case-tz", expires(later.replace("GMT", "gMT")), "cached"],
  ["freshness-expires-invalid-utc", expires(later.replace("GMT", "UTC")), "not_cached"],
  ["freshness-expires-invalid-date-dashes", expires(`${weekday}, ${day}-${month}-${year} ${time} GMT`), "not_cached"],
  ["freshness-expires-invalid-time-periods", expires(later.replaceAll(":", ".")), "not_cached"],
  ["freshness-expires-invalid-1-digit-hour", expires(later.replace(time, "8:00:00")), "not_cached"],
  ["freshness-expires-invalid-multiple-lines", expires(`${later}, ${later}`), "not_cached"],
  ["heuristic-200-cached", { "last-modified": at(-86_400) }, "cached"],
  ["heuristic-599-not_cached", { status: "599", "last-modified": at(-86_400) }, "not_cached"],
  // Storing.
  ...["299", "404", "499", "500", "599"].map((status): Row => [
    `status-${status}-fresh`,
    { status, ...FRESH },
    "cached",
  ]),
  ["status-599-must-understand", { status: "599", ...ttl("max-age=3600, must-understand") }, "not_cached"],
  ["status-200-must-understand", ttl("max-age=3600, no-store, must-understand"), "cached"],
  ["cc-resp-no-store-case-insensitive", ttl("No-StOrE, max-age=3600"), "not_cached"],
  ["cc-resp-no-cache-revalidate-fresh", { ...ttl("max-age=3600, no-cache"), etag: '"a"' }, "validated"],
  ["cc-resp-private-shared", ttl("private, max-age=3600"), "not_cached"],
  ["cc-resp-immutable-stale", ttl("max-age=1, immutable"), "not_cached", 2],
  ["headers-store-Set-Cookie", { ...FRESH, "set-cookie": "a=1" }, "cached"],
  ["other-authorization", FRESH, "not_cached", 0, { authorization: "Basic x" }],
  ["other-authorization-smaxage", ttl("s-maxage=3600"), "cached", 0, { authorization: "Basic x" }],
  ["vary-syntax-foo-star", { ...FRESH, vary: "Foo, *" }, "not_cached", 0, { foo: "1" }],
  ["vary-syntax-empty-star", { ...FRESH, vary: ", *" }, "not_cached"],
  ["conditional-etag-strong-generate", { ...ttl("max-age=1"), etag: '"a"' }, "validated", 2],
  ["conditional-etag-weak-generate-weak", { ...ttl("max-age=1"), etag: 'W/"a"' }, "validated", 2],
  // Targeted fields.
  ["cdn-max-age", cdn("max-age=3600"), "cached"],
  ["cdn-max-age-0", cdn("max-age=0", "max-age=3600"), "not_cached"],
  ["cdn-max-age-short-cc-max-age", cdn("max-age=3600", "max-age=1"), "cached", 2],
  ["cdn-max-age-long-cc-max-age", cdn("max-age=1", "max-age=3600"), "not_cached", 2],
  ["cdn-max-age-0-expires", { ...cdn("max-age=0"), ...expires(later) }, "not_cached"],
  ["cdn-private", cdn("private", "max-age=3600"), "not_cached"],
  ["cdn-fresh-cc-nostore", cdn("max-age=3600", "no-store"), "cached"],
  ["cdn-cc-invalid-sh-type-unknown", cdn("max-age=3600, foo=bar(", "max-age=3600"), "cached"],
  ["cdn-cc-invalid-sh-type-wrong", cdn('max-age="3600"', "max-age=3600"), "not_cached"],
  // Directives of requests.
  ["ccreq-ma0", FRESH, "not_cached", 0, ttl("max-age=0")],
  ["ccreq-magreaterage", aged("1800"), "not_cached", 0, ttl("max-age=600")],
  ["ccreq-max-stale", ttl("max-age=1"), "cached", 2, ttl("max-stale=1000")],
  ["ccreq-min-fresh", ttl("max-age=1500"), "not_cached", 0, ttl("min-fresh=2000")],
  ["pragma-request-no-cache", FRESH, "not_cached", 0, { pragma: "no-cache" }],
];

describe("the public suite in short: two equal requests", () => {
  it.each(ROWS.map((row) => [row[0], row[2], row] as const))("H1 H4 H8 H22 %s: %s", async (_, expected, row) => {
    expect(await twice(row)).toBe(expected);
  });
});

describe("the public suite in short: variants", () => {
  it.each<[string, string, Fields, Fields, Outcome]>([
    ["vary-no-match", "foo", { foo: "1" }, { foo: "2" }, "not_cached"],
    ["vary-omit", "foo", { foo: "1" }, {}, "not_cached"],
    ["vary-omit-stored", "foo", {}, { foo: "1" }, "not_cached"],
    ["vary-3-omit", "foo, bar, baz", { foo: "1", baz: "2" }, { foo: "1", baz: "2" }, "cached"],
    ["vary-normalise-space", "foo", { foo: "1,2" }, { foo: "1, 2" }, "cached"],
    [
      "vary-normalise-lang-case",
      "accept-language",
      { "accept-language": "en-us" },
      { "accept-language": "En-US" },
      "cached",
    ],
    [
      "vary-normalise-lang-order",
      "accept-language",
      { "accept-language": "en;q=0.5, de" },
      { "accept-language": "de, en;q=0.5" },
      "cached",
    ],
  ])("H33 H34 %s", async (_, vary, first, second, expected) => {
    const site = open().counts({ ...FRESH, vary });
    await site.get({ fields: first });
    expect(await outcomeOf(site, { fields: second })).toBe(expected);
    expect(await outcomeOf(site, { fields: first })).toBe("cached");
  });
});

describe("the public suite in short: several requests", () => {
  it.each(["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=2"])(
    "H44 H48 stale-close-%s: not served while the origin is down",
    async (directive) => {
      const site = open().counts(ttl(`max-age=2, ${directive}`));
      await site.get();
      site.clock.advance(3_000);
      site.page = () => Promise.reject(new Error("down"));
      await expect(site.get()).rejects.toThrow("down");
    },
  );

  it("H45 stale-while-revalidate-window: past it the request waits", async () => {
    const site = open().counts(ttl("max-age=1, stale-while-revalidate=1"));
    await site.get();
    site.clock.advance(3_000);
    expect(await outcomeOf(site, {})).toBe("not_cached");
  });

  it.each(["Test-Header", "X-Content-Foo", "Content-Foo", "Cache-Control", "Content-Length"])(
    "H54 304-etag-update-response-%s",
    async (name) => {
      const site = open();
      const value = name === "Cache-Control" ? "max-age=2, a" : name === "Content-Length" ? "1" : "before";
      const renewed = name === "Cache-Control" ? "max-age=2, b" : name === "Content-Length" ? "36" : "after";
      const base = { ...ttl("max-age=2"), etag: '"a"' };
      site.page = ({ fields }) =>
        fields.some(([field]) => field === "if-none-match")
          ? { status: 304, fields: { ...base, [name.toLowerCase()]: renewed } }
          : { fields: { ...base, [name.toLowerCase()]: value }, body: "b" };
      await (await site.get()).text();
      site.clock.advance(3_000);
      await site.get();
      const answer = await site.get();
      expect(site.loads).toBe(2);
      expect(answer.fields[name.toLowerCase()]).toBe(name === "Content-Length" ? "1" : renewed);
      expect(await answer.text()).toBe("b");
    },
  );

  it("H20 method-POST: its answer is that of a later GET", async () => {
    const site = open();
    site.page = () => ({ fields: { ...FRESH, "content-location": "https://shop.example/" }, body: "a" });
    await site.get({ method: "POST" });
    expect(await outcomeOf(site, {})).toBe("cached");
  });

  it.each([
    ["", 200, "not_cached"],
    ["-failed", 500, "cached"],
  ] as const)("H72 invalidate-M-SEARCH%s", async (_, status, expected) => {
    const site = open().counts(FRESH);
    await (await site.get()).text();
    site.page = () => ({ status });
    await site.get({ method: "M-SEARCH" });
    expect(await outcomeOf(site, {})).toBe(expected);
  });

  it.each([
    ["partial-store-complete-reuse-partial", "bytes=1-2", "bc"],
    ["partial-store-complete-reuse-partial-no-last", "bytes=2-", "cde"],
    ["partial-store-complete-reuse-partial-suffix", "bytes=-1", "e"],
  ])("H42 %s", async (_, range, expected) => {
    const site = open().counts(FRESH, { body: "abcde" });
    await (await site.get()).text();
    const answer = await site.get({ fields: { range } });
    expect([answer.status, await answer.text(), site.loads]).toEqual([206, expected, 1]);
  });

  it("H40 conditional-etag-precedence: If-None-Match counts more than If-Modified-Since", async () => {
    const site = open().counts({ ...FRESH, etag: '"a"', "last-modified": at(-60) });
    await (await site.get()).text();
    const fields = { "if-none-match": '"b"', "if-modified-since": at(0) };
    expect((await site.get({ fields })).status).toBe(200);
    expect((await site.get({ fields: { ...fields, "if-none-match": '"b", "a"' } })).status).toBe(304);
  });

  it("H26 other-age-gen, other-date-update: Age counts and Date stays", async () => {
    const site = open().counts(FRESH);
    const { fields: first } = await site.get();
    site.clock.advance(3_000);
    const { fields: second } = await site.get();
    expect([second["age"], second["date"]]).toEqual(["3", first["date"]]);
  });
});
