import type { LocalTier } from "@hotset/core";
import { memory } from "@hotset/memory";
import { TestClock } from "@hotset/testing";
import { LRUCache } from "lru-cache";
import { spread, type Spread } from "../measure.ts";

export interface Cost {
  readonly what: string;
  readonly entries: number;
  /** CPU time of an operation. */
  readonly adaptiveNs: Spread;
  readonly lruNs: Spread;
  /** Adaptive to LRU, over the rounds: each compares two measurements that follow one another. */
  readonly ratio: Spread;
}

const OPERATIONS = 400_000;
const WARM_UP = 3;

/**
 * CPU time of a hit, and of a new key in a full tier, by `eviction`. Rounds are interleaved, so other processes on the
 * machine disturb both sides alike. Each operation has a pair of tiers of its own.
 */
export function costs(entries: number, rounds: number): readonly Cost[] {
  const keys = Array.from({ length: entries }, (_, i) => `product:${100_000 + i}`);
  const order = skewed(entries);
  const hit = (get: (key: string) => unknown) => () => {
    for (const i of order) sink.last = get(keys[i]!);
  };
  const [adaptive, lru] = [full("adaptive", keys), full("lru", keys)];
  const raw = new LRUCache<string, object>({ max: entries });
  for (const key of keys) raw.set(key, { key });
  const [adaptiveStore, lruStore] = [full("adaptive", keys), full("lru", keys)];
  const hitAdaptive = hit((key) => adaptive.get(key));
  return [
    {
      what: "hit, to memory() on lru-cache",
      entries,
      ...compare(
        hitAdaptive,
        hit((key) => lru.get(key)),
        rounds,
      ),
    },
    {
      what: "hit, to lru-cache itself",
      entries,
      ...compare(
        hitAdaptive,
        hit((key) => raw.get(key)),
        rounds,
      ),
    },
    { what: "new key, full tier", entries, ...compare(storing(adaptiveStore), storing(lruStore), rounds) },
  ];
}

/** So that V8 does not leave out a call whose result is not used. */
const sink: { last: unknown } = { last: undefined };

function full(eviction: "adaptive" | "lru", keys: readonly string[]): LocalTier {
  const tier = memory({ maxEntries: keys.length, maxBytes: "1gb", eviction });
  tier.attach({ clock: new TestClock(), evicted: () => undefined });
  // Evicts before all keys are in, so that the duel is on.
  tier.set("first", { value: 1, deadAt: Infinity, encodedBytes: 200 });
  for (const key of keys) tier.set(key, { value: key, deadAt: Infinity, encodedBytes: 200 });
  return tier;
}

function storing(tier: LocalTier): () => void {
  let next = 0;
  return () => {
    for (let i = 0; i < OPERATIONS; i += 1)
      tier.set(`new:${(next += 1)}`, { value: next, deadAt: Infinity, encodedBytes: 200 });
  };
}

/** Some are used much more often than others. */
function skewed(keys: number): Uint32Array {
  let state = 1;
  return Uint32Array.from({ length: OPERATIONS }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor(keys ** (state / 2 ** 32)) % keys;
  });
}

function compare(adaptive: () => void, lru: () => void, rounds: number): Omit<Cost, "what" | "entries"> {
  const pairs: (readonly [number, number])[] = [];
  for (let round = -WARM_UP; round < rounds; round += 1) {
    const pair = [nanosecondsEach(adaptive), nanosecondsEach(lru)] as const;
    if (round >= 0) pairs.push(pair);
  }
  return {
    adaptiveNs: spread(pairs.map(([ns]) => ns)),
    lruNs: spread(pairs.map(([, ns]) => ns)),
    ratio: spread(pairs.map(([own, other]) => own / other)),
  };
}

function nanosecondsEach(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1_000) / OPERATIONS;
}
