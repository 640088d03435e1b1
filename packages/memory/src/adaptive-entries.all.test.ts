import { queryObjects, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { LocalEntry } from "@hotset/core";
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

describe("adaptive eviction keeps nothing of what is gone", () => {
  it.each([
    ["evicted", 20_000, () => {}],
    ["deleted", 100, (entries: AdaptiveEntries) => deleteAll(entries)],
    ["cleared", 100, (entries: AdaptiveEntries) => entries.clear()],
  ])("no value that was %s", (_, stored, end) => {
    class Marker {}
    const { entries, gone } = open({ maxEntries: 100 });
    for (let i = 0; i < stored; i += 1) {
      entries.set(`k${i}`, lasting(new Marker()), 1);
      gone.length = 0;
    }
    end(entries);
    gone.length = 0;
    expect(queryObjects(Marker)).toBe(entries.count);
  });

  it("no key: after half a million keys the process is as large as after ten thousand", () => {
    const { entries, gone } = open({ maxEntries: 1_000 });
    const entry = lasting();
    const store = (from: number, to: number) => {
      for (let i = from; i < to; i += 1) {
        entries.set(`a key of some length ${i}`, entry, 1);
        gone.length = 0;
      }
      return occupied();
    };
    store(0, 10_000);
    const before = store(10_000, 20_000);
    expect(store(20_000, 500_000) - before).toBeLessThan(300_000);
  });

  it("slots of deleted entries are used again", () => {
    const { entries, gone } = open({});
    const entry = lasting();
    const churn = (rounds: number) => {
      for (let i = 0; i < rounds; i += 1) {
        entries.set(`k${i}`, entry, 1);
        entries.delete(`k${i}`);
        gone.length = 0;
      }
      return occupied();
    };
    churn(1_000);
    const before = churn(1_000);
    expect(churn(200_000) - before).toBeLessThan(300_000);
  });
});

function deleteAll(entries: AdaptiveEntries): void {
  for (let i = 0; i < 100; i += 1) expect(entries.delete(`k${i}`)).toBe(true);
}

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

function occupied(): number {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
