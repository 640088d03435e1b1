import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseDirectives } from "./directives.ts";
import { endToEnd, type FieldLine, type FieldLines } from "./fields.ts";
import { invalidatedUrls } from "./invalidation.ts";
import { parseSearchRule } from "./no-vary-search.ts";
import { rangeOf } from "./ranges.ts";
import { refusalOfRequest } from "./request-shape.ts";
import { decideReuse, demandsOf, freshForMs, type Held } from "./reuse.ts";
import { DEFAULT_SETTINGS, type Settings } from "./settings.ts";
import { decideStore } from "./storing.ts";
import { parseDictionary, parseList } from "./structured.ts";
import { originOf, targetOf } from "./target.ts";
import { freshen } from "./updating.ts";
import { isUnmodified } from "./validators.ts";
import { preferredLanguage, selectingText } from "./vary.ts";

const NAMES = [
  ...["cache-control", "cdn-cache-control", "expires", "date", "age", "vary", "etag", "last-modified", "connection"],
  ...["pragma", "set-cookie", "cache-tag", "cache-groups", "content-type", "content-length", "location", "x-a"],
  ...[
    "no-vary-search",
    "accept-language",
    "accept-encoding",
    "if-none-match",
    "if-modified-since",
    "range",
    "__proto__",
  ],
];
const PIECES = [
  ...[
    "max-age",
    "s-maxage",
    "no-store",
    "no-cache",
    "private",
    "public",
    "must-revalidate",
    "must-understand",
    "=",
    ",",
  ],
  ...['"', "\\", "(", ")", ";", " ", "\t", "?1", "@1", ":", "*", "-", "60", "9".repeat(30), "stale-while-revalidate"],
  ...[
    "stale-if-error",
    "x-a",
    "W/",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "\xff",
    "q=0.5",
    "/",
    "%",
    "%zz",
    "#",
    "__proto__",
  ],
];
const value = fc.oneof(
  fc.array(fc.constantFrom(...PIECES), { maxLength: 12 }).map((pieces) => pieces.join("")),
  fc.string({ maxLength: 40 }),
);
const line = fc.tuple(fc.constantFrom(...NAMES), value).map((pair): FieldLine => pair);
const lines = fc.array(line, { maxLength: 8 });
const settings = fc.boolean().map((isShared): Settings => ({ ...DEFAULT_SETTINGS, isShared }));

describe("hostile fields", () => {
  it("H1 H4 H5 H6 no field makes a decision throw, and each decision is whole", () => {
    fc.assert(
      fc.property(lines, lines, fc.integer({ min: 100, max: 700 }), settings, (request, response, status, under) => {
        const asked = { method: "GET", url: "https://a.example/b", fields: request, saysNoStore: false };
        const decision = decideStore(
          asked,
          { status, fields: response },
          { sentAt: 1e12, receivedAt: 1e12 + 5 },
          under,
        );
        const { lifetimeMs, initialAgeMs, staleWhileRevalidateMs, staleIfErrorMs } = decision.freshness;
        for (const ms of [lifetimeMs, initialAgeMs, staleWhileRevalidateMs, staleIfErrorMs])
          expect(ms >= 0 && Number.isFinite(ms)).toBe(true);
        if (!decision.store) return;
        expect(status >= 200 && status < 600 && status !== 206 && status !== 304).toBe(true);
        expect(endToEnd(decision.fields)).toEqual(decision.fields);
        const again = freshen(decision.fields, response);
        expect(endToEnd(again)).toEqual(again);
        expect(typeof selectingText(decision.selecting, request)).toBe("string");
      }),
      { numRuns: 2_000 },
    );
  });

  it("H25 H43 H44 serves nothing as fresh beyond its lifetime, and nothing stale that must be revalidated", () => {
    const held = fc.record({
      ageMs: fc.nat(200_000),
      tierFreshForMs: fc.integer({ min: -100_000, max: 100_000 }),
      freshness: fc.record({
        lifetimeMs: fc.nat(100_000),
        initialAgeMs: fc.constant(0),
        staleWhileRevalidateMs: fc.nat(50_000),
        staleIfErrorMs: fc.nat(50_000),
        mustRevalidate: fc.boolean(),
        mustValidate: fc.boolean(),
        source: fc.constant("max-age" as const),
      }),
    });
    fc.assert(
      fc.property(lines, held, (request, stored: Held) => {
        const { mustRevalidate, mustValidate } = stored.freshness;
        const reuse = decideReuse(demandsOf(request), stored);
        expect(reuse === "fresh" && (mustValidate || freshForMs(stored) <= 0)).toBe(false);
        const isStale = reuse === "max-stale" || reuse === "serve-and-revalidate";
        expect(isStale && (mustRevalidate || mustValidate)).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });

  it("H7 H29 H31 H34 H42 H72 H82 no text makes any other rule throw", () => {
    fc.assert(
      fc.property(lines, value, (fields, text) => {
        isUnmodified(fields, fields, 1e12);
        rangeOf(text, 10);
        parseSearchRule(text)?.ignores(text);
        preferredLanguage(text);
        originOf([["host", text]], "http", { origins: new Set(), trustProxy: true });
        invalidatedUrls("POST", "https://a.example/b", { status: 200, fields: [["location", text], ...fields] });
        refusalOfRequest({ method: "GET", url: text, fields, hasBody: false }, DEFAULT_SETTINGS);
        expect(targetOf(`https://a.example/${text}`)).toMatch(/^https:\/\/a\.example\//);
        expect(typeof targetOf(text, { ignores: (name) => name === "q", sorts: true })).toBe("string");
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    "max-age=",
    '"',
    'a="',
    String.raw`\"`,
    String.raw`"\"`,
    ",",
    "=",
    "(",
    'a=("b" ',
    "a;b=",
    " ",
    "\t",
    ";",
    "a, ",
    '"a", ',
    "?",
    ":",
    "W/",
  ])("H1 H84 64 KB of %j are read in time that grows with their length", (piece) => {
    // A loop within a loop over them takes many seconds.
    const bomb = piece.repeat(Math.ceil(65_536 / piece.length));
    const begin = process.cpuUsage();
    for (const text of [bomb, `${bomb}x`, `a=${bomb}`, `x${bomb}"`]) {
      const fields: FieldLines = NAMES.map((name) => [name, text]);
      parseDirectives(text);
      parseDictionary(text);
      parseList(text);
      isUnmodified(fields, fields, 1e12);
      selectingText(["accept-language", "x-a"], fields);
      targetOf(text, { ignores: () => false, sorts: true });
      originOf([["host", text]], "http", { origins: new Set(), trustProxy: false });
    }
    // Time of the processor: the machine may be busy with other work.
    expect(process.cpuUsage(begin).user / 1_000).toBeLessThan(2_000);
  });
});
