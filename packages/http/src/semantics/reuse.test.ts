import { describe, expect, it } from "vitest";
import type { FieldLines } from "./fields.ts";
import type { Freshness } from "./freshness.ts";
import {
  decideReuse,
  demandsOf,
  fallbackWindowMs,
  isServerFailure,
  mayFallBack,
  NO_DEMANDS,
  type Held,
  type Reuse,
} from "./reuse.ts";

const SECOND = 1_000;
const FRESHNESS: Freshness = {
  lifetimeMs: 60 * SECOND,
  initialAgeMs: 0,
  staleWhileRevalidateMs: 0,
  staleIfErrorMs: 0,
  mustRevalidate: false,
  mustValidate: false,
  source: "max-age",
};
const held = (ageSeconds: number, freshness: Partial<Freshness> = {}, tierFreshForMs = Infinity): Held => ({
  freshness: { ...FRESHNESS, ...freshness },
  ageMs: ageSeconds * SECOND,
  tierFreshForMs,
});
const asking = (cacheControl: string): FieldLines => [["cache-control", cacheControl]];
const decide = (request: string, stored: Held): Reuse => decideReuse(demandsOf(asking(request)), stored);

describe("without demands", () => {
  it.each<[string, Held, Reuse]>([
    ["H40 fresh", held(59.999), "fresh"],
    ["H25 at the end of its lifetime", held(60), "revalidate"],
    ["H75 fresh, and purged softly", held(1, {}, -1), "revalidate"],
    [
      "H45 purged softly, within its window",
      held(1, { staleWhileRevalidateMs: 10 * SECOND }, -1),
      "serve-and-revalidate",
    ],
    ["H45 within stale-while-revalidate", held(60, { staleWhileRevalidateMs: 10 * SECOND }), "serve-and-revalidate"],
    ["H45 at the end of that window", held(70, { staleWhileRevalidateMs: 10 * SECOND }), "revalidate"],
    ["H12 no-cache", held(0, { mustValidate: true, mustRevalidate: true }), "revalidate"],
  ])("%s", (_, stored, reuse) => {
    expect(decideReuse(NO_DEMANDS, stored)).toBe(reuse);
  });
});

describe("with demands of the client", () => {
  it.each<[string, Held, Reuse]>([
    ["no-cache", held(1), "revalidate"],
    ["max-age=10", held(9.999), "fresh"],
    ["max-age=10", held(10), "revalidate"],
    ["max-age=0", held(0), "revalidate"],
    ["max-age=x", held(10), "fresh"],
    ["min-fresh=50", held(10), "fresh"],
    ["min-fresh=50", held(10.001), "revalidate"],
    ["max-stale", held(1_000), "max-stale"],
    ["max-stale=10", held(70), "max-stale"],
    ["max-stale=10", held(70.001), "revalidate"],
    ["max-stale=0", held(60), "revalidate"],
    ["max-stale=10, min-fresh=1", held(65), "revalidate"],
    ["max-age=10, max-stale=10", held(20), "max-stale"],
    ["max-age=10, max-stale=10", held(21), "revalidate"],
    ["max-age=10", held(65, { staleWhileRevalidateMs: 10 * SECOND }), "revalidate"],
    ["max-age=90", held(65, { staleWhileRevalidateMs: 10 * SECOND }), "serve-and-revalidate"],
    ["min-fresh=1", held(65, { staleWhileRevalidateMs: 10 * SECOND }), "revalidate"],
    ["no-store", held(1), "fresh"],
    ["only-if-cached", held(1), "fresh"],
  ])("H43 %s: %j", (request, stored, reuse) => {
    expect(decide(request, stored)).toBe(reuse);
  });

  it("H44 max-stale does not override must-revalidate", () => {
    expect(decide("max-stale", held(61, { mustRevalidate: true }))).toBe("revalidate");
    expect(decide("max-stale", held(1, { mustRevalidate: true, mustValidate: true }))).toBe("revalidate");
  });

  it("H43 takes Pragma: no-cache only where there is no Cache-Control", () => {
    expect(demandsOf([["pragma", "x, No-Cache"]])).toMatchObject({ noCache: true });
    expect(
      demandsOf([
        ["pragma", "no-cache"],
        ["cache-control", "max-age=1"],
      ]),
    ).toMatchObject({ noCache: false, maxAgeMs: SECOND });
    expect(demandsOf([["pragma", "xno-cachex"]])).toBe(NO_DEMANDS);
    expect(demandsOf([["cookie", "a"]])).toBe(NO_DEMANDS);
  });

  it("H43 reads all of them", () => {
    expect(demandsOf(asking("no-cache, no-store, only-if-cached, max-age=1, min-fresh=2, max-stale=3"))).toEqual({
      noCache: true,
      noStore: true,
      onlyIfCached: true,
      maxAgeMs: 1_000,
      minFreshMs: 2_000,
      maxStaleMs: 3_000,
    });
    expect(demandsOf(asking("max-stale")).maxStaleMs).toBe(Infinity);
    expect(demandsOf(asking("max-stale=x")).maxStaleMs).toBe(0);
  });
});

describe("when the origin fails", () => {
  const DISCONNECTED_MS = 100 * SECOND;
  const may = (stored: Held, failure: "answered" | "unreachable", request = ""): boolean =>
    mayFallBack(demandsOf(asking(request)), stored, failure, DISCONNECTED_MS);

  it.each([200, 404, 429, 501, 505])("H47 does not take %d for a failure", (status) => {
    expect(isServerFailure(status)).toBe(false);
  });

  it.each([500, 502, 503, 504])("H47 covers %d within stale-if-error alone", (status) => {
    expect(isServerFailure(status)).toBe(true);
    expect(may(held(69.999, { staleIfErrorMs: 10 * SECOND }), "answered")).toBe(true);
    expect(may(held(70, { staleIfErrorMs: 10 * SECOND }), "answered")).toBe(false);
    expect(may(held(60), "answered")).toBe(false);
  });

  it("H48 covers an unreachable origin for whenDisconnected, or for stale-if-error where that is longer", () => {
    expect(may(held(159.999), "unreachable")).toBe(true);
    expect(may(held(160), "unreachable")).toBe(false);
    expect(may(held(1_000, { staleIfErrorMs: 1_000 * SECOND }), "unreachable")).toBe(true);
  });

  it.each([
    [0, 60],
    [1, 100],
    [60, 6_000],
    [3_600, 86_400],
    [Infinity, 86_400],
  ])("H48 by default covers what is fresh for %d s for %d s", (freshForSeconds, seconds) => {
    const freshness = { ...held(0).freshness, lifetimeMs: freshForSeconds * SECOND };
    expect(fallbackWindowMs(freshness, "unreachable")).toBe(seconds * SECOND);
    expect(fallbackWindowMs(freshness, "unreachable", 5 * SECOND)).toBe(5 * SECOND);
  });

  it("H44 H48 never covers what must be revalidated, nor a client that asks for that", () => {
    for (const failure of ["answered", "unreachable"] as const) {
      expect(may(held(61, { mustRevalidate: true, staleIfErrorMs: 10 * SECOND }), failure)).toBe(false);
      expect(may(held(61, { staleIfErrorMs: 10 * SECOND }), failure, "no-cache")).toBe(false);
      expect(may(held(61, { staleIfErrorMs: 10 * SECOND }), failure)).toBe(true);
    }
  });
});
