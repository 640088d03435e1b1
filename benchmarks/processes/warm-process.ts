/** A process of a deploy, with its own callers: benchmarks/warm.ts starts it. */
import { setTimeout as sleep } from "node:timers/promises";
import { answerCalls } from "@hotset/test-servers";
import { createCache, memory, redis, type Cache } from "hotset";
import { heartbeat, warm, type WarmResult } from "hotset/inspect";
import { zipf } from "../peers/zipf.ts";

export interface WarmSettings {
  readonly url: string;
  readonly keys: number;
  /** Calls a second. */
  readonly rate: number;
  readonly seed: number;
}

/** Callers of some time. */
export interface Spell {
  readonly calls: number;
  /** Reads of Redis. */
  readonly reads: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const value = (key: string): object => ({ key, text: "x".repeat(1_000) });
const TICK_MS = 5;

let cache: Cache;
let settings: WarmSettings;
let isEnding = false;
let traffic: Promise<void> = Promise.resolve();
let latencies: number[] = [];

/** Calls come at their times, whether earlier ones were answered or not. */
async function callers(): Promise<void> {
  const next = zipf(settings.keys, 0.99, settings.seed);
  const begin = performance.now();
  for (let called = 0; !isEnding; await sleep(TICK_MS)) {
    const due = ((performance.now() - begin) / 1_000) * settings.rate;
    for (; called < due; called += 1) void call(`product:${next()}`);
  }
}

async function call(key: string): Promise<void> {
  const startedAt = performance.now();
  await cache.getOrSet(key, () => value(key));
  latencies.push(performance.now() - startedAt);
}

const reads = (): number => {
  const { hits, misses } = cache.stats().tiers[1]!;
  return hits + misses;
};

const handlers = {
  async open(given: WarmSettings): Promise<void> {
    settings = given;
    cache = createCache({ name: "deploy" })
      .tier(memory({ maxEntries: 20_000 }))
      .tier(redis(given.url).build())
      .defaults({ ttl: "1h" })
      .build();
    await cache.connect();
    heartbeat(cache, { every: "1s", hottest: 2_000 });
  },
  warm: (): Promise<WarmResult> => warm(cache, { from: "fleet" }),
  /** From now on it takes traffic. */
  ready(): void {
    traffic = callers();
  },
  /** What its callers get for so long. */
  async spell(ms: number): Promise<Spell> {
    latencies = [];
    const before = reads();
    await sleep(ms);
    const sorted = Float64Array.from(latencies).toSorted();
    const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))] ?? NaN;
    return { calls: sorted.length, reads: reads() - before, p50Ms: at(0.5), p99Ms: at(0.99) };
  },
  async fill(keys: number): Promise<void> {
    for (let at = 0; at < keys; at += 500)
      await cache.setMany(
        Array.from({ length: Math.min(500, keys - at) }, (_, i) => {
          const key = `product:${at + i}`;
          return [key, value(key)] as const;
        }),
      );
  },
  async close(): Promise<void> {
    isEnding = true;
    await traffic;
    await cache.close();
  },
};

export type WarmProcess = typeof handlers;

answerCalls(handlers);
