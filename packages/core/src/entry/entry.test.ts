import { describe, expect, it } from "vitest";
import { newEntry, storedEntry, wholeInstant, type Entry } from "./entry.ts";
import { staleByTag, staleFrom } from "./freshness.ts";
import { keySpaceBelow, rootKeySpace } from "./key.ts";
import { termsIn } from "./terms.ts";

const LIFE = { staleWhileRevalidateMs: 50, staleIfErrorMs: 200, localTtlMs: Infinity };
const NO_MARKS = { tags: [], etag: undefined, lastModified: undefined };
const entryAt = (now: number): Entry =>
  newEntry({
    value: "Ada",
    ttlMs: 100,
    terms: termsIn(rootKeySpace("shop"), LIFE, NO_MARKS),
    now,
    tagSequence: 7,
    version: undefined,
  });
const instants = ({ ttlMs, staleAt, expiresAt, deadAt }: Entry): readonly number[] => [
  ttlMs,
  staleAt,
  expiresAt,
  deadAt,
];

describe("the instants of an entry are whole milliseconds, and never later than they would be", () => {
  it.each([
    [1_000, 1_000],
    [1_000.001, 1_000],
    [1_000.999, 1_000],
    [-0.5, -1],
    [Infinity, Infinity],
  ])("%d is in the millisecond %d", (now, whole) => {
    expect(wholeInstant(now)).toBe(whole);
  });

  it("of a new entry, and of one that a backend keeps", () => {
    const one = entryAt(1_000.7);
    expect(instants(one)).toEqual([100, 1_100, 1_300, 1_300]);
    const encoding = { format: "json", compressor: "none" };
    const kept = storedEntry(one, undefined, { data: new Uint8Array(5), encoding });
    expect(kept).toEqual({ ...one, encoding, encodedBytes: 5 });
  });

  it("of one that was made stale: its age goes on, and its windows end where they would", () => {
    expect(instants(staleFrom(entryAt(1_000.7), 1_040.9))).toEqual([40, 1_040, 1_240, 1_240]);
    const byTag = staleByTag(entryAt(1_000.7), 1_040.9);
    expect(instants(byTag)).toEqual([40, 1_040, 1_300, 1_300]);
    expect(byTag.terms).toMatchObject({ staleWhileRevalidateMs: 110, staleIfErrorMs: 260 });
  });

  it("of one that ends in this millisecond: it is stale already", () => {
    const one = entryAt(1_000.7);
    expect([staleFrom(one, 1_100.2), staleByTag(one, 1_100.2)]).toEqual([one, one]);
  });
});

describe("the entries of a namespace share what they have in common", () => {
  const users = keySpaceBelow(rootKeySpace("shop"), "users");

  it("as long as it is the same", () => {
    const first = termsIn(users, LIFE, { tags: ["a", "b"], etag: "1", lastModified: "now" });
    expect(first).toEqual({
      staleWhileRevalidateMs: 50,
      staleIfErrorMs: 200,
      localTtlMs: Infinity,
      tags: ["a", "b"],
      dependsOn: ["{~shop}::", "{~shop}:users::", "{~shop}::a", "{~shop}:users::a", "{~shop}::b", "{~shop}:users::b"],
      etag: "1",
      lastModified: "now",
    });
    expect(termsIn(users, { ...LIFE }, { tags: ["a", "b"], etag: "1", lastModified: "now" })).toBe(first);
  });

  it.each([
    ["staleWhileRevalidate", { staleWhileRevalidateMs: 51 }, {}],
    ["staleIfError", { staleIfErrorMs: 201 }, {}],
    ["localTtl", { localTtlMs: 9 }, {}],
    ["a tag", {}, { tags: ["b"] }],
    ["one more tag", {}, { tags: ["a", "b"] }],
    ["one tag less", {}, { tags: [] }],
    ["its etag", {}, { etag: "1" }],
    ["its last modification", {}, { lastModified: "now" }],
  ])("and not if %s differs", (_, windows, marks) => {
    const usual = { ...NO_MARKS, tags: ["a"] };
    const before = termsIn(users, LIFE, usual);
    const other = termsIn(users, { ...LIFE, ...windows }, { ...usual, ...marks });
    expect(other).toMatchObject({ ...windows, ...marks });
    expect(termsIn(users, LIFE, usual)).toEqual(before);
  });
});
