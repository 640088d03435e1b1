import { setTimeout as sleep } from "node:timers/promises";
import { createCache, memory, redis, type Cache } from "hotset";
import { LRUCache } from "lru-cache";
import type { Scenario } from "../measure.ts";

/** Hits in a local tier that receives invalidations: the cost that coherence and tags add to a hit. */
export async function coherentHitScenarios(
  url: string,
): Promise<{ readonly scenarios: readonly Scenario[]; close(): Promise<void> }> {
  const cache = createCache({ name: "coherent" })
    .tier(memory())
    .tier(redis(url).build())
    .defaults({ ttl: "1h" })
    .build();
  await cache.connect();
  const lru = new LRUCache<string, object>({ max: 10_000, ttl: 3_600_000, ttlResolution: 0 });
  const keys = Array.from({ length: 1_000 }, (_, i) => `user:${i}`);
  const tagged = keys.map((key) => `tagged:${key}`);
  for (const key of keys) lru.set(key, { id: key });
  await cache.setMany(keys.map((key) => [key, { id: key }] as const));
  await cache.setMany(
    tagged.map((key) => [key, { id: key }] as const),
    { tags: ["users", "people"] },
  );
  const around = async (key: string, otherwise: () => object, _options: object): Promise<object> =>
    lru.get(key) ?? otherwise();
  const awaited =
    (of: readonly string[], call: (key: string) => Promise<unknown>) =>
    async (operations: number): Promise<void> => {
      for (let i = 0; i < operations; i += 1) await call(of[i % of.length]!);
    };
  const rest = (): Promise<void> => untilCopied(cache, [...keys, ...tagged]);
  const hits = (of: readonly string[]) =>
    awaited(of, (key) => cache.getOrSet(key, mustNotLoad, { tags: ["users", "people"] }));
  return {
    scenarios: [
      {
        name: "memory hit over Redis, getOrSet",
        raw: {
          name: "async function around lru-cache",
          run: awaited(keys, (key) => around(key, load, { tags: ["users"] })),
        },
        hotset: {
          name: "getOrSet",
          run: awaited(keys, (key) => cache.getOrSet(key, mustNotLoad, { tags: ["users", "people"] })),
        },
        operations: 300_000,
        shows: "cost",
        target: 1.6,
        maxBytes: 500,
        rest,
      },
      {
        name: "memory hit, tagged to untagged",
        raw: { name: "an entry without tags", run: hits(keys) },
        hotset: { name: "an entry with two", run: hits(tagged) },
        operations: 300_000,
        shows: "cost",
        target: 1.25,
        rest,
      },
    ],
    close: () => cache.close(),
  };
}

function mustNotLoad(): never {
  throw new Error("a benchmark of hits has loaded");
}

function load(): object {
  return {};
}

/** Lets the event loop turn, so that signs of life arrive, which hits alone never do; and brings all copies back. */
async function untilCopied(cache: Cache, keys: readonly string[]): Promise<void> {
  for (let missing = keys, attempt = 0; ; attempt += 1) {
    await sleep(20);
    missing = missing.filter((key) => cache.peek(key) === undefined);
    if (missing.length === 0) return;
    if (attempt === 20) throw new Error(`${missing.length} copies are still missing after 20 attempts`);
    await cache.getMany(missing);
  }
}
