import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { createCache, json } from "@hotset/core";
import { memory } from "@hotset/memory";
import { http, redis } from "@hotset/redis/http";
import { answerCalls, RespClient } from "@hotset/test-servers";

/** What one process did, and the reads that were too old. */
export interface History {
  readonly reads: number;
  readonly changes: number;
  readonly loads: number;
  /** Reads that asked Redis and got no answer, or did not ask since it had not answered. */
  readonly unanswered: number;
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
    const requests = new CountedRequests();
    const backend = redis(http({ url, token: "secret", fetch: requests.fetch }))
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
    let isDown = false;
    cache.on("backend:state", ({ state }) => void (isDown = state === "down"));
    let state = seed;
    const random = (below: number): number => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      return Math.floor((state / 2_147_483_648) * below);
    };
    const tooOld: string[] = [];
    const later: Promise<void>[] = [];
    /** The reads of a key that are under way. */
    const running = new Map<string, Set<Read>>();
    /** The last change of each key by this process. */
    const changedHere = new Map<string, number>();
    let [reads, changes, loads, unanswered] = [0, 0, 0, 0];
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
        const others = running.get(key) ?? new Set<Read>();
        running.set(key, others);
        // It may join any of them, and is as old, and as little answered, as that one.
        const joined = [{ atLeast: known, lost: requests.lost, isDown }, ...others];
        const read = {
          atLeast: Math.min(...joined.map(({ atLeast }) => atLeast)),
          lost: Math.min(...joined.map(({ lost }) => lost)),
          isDown: joined.some((one) => one.isDown),
        };
        others.add(read);
        const ofOwn = changedHere.get(key) ?? 0;
        const value = await cache.getOrSet(key, () => load(key), { tags });
        others.delete(read);
        reads += 1;
        // The read may have been given up before its request is counted as lost.
        await turn();
        const isAnswered = !read.isDown && !isDown && requests.lost === read.lost;
        if (!isAnswered) unanswered += 1;
        // An older copy may stand in for an answer (C92), but for none that this process has replaced.
        const mayBeOlder = !isAnswered && coherence === "pubsub";
        if (value < read.atLeast && !mayBeOlder) tooOld.push(`${key}: ${value} after ${read.atLeast}`);
        if (value < ofOwn) tooOld.push(`${key}: ${value} after ${ofOwn}, which this process has changed it to`);
        return;
      }
      const changed = Number(await truth.command("INCR", `${prefix}-source-${key}`));
      const { status } = random(2) === 0 ? await cache.delete(key) : await cache.invalidateTags(...tags);
      changes += 1;
      changedHere.set(key, Math.max(changed, changedHere.get(key) ?? 0));
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
    return { reads, changes, loads, unanswered, tooOld };
  },
};

/** A read that is under way: what it must at least give, and the trouble that there was when it began. */
interface Read {
  readonly atLeast: number;
  readonly lost: number;
  readonly isDown: boolean;
}

/** Sends requests, and counts those that were not answered. Streams are not of them. */
class CountedRequests {
  lost = 0;

  readonly fetch = async (url: string, init: RequestInit): Promise<Response> => {
    if (url.includes("/subscribe/")) return fetch(url, init);
    try {
      const response = await fetch(url, init);
      const text = await response.text();
      if (response.status !== 200) this.lost += 1;
      return new Response(text, response);
    } catch (error) {
      this.lost += 1;
      throw error;
    }
  };
}

answerCalls(handlers);
