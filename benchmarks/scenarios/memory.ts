import { createCache, memory, type Cache } from "hotset";
import { LRUCache } from "lru-cache";
import type { Scenario } from "../measure.ts";

const KEYS = Array.from({ length: 1_000 }, (_, i) => `user:${i}`);

/** Hits in the local tier, against an async function around lru-cache that reads the real clock, as hotset does. */
export async function memoryScenarios(): Promise<readonly Scenario[]> {
  // One each, so that every tier holds as many entries as the raw one.
  const [cache, other] = [1, 2].map(() =>
    createCache({ name: "shop" }).tier(memory()).defaults({ ttl: "1h" }).build(),
  ) as [Cache, Cache];
  const users = other.namespace("users");
  const lru = new LRUCache<string, object>({ max: 10_000, ttl: 3_600_000, ttlResolution: 0 });
  for (const key of KEYS) {
    const value = { id: key };
    lru.set(key, value);
    await cache.set(key, value);
    await users.set(key, value);
  }
  const load = (): object => ({});
  const around = async (key: string, otherwise: () => object, _options: object): Promise<object> =>
    lru.get(key) ?? otherwise();
  const raw = {
    name: "async function around lru-cache",
    run: awaited((key) => around(key, load, { tags: ["users"] })),
  };
  const get = { name: "lru-cache.get", run: direct((key) => lru.get(key)) };
  return [
    {
      name: "memory hit, getOrSet with options",
      raw,
      hotset: { name: "getOrSet", run: awaited((key) => cache.getOrSet(key, load, { tags: ["users"] })) },
      operations: 300_000,
      shows: "cost",
      target: 1.6,
      maxBytes: 500,
    },
    {
      name: "memory hit, peek in the root",
      raw: get,
      hotset: { name: "peek", run: direct((key) => cache.peek(key)) },
      operations: 1_000_000,
      shows: "cost",
      target: 1.3,
    },
    {
      name: "memory hit, peek in a namespace",
      raw: get,
      hotset: { name: "peek", run: direct((key) => users.peek(key)) },
      operations: 1_000_000,
      shows: "cost",
      target: 1.8,
    },
  ];
}

function awaited(call: (key: string) => Promise<unknown>) {
  return async (operations: number): Promise<void> => {
    for (let i = 0; i < operations; i += 1) await call(KEYS[i % KEYS.length]!);
  };
}

let sink: unknown;

function direct(call: (key: string) => unknown) {
  return async (operations: number): Promise<unknown> => {
    for (let i = 0; i < operations; i += 1) sink = call(KEYS[i % KEYS.length]!);
    return sink;
  };
}
