import { describe, expect, it } from "vitest";
import type { Entry, Terms } from "./entry.ts";
import {
  judge,
  lifeOf,
  newer,
  newerThanRead,
  staleByTag,
  staleFrom,
  canServeOnError,
  type Verdict,
  type Windows,
} from "./freshness.ts";

const TERMS = { localTtlMs: Infinity, tags: [], dependsOn: [], etag: undefined, lastModified: undefined };

/** Loaded at 1,000; fresh for 100, then stale for 50 (revalidate) and 200 (error). */
function entry(changes: Partial<Entry & Terms> = {}): Entry {
  const { staleWhileRevalidateMs = 50, staleIfErrorMs = 200, ...rest } = changes;
  return {
    value: "Ada",
    ttlMs: 100,
    staleAt: 1_100,
    expiresAt: 1_300,
    deadAt: 1_300,
    terms: { ...TERMS, staleWhileRevalidateMs, staleIfErrorMs },
    tagSequence: 0,
    ...rest,
  };
}
const windows = (changes: Partial<Windows> = {}): Windows => ({
  staleWhileRevalidateMs: Infinity,
  staleIfErrorMs: Infinity,
  coversError: undefined,
  loadedAfter: -Infinity,
  refreshAhead: 1,
  ...changes,
});

const FOREVER = entry({ ttlMs: Infinity, staleAt: Infinity, expiresAt: Infinity, deadAt: Infinity });

describe("judge", () => {
  it.for<[string, Entry | undefined, number, Windows, Verdict]>([
    ["nothing", undefined, 1_000, windows(), "absent"],
    ["at its load", entry(), 1_000, windows(), "fresh"],
    ["before its load, as another process may see it", entry(), 990, windows(), "fresh"],
    ["just fresh", entry(), 1_099, windows(), "fresh"],
    ["at the end of freshness", entry(), 1_100, windows(), "revalidate"],
    ["in the last instant of staleWhileRevalidate", entry(), 1_149, windows(), "revalidate"],
    ["at the end of staleWhileRevalidate", entry(), 1_150, windows(), "fallback"],
    ["in the last instant of its life", entry(), 1_299, windows(), "fallback"],
    ["C21 C23 at the end of its life", entry(), 1_300, windows(), "absent"],
    ["the reader shortens staleWhileRevalidate", entry(), 1_119, windows({ staleWhileRevalidateMs: 20 }), "revalidate"],
    ["to its end", entry(), 1_120, windows({ staleWhileRevalidateMs: 20 }), "fallback"],
    ["to nothing", entry(), 1_100, windows({ staleWhileRevalidateMs: 0 }), "fallback"],
    ["the reader cannot prolong it", entry(), 1_150, windows({ staleWhileRevalidateMs: 1_000 }), "fallback"],
    ["without a window of its own", entry({ staleWhileRevalidateMs: 0 }), 1_100, windows(), "fallback"],
    [
      "staleWhileRevalidate longer than staleIfError",
      entry({ staleWhileRevalidateMs: 200, staleIfErrorMs: 50 }),
      1_299,
      windows(),
      "revalidate",
    ],
    ["a copy that ends before the entry", entry({ deadAt: 1_050 }), 1_049, windows(), "fresh"],
    ["at the end of the copy", entry({ deadAt: 1_050 }), 1_050, windows(), "absent"],
    ["before the fraction of refreshAhead", entry(), 1_079, windows({ refreshAhead: 0.8 }), "fresh"],
    ["at the fraction of refreshAhead", entry(), 1_080, windows({ refreshAhead: 0.8 }), "ahead"],
    ["in the last fresh instant", entry(), 1_099, windows({ refreshAhead: 0.8 }), "ahead"],
    ["stale wins over ahead", entry(), 1_100, windows({ refreshAhead: 0.8 }), "revalidate"],
    ["an infinite entry", FOREVER, Number.MAX_SAFE_INTEGER, windows(), "fresh"],
    ["an infinite entry has no fraction", FOREVER, Number.MAX_SAFE_INTEGER, windows({ refreshAhead: 0.1 }), "fresh"],
    ["a local copy of an infinite entry", { ...FOREVER, deadAt: 1_050 }, 1_050, windows(), "absent"],
    ["C214 loaded after", entry(), 1_049, windows({ loadedAfter: 999 }), "fresh"],
    ["C214 loaded in that instant", entry(), 1_050, windows({ loadedAfter: 1_000 }), "absent"],
    ["C214 stale, and loaded after", entry(), 1_120, windows({ loadedAfter: 999 }), "revalidate"],
    ["C214 stale, and too old", entry(), 1_120, windows({ loadedAfter: 1_000 }), "absent"],
    ["C214 of no known age", FOREVER, 1_000, windows({ loadedAfter: 0 }), "absent"],
    ["C214 made stale, loaded after", staleFrom(entry(), 1_040), 1_049, windows({ loadedAfter: 999 }), "revalidate"],
    ["C214 made stale, and too old", staleFrom(entry(), 1_040), 1_049, windows({ loadedAfter: 1_000 }), "absent"],
    [
      "C214 of no known age, made stale",
      staleFrom({ ...FOREVER, terms: { ...FOREVER.terms, staleWhileRevalidateMs: 100 } }, 1_000),
      1_001,
      windows({ loadedAfter: 0 }),
      "absent",
    ],
  ])("%s", ([, given, now, reading, verdict]) => {
    expect(judge(given, now, reading)).toBe(verdict);
  });
});

describe("canServeOnError", () => {
  it.for<[string, Entry | undefined, number, Windows, boolean]>([
    ["nothing", undefined, 1_000, windows(), false],
    ["while fresh, with any stored window", entry({ staleIfErrorMs: 0 }), 1_099, windows({ staleIfErrorMs: 1 }), true],
    ["while fresh, and the reader sets none", entry(), 1_099, windows({ staleIfErrorMs: undefined }), true],
    ["while fresh, and the reader wants the error", entry(), 1_099, windows({ staleIfErrorMs: 0 }), false],
    ["in the last instant of staleIfError", entry(), 1_299, windows(), true],
    ["at its end", entry(), 1_300, windows(), false],
    ["the reader shortens it", entry(), 1_119, windows({ staleIfErrorMs: 20 }), true],
    ["to its end", entry(), 1_120, windows({ staleIfErrorMs: 20 }), false],
    ["to nothing", entry(), 1_100, windows({ staleIfErrorMs: 0 }), false],
    ["the reader cannot prolong it", entry({ staleIfErrorMs: 10 }), 1_110, windows(), false],
    ["staleWhileRevalidate does not count", entry({ staleIfErrorMs: 0 }), 1_100, windows(), false],
    ["a copy that has ended", entry({ deadAt: 1_050 }), 1_050, windows(), false],
    ["C214 loaded after", entry(), 1_049, windows({ loadedAfter: 999 }), true],
    ["C214 too old", entry(), 1_050, windows({ loadedAfter: 1_000 }), false],
  ])("%s: %s", ([, given, now, reading, stands]) => {
    expect(canServeOnError(given, now, reading)).toBe(stands);
  });
});

describe("newer", () => {
  const older = entry({ staleAt: 1_099 });
  const longer = entry({ ttlMs: 500, staleAt: 1_499 });
  it.for<[string, Entry | undefined, Entry | undefined, Entry | undefined]>([
    ["nothing and nothing", undefined, undefined, undefined],
    ["one and nothing", older, undefined, older],
    ["nothing and one", undefined, older, older],
    ["the later load is the second", older, entry(), entry()],
    ["the later load is the first", entry(), older, entry()],
    ["not the one that is fresh for longer", longer, entry(), entry()],
    ["an infinite one, though it ends what was loaded later", FOREVER, entry(), FOREVER],
    ["an infinite one as the second", entry(), FOREVER, FOREVER],
  ])("%s", ([, a, b, expected]) => {
    expect(newer(a, b)).toEqual(expected);
  });

  it("C29 prefers what the backend has to a copy that seems to be newer, of another write and of the same", () => {
    // markStale keeps the ttl, so what it marked seems to be as old as that.
    const marked = entry({ staleAt: 1_050, version: "second" });
    expect(newer(marked, entry({ version: "first" }))).toBe(marked);
    expect(newer(marked, entry({ version: "second" }))).toBe(marked);
    expect(newer(marked, entry())).toEqual(entry());
  });

  it("C29 prefers what a backend without versions has to every copy but one that the backend did not take", () => {
    const marked = entry({ staleAt: 1_050 });
    const [copy, alone] = [entry(), entry({ isLocalOnly: true })];
    expect([newerThanRead(marked, copy), newerThanRead(marked, FOREVER)]).toEqual([marked, marked]);
    expect([newerThanRead(marked, alone), newerThanRead(undefined, copy)]).toEqual([alone, copy]);
    expect(newerThanRead(entry({ staleAt: 1_050, version: "w" }), copy)).toBe(copy);
    expect(newerThanRead(marked, undefined)).toBe(marked);
  });

  it("C29 counts an infinite entry that was made stale as the older one", () => {
    const [marked, fresh] = [staleByTag(FOREVER, 2_000), entry({ staleAt: 1_900 })];
    expect([newer(marked, fresh), newer(fresh, marked)]).toEqual([fresh, fresh]);
  });

  it("returns the first of two entries that were loaded at the same time", () => {
    const [a, b] = [entry(), entry()];
    expect(newer(a, b)).toBe(a);
  });
});

describe("lifeOf", () => {
  it.for<[string, Entry, number, ReturnType<typeof lifeOf>]>([
    ["at its load", entry(), 1_000, { ageMs: 0, freshForMs: 100, expiresInMs: 300 }],
    ["stale", entry(), 1_150, { ageMs: 150, freshForMs: -50, expiresInMs: 150 }],
    ["seemingly from the future", entry(), 990, { ageMs: 0, freshForMs: 110, expiresInMs: 310 }],
    [
      "a copy's earlier end is not the entry's",
      entry({ deadAt: 1_050 }),
      1_000,
      { ageMs: 0, freshForMs: 100, expiresInMs: 300 },
    ],
    ["infinite", FOREVER, 5_000, { ageMs: 0, freshForMs: Infinity, expiresInMs: Infinity }],
  ])("%s", ([, given, now, life]) => {
    expect(lifeOf(given, now)).toEqual(life);
  });
});

describe("staleFrom", () => {
  it("begins both windows now", () => {
    const stale = staleFrom(entry(), 1_040);
    const terms = { ...entry().terms, isMarked: true };
    expect(stale).toEqual(entry({ ttlMs: 40, staleAt: 1_040, expiresAt: 1_240, deadAt: 1_240, terms }));
    expect(lifeOf(stale, 1_040)).toEqual({ ageMs: 40, freshForMs: 0, expiresInMs: 200 });
    expect([1_089, 1_090, 1_239, 1_240].map((now) => judge(stale, now, windows()))).toEqual([
      "revalidate",
      "fallback",
      "fallback",
      "absent",
    ]);
  });

  it("never prolongs a life", () => {
    expect(staleFrom(entry({ expiresAt: 1_120, deadAt: 1_110 }), 1_090)).toMatchObject({
      staleAt: 1_090,
      expiresAt: 1_120,
      deadAt: 1_110,
    });
  });

  it("returns an entry that is already stale unchanged", () => {
    for (const now of [1_100, 1_200]) expect(staleFrom(entry(), now)).toEqual(entry());
  });

  it("ends an entry without windows at once", () => {
    expect(judge(staleFrom(entry({ staleWhileRevalidateMs: 0, staleIfErrorMs: 0 }), 1_040), 1_040, windows())).toBe(
      "absent",
    );
  });

  it("gives an infinite entry an end", () => {
    expect(staleFrom(FOREVER, 2_000)).toMatchObject({ staleAt: 2_000, expiresAt: 2_200, deadAt: 2_200 });
    expect(lifeOf(staleFrom(FOREVER, 2_000), 2_000)).toEqual({ ageMs: 0, freshForMs: 0, expiresInMs: 200 });
  });
});

describe("staleByTag", () => {
  it("is stale at once, and its windows end where they would have", () => {
    const stale = staleByTag(entry(), 1_040);
    expect(stale).toMatchObject({
      ttlMs: 40,
      staleAt: 1_040,
      terms: { staleWhileRevalidateMs: 110, staleIfErrorMs: 260 },
      expiresAt: 1_300,
      deadAt: 1_300,
    });
    expect([1_149, 1_150, 1_299, 1_300].map((now) => judge(stale, now, windows()))).toEqual([
      "revalidate",
      "fallback",
      "fallback",
      "absent",
    ]);
  });

  it("judged again later, ends at the same instants", () => {
    for (const now of [1_000, 1_050, 1_099]) {
      const { staleAt, terms } = staleByTag(entry(), now);
      const { staleWhileRevalidateMs, staleIfErrorMs } = terms;
      expect([staleAt, staleAt + staleWhileRevalidateMs, staleAt + staleIfErrorMs]).toEqual([now, 1_150, 1_300]);
    }
  });

  it("adds no window to an entry without one", () => {
    const stale = staleByTag(entry({ staleWhileRevalidateMs: 0 }), 1_040);
    expect(stale).toMatchObject({ terms: { staleWhileRevalidateMs: 0, staleIfErrorMs: 260 } });
    expect(judge(staleByTag(entry({ staleWhileRevalidateMs: 0, staleIfErrorMs: 0 }), 1_040), 1_040, windows())).toBe(
      "fallback",
    );
    expect(
      canServeOnError(staleByTag(entry({ staleWhileRevalidateMs: 0, staleIfErrorMs: 0 }), 1_040), 1_040, windows()),
    ).toBe(false);
  });

  it("returns an entry that is already stale unchanged", () => {
    for (const now of [1_100, 1_200]) expect(staleByTag(entry(), now)).toEqual(entry());
  });
});
