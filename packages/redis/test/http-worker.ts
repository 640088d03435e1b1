import { setTimeout as sleep } from "node:timers/promises";
import { createCache, json } from "@hotset/core";
import { memory } from "@hotset/memory";
import { http, redis } from "@hotset/redis/http";
import { answerCalls, RespClient } from "@hotset/test-servers";

/** What one process did, and the reads that were too old. */
export interface History {
  readonly reads: number;
  readonly changes: number;
  readonly loads: number;
  readonly tooOld: readonly string[];
}

export interface Round {
  readonly url: string;
  readonly redisUrl: string;
  readonly prefix: string;
  readonly layout: "full" | "string";
  /** With `pubsub` copies live as long as entries. */
  readonly coherence: "none" | "pubsub";
  /** How often each of its lanes reads or changes. */
  readonly calls: number;
  readonly responseTimeout: "1s" | "20s";
  readonly seed: number;
}

const KEYS = 6;
const MAX_STALENESS_MS = 500;

export const handlers = {
  /**
   * Reads, changes and invalidates at random. The source of truth is in the same Redis, without a cache: `source` is
   * what a load reads, `known` what every read that begins now must at least give. A read that joins another of its
   * process gives what that one must: nothing tells it of a change elsewhere.
   */
  async run({ url, redisUrl, prefix, layout, coherence, calls, responseTimeout, seed }: Round): Promise<History> {
    const truth = RespClient.fromUrl(redisUrl);
    const backend = redis(http({ url, token: "secret" }))
      .keyPrefix(prefix)
      .layout(layout)
      .coherence(coherence)
      .maxStaleness(MAX_STALENESS_MS)
      .valueFormat(json());
    const cache = createCache({ name: "shop" })
      .tier(memory())
      .tier(backend.breaker({ failures: 20, wait: "100ms" }).responseTimeout(responseTimeout).build())
      .defaults({ ttl: "1m", loadTimeout: "60s", ...(coherence === "none" && { localTtl: 0 }) })
      .build();
    cache.on("backend:error", () => undefined);
    let state = seed;
    const random = (below: number): number => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      return Math.floor((state / 2_147_483_648) * below);
    };
    const tooOld: string[] = [];
    const later: Promise<void>[] = [];
    /** What the reads of a key that are under way must at least give. */
    const running = new Map<string, Map<symbol, number>>();
    let [reads, changes, loads] = [0, 0, 0];
    const version = async (name: string, key: string): Promise<number> =>
      Number((await truth.command("GET", `${prefix}-${name}-${key}`)) ?? 0);
    const load = async (key: string): Promise<number> => {
      loads += 1;
      const value = await version("source", key);
      await sleep(random(20));
      return value;
    };
    const call = async (): Promise<void> => {
      const key = `key ${random(KEYS)}`;
      const tags = [`tag of ${key}`];
      if (random(8) > 0) {
        const known = await version("known", key);
        const others = running.get(key) ?? new Map<symbol, number>();
        running.set(key, others);
        const atLeast = Math.min(known, ...others.values());
        const own = Symbol(key);
        others.set(own, atLeast);
        const value = await cache.getOrSet(key, () => load(key), { tags });
        others.delete(own);
        reads += 1;
        if (value < atLeast) tooOld.push(`${key}: ${value} after ${atLeast}`);
        return;
      }
      const changed = Number(await truth.command("INCR", `${prefix}-source-${key}`));
      const { status } = random(2) === 0 ? await cache.delete(key) : await cache.invalidateTags(...tags);
      changes += 1;
      if (status === "pending") return;
      // A copy that follows changes may be older for this long.
      if (coherence === "pubsub") return void later.push(sleep(MAX_STALENESS_MS + 100).then(() => raise(key, changed)));
      await raise(key, changed);
    };
    const raise = async (key: string, changed: number): Promise<void> => {
      const text =
        "if tonumber(redis.call('GET', KEYS[1]) or '0') < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end";
      await truth.command("EVAL", text, 1, `${prefix}-known-${key}`, changed);
    };
    const lane = async (): Promise<void> => {
      for (let i = 0; i < calls; i += 1) {
        await call();
        // A hit in memory takes no time: changes would not have arrived before the end.
        if (coherence === "pubsub") await sleep(random(100));
      }
    };
    await Promise.all(Array.from({ length: 4 }, lane));
    await Promise.all(later);
    await cache.close();
    truth.close();
    return { reads, changes, loads, tooOld };
  },
};

answerCalls(handlers);
