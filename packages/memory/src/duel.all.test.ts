import { describe, expect, it } from "vitest";
import { AdaptiveEntries } from "./adaptive-entries.ts";
import { Duel } from "./duel.ts";
import type { Entries } from "./entries.ts";
import { LruEntries } from "./lru-entries.ts";

const mixed = (key: number): number => (Math.imul(key + 1, 0x9e3779b1) ^ (Math.imul(key, 0x85ebca6b) >>> 7)) >>> 0;

/** A duel that has seen the sampled part of a trace. */
function play(capacity: number, trace: Iterable<number>, duel = new Duel(capacity)): Duel {
  const resident = Math.round(capacity * sampledPart(duel));
  for (const key of trace) if (duel.samples(mixed(key))) duel.access(mixed(key), resident);
  return duel;
}

const sampledPart = (duel: Duel): number =>
  Array.from({ length: 20_000 }, (_, key) => duel.samples(mixed(key))).filter(Boolean).length / 20_000;

describe("the share of the window", () => {
  it("is that of LRU to begin with", () => {
    expect(new Duel(1_000).share).toBe(1);
  });

  it("is small under a loop that is larger than the cache", () => {
    expect(play(1_000, loop({ keys: 1_500, accesses: 100_000 })).share).toBeLessThan(1);
  });

  it("stays that of LRU where only what is recent is used again", () => {
    expect(play(1_000, recent({ accesses: 200_000, within: 2_000 })).share).toBe(1);
  });

  it("follows the load from one to the other and back", () => {
    const duel = new Duel(1_000);
    play(1_000, loop({ keys: 1_500, accesses: 100_000 }), duel);
    expect(duel.share).toBeLessThan(1);
    play(1_000, recent({ accesses: 200_000, within: 1_000 }), duel);
    expect(duel.share).toBe(1);
    play(1_000, loop({ keys: 1_500, accesses: 200_000 }), duel);
    expect(duel.share).toBeLessThan(1);
  });

  it("is decided after three accesses for each sampled entry, and not before", () => {
    const duel = new Duel(64_000);
    const decided: number[] = [];
    let accesses = 0;
    for (const key of zipf({ keys: 200_000, exponent: 0.9, accesses: 1_000_000 })) {
      if (!duel.samples(mixed(key))) continue;
      accesses += 1;
      if (duel.access(mixed(key), 1_000)) decided.push(accesses);
    }
    expect(decided.slice(0, 3)).toEqual([3_000, 6_000, 9_000]);
  });
});

describe("the sample", () => {
  it.each([
    [10, 1 / 4],
    [640, 1 / 10],
    [10_000, 1 / 64],
    [262_144, 1 / 64],
    [1_048_576, 1 / 256],
  ])("of a cache of %i entries is %f of the keys", (capacity, part) => {
    const duel = new Duel(capacity);
    const sampled = Array.from({ length: 400_000 }, (_, key) => duel.samples(mixed(key))).filter(Boolean).length;
    expect(sampled / 400_000 / part).toBeGreaterThan(0.9);
    expect(sampled / 400_000 / part).toBeLessThan(1.1);
  });
});

describe("the hit ratio of adaptive eviction", () => {
  const KEYS = 20_000;
  const ACCESSES = 100_000;
  const SIZES = [20, 200, 1_000, 4_000];

  it.each<[string, () => Iterable<number>]>([
    ["Zipf", () => zipf({ keys: KEYS, exponent: 0.99, accesses: ACCESSES })],
    ["flat Zipf", () => zipf({ keys: KEYS, exponent: 0.6, accesses: ACCESSES })],
    ["only recent keys", () => recent({ accesses: ACCESSES, within: 2_000 })],
    ["a loop", () => loop({ keys: KEYS, accesses: ACCESSES })],
    ["a load that shifts", () => shifting({ keys: KEYS, accesses: ACCESSES, phase: 20_000 })],
    ["phases of recency and of a loop", () => phases({ accesses: ACCESSES, phase: 15_000 })],
  ])("is never more than one point below that of LRU: %s", (_, trace) => {
    for (const maxEntries of SIZES) {
      const lru = hitRatio(lruOf(maxEntries), trace());
      expect(hitRatio(adaptiveOf(maxEntries), trace()) - lru).toBeGreaterThan(-1);
    }
  });

  it.each([
    [200, 3],
    [1_000, 5],
    [4_000, 3],
  ])("of %i entries is more than %i points above it where scans run through a Zipf load", (maxEntries, points) => {
    const trace = () => scanned({ keys: KEYS, accesses: ACCESSES, scan: 2_000 });
    const lru = hitRatio(lruOf(maxEntries), trace());
    expect(hitRatio(adaptiveOf(maxEntries), trace()) - lru).toBeGreaterThan(points);
  });

  it.each([
    [256, 20],
    [512, 40],
    [900, 75],
  ])("of %i entries is more than %i percent in a loop of 1,000 keys, where LRU never hits", (maxEntries, percent) => {
    const trace = () => loop({ keys: 1_000, accesses: ACCESSES });
    expect(hitRatio(lruOf(maxEntries), trace())).toBe(0);
    expect(hitRatio(adaptiveOf(maxEntries), trace())).toBeGreaterThan(percent);
  });

  it("is as good where bytes are the bound: in a loop of large values, and under scans", () => {
    const sizes = (key: number) => 50 + (Math.imul(key, 0x9e3779b1) >>> 25);
    const bounds = { maxEntries: 1_000_000, maxBytes: 60_000 };
    const [lru, adaptive] = [new LruEntries(bounds, true, () => {}), new AdaptiveEntries(bounds, () => {}, 1)];
    const around = loop({ keys: 1_000, accesses: ACCESSES });
    expect(hitRatio(lru, around, sizes)).toBe(0);
    expect(hitRatio(adaptive, loop({ keys: 1_000, accesses: ACCESSES }), sizes)).toBeGreaterThan(35);
    lru.clear();
    adaptive.clear();
    const scans = () => scanned({ keys: KEYS, accesses: ACCESSES, scan: 2_000 });
    expect(hitRatio(adaptive, scans(), sizes)).toBeGreaterThan(hitRatio(lru, scans(), sizes) + 3);
  });

  it("is above it where few entries of very different sizes fit: the duel does not start anew with each of them", () => {
    const bounds = { maxEntries: 1_000_000, maxBytes: 1_000 };
    const sizes = (key: number) => (key % 3 === 0 ? 800 : 40);
    const trace = () => zipf({ keys: 200, exponent: 0.8, accesses: ACCESSES });
    const lru = hitRatio(new LruEntries(bounds, true, () => {}), trace(), sizes);
    expect(hitRatio(new AdaptiveEntries(bounds, () => {}, 1), trace(), sizes) - lru).toBeGreaterThan(0.3);
  });

  it("is as good after the number of entries that fit has changed a lot", () => {
    const adaptive = new AdaptiveEntries({ maxEntries: 1_000_000, maxBytes: 1_000_000 }, () => {}, 1);
    hitRatio(adaptive, zipf({ keys: KEYS, exponent: 0.6, accesses: 50_000 }), () => 100);
    expect(adaptive.count).toBe(10_000);
    const large = () => loop({ keys: 1_000, accesses: ACCESSES, from: KEYS });
    hitRatio(adaptive, large(), () => 2_000);
    expect(adaptive.count).toBe(500);
    expect(hitRatio(adaptive, large(), () => 2_000)).toBeGreaterThan(40);
  });
});

const lruOf = (maxEntries: number): Entries => new LruEntries({ maxEntries, maxBytes: Infinity }, false, () => {});

const adaptiveOf = (maxEntries: number): Entries =>
  new AdaptiveEntries({ maxEntries, maxBytes: Infinity }, () => {}, 1);

/** In percent; a miss stores the key. */
function hitRatio(entries: Entries, trace: Iterable<number>, sizeOf: (key: number) => number = () => 1): number {
  const entry = { value: 1, deadAt: Infinity };
  let hits = 0;
  let accesses = 0;
  for (const number of trace) {
    const key = `product:${number}`;
    accesses += 1;
    if (entries.get(key) === undefined) entries.set(key, entry, sizeOf(number));
    else hits += 1;
  }
  return (hits / accesses) * 100;
}

function* loop({ keys, accesses, from = 0 }: { keys: number; accesses: number; from?: number }): Generator<number> {
  for (let i = 0; i < accesses; i += 1) yield from + (i % keys);
}

/** Each key is used again within `within` accesses, or never. */
function* recent({ accesses, within }: { accesses: number; within: number }): Generator<number> {
  const random = randomFrom(7);
  const last: number[] = [];
  for (let i = 0; i < accesses; i += 1) {
    const back = Math.floor(random() ** 2 * within);
    const key = random() < 0.5 && back < i ? last[(i - back - 1) % within]! : 1_000_000 + i;
    last[i % within] = key;
    yield key;
  }
}

function* zipf({ keys, exponent, accesses }: { keys: number; exponent: number; accesses: number }): Generator<number> {
  const random = randomFrom(42);
  const until = new Float64Array(keys);
  for (let rank = 0, total = 0; rank < keys; rank += 1) until[rank] = total += 1 / (rank + 1) ** exponent;
  for (let i = 0; i < accesses; i += 1) {
    const wanted = random() * until[keys - 1]!;
    let [low, high] = [0, keys - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (until[middle]! < wanted) low = middle + 1;
      else high = middle;
    }
    yield low;
  }
}

/** Other keys are popular in each phase. */
function* shifting({ keys, accesses, phase }: { keys: number; accesses: number; phase: number }): Generator<number> {
  let i = 0;
  for (const rank of zipf({ keys, exponent: 0.99, accesses }))
    yield (rank + Math.floor((i += 1) / phase) * 7_919) % keys;
}

function* phases({ accesses, phase }: { accesses: number; phase: number }): Generator<number> {
  const [fresh, around] = [recent({ accesses, within: 1_000 }), loop({ keys: 1_500, accesses })];
  for (let i = 0; i < accesses; i += 1) {
    const next = (Math.floor(i / phase) % 2 === 0 ? fresh : around).next();
    if (!next.done) yield next.value;
  }
}

/** After each `scan` accesses as many keys pass once. */
function* scanned({ keys, accesses, scan }: { keys: number; accesses: number; scan: number }): Generator<number> {
  let i = 0;
  for (const rank of zipf({ keys, exponent: 0.99, accesses: accesses / 2 })) {
    yield rank;
    i += 1;
    if (i % scan === 0) for (let passing = 0; passing < scan; passing += 1) yield keys + i + passing;
  }
}

/** From 0 to 1, the same for the same seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
