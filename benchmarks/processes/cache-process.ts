import { monitorEventLoopDelay } from "node:perf_hooks";
/**
 * A process with a cache, like a service: memory over Redis, with no option but the lifetime. Started by the trials.
 */
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { answerCalls } from "@hotset/test-servers";
import { createCache, memory, redis, type Cache } from "hotset";
import { paced } from "./paced.ts";

export interface OpenOptions {
  readonly url: string;
  readonly name: string;
  readonly coherence?: "tracking" | "pubsub";
  readonly maxEntries?: number;
  /** In ms. @default an hour */
  readonly ttl?: number;
}

/** All processes of a machine share one clock: milliseconds with fractions. */
const instant = (): number => Number(process.hrtime.bigint()) / 1e6;

let cache: Cache;
let isDown = false;
let downAt = NaN;
const invalidatedAt = new Map<string, number>();
const value = { id: 7, name: "Ada Lovelace", roles: ["admin", "editor"], bio: "x".repeat(100) };

function mustNotLoad(): never {
  throw new Error("a copy was expected here, and it had to be loaded");
}

const memoryHits = (): number => cache.stats().tiers[0]!.hits;
const keysOf = (stem: string, from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => `${stem}:${from + i}`);

const handlers = {
  async open({ url, name, coherence = "tracking", maxEntries = 10_000, ttl = 3_600_000 }: OpenOptions): Promise<void> {
    cache = createCache({ name })
      .tier(memory({ maxEntries }))
      .tier(redis(url).coherence(coherence).build())
      .defaults({ ttl })
      .build();
    cache.on("backend:state", ({ state }) => {
      if (state === "down" && !isDown) downAt = performance.now();
      isDown = state === "down";
    });
    await cache.connect();
  },

  /** Stores the keys in this range. */
  async fill(stem: string, from: number, to: number): Promise<void> {
    for (let at = from; at < to; at += 500)
      await cache.setMany(keysOf(stem, at, Math.min(at + 500, to)).map((key) => [key, value] as const));
  },

  /** Fetches a trusted copy of each stored key. */
  async hold(stem: string, from: number, to: number): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      const missing = keysOf(stem, from, to).filter((key) => cache.peek(key) === undefined);
      if (missing.length === 0) break;
      if (attempt === 20) throw new Error(`${missing.length} of ${to - from} copies could not be had`);
      for (let at = 0; at < missing.length; at += 500) await cache.getMany(missing.slice(at, at + 500));
      await sleep(5);
    }
  },

  /** The number of copies it has. */
  held: (stem: string, from: number, to: number): number =>
    keysOf(stem, from, to).filter((key) => cache.peek(key) !== undefined).length,

  /** Deletes them one after another, with a pause after each. */
  async deleteEach(
    stem: string,
    from: number,
    to: number,
    pauseMs: number,
  ): Promise<readonly { readonly key: string; readonly calledAt: number; readonly doneAt: number }[]> {
    const deleted = [];
    for (const key of keysOf(stem, from, to)) {
      const calledAt = instant();
      const { status } = await cache.delete(key);
      const doneAt = instant();
      if (status !== "deleted") throw new Error(`${key} was ${status}`);
      deleted.push({ key, calledAt, doneAt });
      await sleep(pauseMs);
    }
    return deleted;
  },

  /** From now on records when copies end that other processes changed. */
  watch(): void {
    cache.on("invalidate", ({ scope, origin, key }) => {
      if (scope !== "key" || origin !== "elsewhere" || key === undefined) return;
      const at = instant();
      // A copy is gone when it cannot answer any call.
      if (cache.peek(key) === undefined) invalidatedAt.set(key, at);
    });
  },

  /** When each was gone. */
  invalidated: (): ReadonlyMap<string, number> => invalidatedAt,

  /**
   * Answers from memory as fast as it can, 100 calls to a turn of the loop. Meanwhile `loadsInFlight` loads of other
   * keys are always pending.
   */
  async hits(stem: string, count: number, forMs: number, loadsInFlight = 0): Promise<Hits> {
    const keys = keysOf(stem, 0, count);
    let isEnded = false;
    const lanes = Array.from({ length: loadsInFlight }, async () => {
      while (!isEnded) await cache.getOrSet(`beside:${(besides += 1)}`, () => sleep(50, value));
    });
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    const hitsBefore = memoryHits();
    const startedAt = performance.now();
    for (let calls = 0; performance.now() - startedAt < forMs;) {
      for (let i = 0; i < 100; i += 1) await cache.getOrSet(keys[calls++ % count]!, mustNotLoad);
      await turn();
    }
    const perSecond = ((memoryHits() - hitsBefore) / (performance.now() - startedAt)) * 1_000;
    delay.disable();
    isEnded = true;
    await Promise.all(lanes);
    return { perSecond, delayP99Ms: delay.percentile(99) / 1e6, delayMaxMs: delay.max / 1e6 };
  },

  /** Concurrent callers of a key that takes `loadMs` to load. */
  async callers(
    key: string,
    count: number,
    loadMs: number,
  ): Promise<{ readonly loads: number; readonly startedAt: number; readonly endedAt: number }> {
    let loads = 0;
    const startedAt = instant();
    const values = await Promise.all(
      Array.from({ length: count }, () =>
        cache.getOrSet(key, async () => {
          loads += 1;
          await sleep(loadMs);
          return { from: process.pid };
        }),
      ),
    );
    if (new Set(values.map(({ from }) => from)).size !== 1)
      throw new Error("callers of one load were given different values");
    return { loads, startedAt, endedAt: instant() };
  },

  /** Misses one after another, each under a tag: one for all, or a new one each time. */
  async misses(stem: string, count: number, tags: "known" | "new"): Promise<{ readonly tookMs: number }> {
    const startedAt = performance.now();
    for (let i = 0; i < count; i += 1) {
      const key = `${stem}:${i}`;
      await cache.getOrSet(key, () => value, { tags: [tags === "known" ? "users" : key] });
    }
    return { tookMs: performance.now() - startedAt };
  },

  /** Like {@link misses}, at a rate, as far as it can. */
  async missesPaced(
    stem: string,
    perSecond: number,
    forMs: number,
    tags: "known" | "new",
  ): Promise<{ readonly perSecond: number }> {
    const startedAt = performance.now();
    let count = 0;
    const open = new Set<Promise<unknown>>();
    await paced(perSecond, forMs, () => {
      const key = `${stem}:${(count += 1)}`;
      const call = cache.getOrSet(key, () => value, { tags: [tags === "known" ? "users" : key] });
      open.add(call);
      void call.then(() => open.delete(call));
    });
    await Promise.all(open);
    return { perSecond: (count / (performance.now() - startedAt)) * 1_000 };
  },

  /** Stores as fast as it can, 64 in flight, or at a rate. */
  async sets(stem: string, forMs: number, perSecond?: number): Promise<{ readonly perSecond: number }> {
    const startedAt = performance.now();
    let count = 0;
    const set = async (): Promise<void> => {
      const { status } = await cache.set(`${stem}:${(count += 1) % 10_000}`, value);
      if (status !== "stored") throw new Error(`a write was ${status}`);
    };
    if (perSecond === undefined) {
      await Promise.all(
        Array.from({ length: 64 }, async () => {
          while (performance.now() - startedAt < forMs) await set();
        }),
      );
    } else {
      const open: Promise<void>[] = [];
      await paced(perSecond, forMs, () => open.push(set()));
      await Promise.all(open);
    }
    return { perSecond: (count / (performance.now() - startedAt)) * 1_000 };
  },

  /**
   * Requests at a rate, each a `getOrSet` whose loader answers in 5 ms. Our own time is the time of a call less that of
   * the load that ran meanwhile. `hot`: 1,000 keys; `cold`: a new key each time.
   */
  async requests(perSecond: number, forMs: number, keys: "hot" | "cold"): Promise<Requests> {
    const loading = new Map<string, { startedAt: number; endedAt: number }>();
    const own: { readonly at: number; readonly ownMs: number }[] = [];
    const open: Promise<void>[] = [];
    let failed = 0;
    let loads = 0;
    let count = 0;
    let example: string | undefined;
    const startedAt = performance.now();
    const run = (runs += 1);
    const request = async (): Promise<void> => {
      const at = performance.now();
      const key = keys === "hot" ? `hot:${count++ % 1_000}` : `cold:${run}:${count++}`;
      try {
        await cache.getOrSet(key, async () => {
          loads += 1;
          const load = { startedAt: performance.now(), endedAt: Infinity };
          loading.set(key, load);
          await sleep(5);
          load.endedAt = performance.now();
          return value;
        });
      } catch (error) {
        failed += 1;
        example ??= String(error);
      }
      const now = performance.now();
      const load = loading.get(key);
      const loadMs = load === undefined ? 0 : Math.max(0, Math.min(now, load.endedAt) - Math.max(at, load.startedAt));
      own.push({ at, ownMs: now - at - loadMs });
      if (keys === "cold") loading.delete(key);
    };
    await paced(perSecond, forMs, () => open.push(request()));
    await Promise.all(open);
    const sentMs = performance.now() - startedAt;
    const whileOpen = own.filter(({ at }) => at >= downAt).map(({ ownMs }) => ownMs);
    return {
      count,
      perSecond: (count / sentMs) * 1_000,
      failed,
      example,
      loads,
      openAfterMs: downAt - startedAt,
      beforeMs: own.filter(({ at }) => !(at >= downAt)).map(({ ownMs }) => ownMs),
      whileOpenMs: whileOpen,
    };
  },

  /** Time on processors so far, in ms. */
  processorMs(): number {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1_000;
  },

  close: (): Promise<void> => cache.close(),
};

export interface Hits {
  /** From memory alone. */
  readonly perSecond: number;
  /** Between two turns of the loop, timers of 1 ms included. */
  readonly delayP99Ms: number;
  readonly delayMaxMs: number;
}

export interface Requests {
  readonly count: number;
  readonly perSecond: number;
  readonly failed: number;
  /** The error of the first failed request. */
  readonly example: string | undefined;
  readonly loads: number;
  readonly openAfterMs: number;
  readonly beforeMs: readonly number[];
  readonly whileOpenMs: readonly number[];
}

let besides = 0;
let runs = 0;

export type CacheProcess = typeof handlers;

answerCalls(handlers);
