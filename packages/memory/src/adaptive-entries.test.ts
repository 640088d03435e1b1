import type { LocalEntry } from "@hotset/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AdaptiveEntries } from "./adaptive-entries.ts";

const lasting = (value: unknown = 1): LocalEntry => ({ value, deadAt: Infinity });

/** Entries, and those that are gone. */
function open(bounds: { readonly maxEntries?: number; readonly maxBytes?: number }, seed = 1) {
  const gone: (readonly [key: string, entry: LocalEntry, evictedFor: "entries" | "bytes" | undefined])[] = [];
  const entries = new AdaptiveEntries(
    { maxEntries: bounds.maxEntries ?? 1_000_000, maxBytes: bounds.maxBytes ?? Infinity },
    (entry, key, evictedFor) => void gone.push([key, entry, evictedFor]),
    seed,
  );
  return { entries, gone };
}

describe("both bounds of adaptive eviction hold at all times", () => {
  it("under random operations, and every entry is there until it is reported as gone", () => {
    const key = fc.nat(30).map((n) => `k${n}`);
    const step = fc.oneof(
      { weight: 20, arbitrary: fc.record({ do: fc.constant("set" as const), key, size: fc.nat(60) }) },
      { weight: 15, arbitrary: fc.record({ do: fc.constant("get" as const), key }) },
      { weight: 5, arbitrary: fc.record({ do: fc.constant("delete" as const), key }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant("clear" as const) }) },
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 60, max: 400 }),
        fc.nat(),
        fc.array(step, { maxLength: 200 }),
        (maxEntries, maxBytes, seed, steps) => {
          const held = new Map<string, { entry: LocalEntry; size: number }>();
          const used = () => [...held.values()].reduce((sum, { size }) => sum + size, 0);
          const entries = new AdaptiveEntries(
            { maxEntries, maxBytes },
            (entry, name, evictedFor) => {
              expect(held.get(name)?.entry).toBe(entry);
              held.delete(name);
              // An entry is evicted only where a bound would be exceeded.
              if (evictedFor === "entries") expect(held.size).toBe(maxEntries - 1);
            },
            seed,
          );
          for (const action of steps) {
            if (action.do === "set") {
              const entry = lasting();
              entries.set(action.key, entry, action.size);
              held.set(action.key, { entry, size: action.size });
            } else if (action.do === "get") {
              expect(entries.get(action.key)).toBe(held.get(action.key)?.entry);
            } else if (action.do === "delete") {
              const isHeld = held.has(action.key);
              expect(entries.delete(action.key)).toBe(isHeld);
            } else {
              entries.clear();
              held.clear();
            }
            expect([entries.count, entries.bytes]).toEqual([held.size, used()]);
            expect(entries.count).toBeLessThanOrEqual(maxEntries);
            expect(entries.bytes).toBeLessThanOrEqual(maxBytes);
            for (const [name, { entry }] of held) expect(entries.peek(name)).toBe(entry);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it("in the middle of a change too: room is made first", () => {
    const seen: number[] = [];
    const entries: AdaptiveEntries = new AdaptiveEntries({ maxEntries: 3, maxBytes: 100 }, () => {
      seen.push(entries.count, entries.bytes);
      expect([entries.count <= 3, entries.bytes <= 100]).toEqual([true, true]);
    });
    for (let i = 0; i < 50; i += 1) entries.set(`${i}`, lasting(), 10 + (i % 9) * 10);
    expect(seen.length).toBeGreaterThan(50);
  });

  it("when an entry grows: others go to make room", () => {
    const { entries, gone } = open({ maxBytes: 100 });
    for (const key of ["a", "b", "c"]) entries.set(key, lasting(), 30);
    entries.set("c", lasting(), 60);
    expect([entries.count, entries.bytes]).toEqual([2, 90]);
    expect(gone.map(([key, , evictedFor]) => [key, evictedFor])).toEqual([
      ["a", "bytes"],
      ["c", undefined],
    ]);
  });

  it("and the bound that was met is reported", () => {
    const { entries, gone } = open({ maxEntries: 3, maxBytes: 100 });
    for (const key of ["a", "b", "c", "d"]) entries.set(key, lasting(), 30);
    expect(gone.map(([key, , evictedFor]) => [key, evictedFor])).toEqual([["a", "entries"]]);
    entries.set("e", lasting(), 80);
    expect(gone.map(([key, , evictedFor]) => [key, evictedFor])).toEqual([
      ["a", "entries"],
      ["b", "entries"],
      ["c", "bytes"],
      ["d", "bytes"],
    ]);
  });
});

describe("under adaptive eviction", () => {
  it("an entry that was just stored is there, however often the others were used", () => {
    const { entries } = open({ maxEntries: 100 });
    for (let i = 0; i < 100; i += 1) entries.set(`old${i}`, lasting(), 1);
    for (let round = 0; round < 2_000; round += 1) {
      for (let i = 0; i < 100; i += 1) entries.get(`old${i}`);
      const entry = lasting();
      entries.set(`new${round}`, entry, 1);
      expect(entries.get(`new${round}`)).toBe(entry);
    }
  });

  it("an entry that grows is not evicted to make room for itself", () => {
    const { entries, gone } = open({ maxBytes: 100 });
    for (const key of ["a", "b", "c"]) entries.set(key, lasting(), 30);
    const grown = lasting();
    entries.set("a", grown, 100);
    expect([entries.get("a"), entries.count, entries.bytes]).toEqual([grown, 1, 100]);
    expect(gone.map(([key, , evictedFor]) => [key, evictedFor])).toEqual([
      ["b", "bytes"],
      ["c", "bytes"],
      ["a", undefined],
    ]);
  });

  it("replacing an entry is not a use, and takes none from it", () => {
    const { entries, gone } = open({ maxEntries: 3 });
    for (const key of ["a", "b", "c"]) entries.set(key, lasting(), 1);
    entries.get("b");
    for (const key of ["a", "b"]) entries.set(key, lasting(), 1);
    gone.length = 0;
    entries.set("d", lasting(), 1);
    entries.set("e", lasting(), 1);
    expect(gone.map(([key]) => key)).toEqual(["a", "c"]);
  });

  it("without hits the oldest entry goes first, as it does under LRU", () => {
    const { entries, gone } = open({ maxEntries: 100 });
    for (let i = 0; i < 150; i += 1) entries.set(`${i}`, lasting(), 1);
    expect(gone.map(([key]) => Number(key))).toEqual(Array.from({ length: 50 }, (_, i) => i));
  });
});
