import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FrequencySketch } from "./frequency-sketch.ts";

const hash = fc.integer({ min: 0, max: 2 ** 32 - 1 });

describe("an estimate", () => {
  it("is never less than the additions since the last ageing, and at most 15", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 300 }),
        fc.array(fc.record({ hash, times: fc.integer({ min: 1, max: 15 }) }), { maxLength: 30 }),
        (capacity, additions) => {
          const sketch = new FrequencySketch(capacity);
          const counts = new Map<number, number>();
          let room = Math.max(80, 10 * capacity) - 1;
          for (const addition of additions) {
            const times = Math.min(addition.times, room);
            room -= times;
            sketch.add(addition.hash, times);
            counts.set(addition.hash, (counts.get(addition.hash) ?? 0) + times);
          }
          for (const [each, count] of counts) {
            expect(sketch.estimate(each)).toBeGreaterThanOrEqual(Math.min(15, count));
            expect(sketch.estimate(each)).toBeLessThanOrEqual(15);
          }
        },
      ),
    );
  });

  it("is exact for few keys", () => {
    const sketch = new FrequencySketch(10_000);
    for (let key = 1; key <= 15; key += 1) sketch.add(spread(key), key);
    for (let key = 1; key <= 15; key += 1) expect(sketch.estimate(spread(key))).toBe(key);
    expect(sketch.estimate(spread(99))).toBe(0);
  });

  it("distinguishes rare keys from frequent ones at the capacity it was made for", () => {
    const sketch = new FrequencySketch(1_000);
    for (let key = 0; key < 1_000; key += 1) sketch.add(spread(key), key < 100 ? 8 : 1);
    const wrong = Array.from({ length: 1_000 }, (_, key) => sketch.estimate(spread(key)) >= 8).filter(
      (isFrequent, key) => isFrequent !== key < 100,
    );
    expect(wrong.length).toBeLessThan(10);
  });
});

describe("ageing", () => {
  it("halves every counter after ten additions for each key of the capacity", () => {
    const sketch = new FrequencySketch(100);
    sketch.add(spread(1), 15);
    sketch.add(spread(2), 9);
    sketch.add(spread(3), 1);
    let added = 25;
    for (let key = 1_000; added < 999; key += 1, added += 1) sketch.add(spread(key), 1);
    expect(sketch.estimate(spread(1))).toBe(15);
    sketch.add(spread(1_000_000), 1);
    const later = [1, 2, 3].map((key) => sketch.estimate(spread(key)));
    expect(later[0]).toBe(7);
    expect(later[1]).toBeLessThanOrEqual(7);
    expect(later[2]).toBeLessThanOrEqual(4);
  });

  it("is done in slices of a large table: one addition changes few counters, some more additions all of them", () => {
    const sketch = new FrequencySketch(100_000);
    const hot = Array.from({ length: 1_000 }, (_, key) => spread(key));
    const isAged = () => hot.filter((each) => sketch.estimate(each) < 15).length;
    let key = 1_000;
    for (const each of hot) sketch.add(each, 15);
    while (isAged() === 0) sketch.add(spread((key += 1)), 15);
    expect(isAged()).toBeLessThan(100);
    for (let more = 0; more < 256; more += 1) sketch.add(spread((key += 1)), 1);
    expect(isAged()).toBe(1_000);
  });
});

/** Distinct hashes for distinct numbers, spread as those of keys are. */
function spread(key: number): number {
  let mixed = Math.imul(key ^ 0x5bd1e995, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
