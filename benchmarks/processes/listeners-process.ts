/**
 * A process with many caches, each with a connection of its own: Redis sees as many processes. Started by the trials.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { answerCalls } from "@hotset/test-servers";
import { cluster, createCache, memory, redis, type Cache } from "hotset";
import { paced } from "./paced.ts";

const VALUE = "x".repeat(200);
let caches: readonly Cache[] = [];
let names = 0;

const handlers = {
  /** @param place of one server, or those of the nodes of a cluster */
  async open(place: string | readonly string[], name: string, count: number): Promise<void> {
    const backend = () => redis(typeof place === "string" ? place : cluster(place)).build();
    caches = Array.from({ length: count }, () =>
      createCache({ name }).tier(memory()).tier(backend()).defaults({ ttl: "1h" }).build(),
    );
    await Promise.all(caches.map((cache) => cache.connect()));
  },

  /** How many receive invalidations. */
  listening: (): number => caches.filter((cache) => cache.stats().tiers.at(-1)!.state === "up").length,

  /** Each cache calls `getOrSet` for these keys, one after another. A load takes `loadMs`. */
  async read(keys: readonly string[], tags: readonly string[] = [], loadMs = 0): Promise<void> {
    const load = (): Promise<string> => sleep(loadMs, VALUE);
    const readAll = async (cache: Cache): Promise<void> => {
      for (const key of keys) await cache.getOrSet(key, load, { tags });
    };
    await Promise.all(caches.map(readAll));
  },

  /** Each cache does this with so many keys or tags that no other has. */
  async own(call: "load" | "set" | "tag", count: number, valueBytes = VALUE.length): Promise<void> {
    const value = "x".repeat(valueBytes);
    const calls = {
      load: (cache: Cache) => cache.getOrSet(ownName(), () => value),
      set: (cache: Cache) => cache.set(ownName(), value),
      tag: (cache: Cache) => cache.invalidateTags(ownName()),
    };
    const callAll = async (cache: Cache): Promise<void> => {
      for (let i = 0; i < count; i += 1) await calls[call](cache);
    };
    await Promise.all(caches.map(callAll));
  },

  /** By the first cache, one after another. */
  async set(keys: readonly string[]): Promise<void> {
    for (const key of keys) await caches[0]!.set(key, VALUE);
  },

  /** Likewise. */
  async invalidate(tags: readonly string[]): Promise<void> {
    for (const tag of tags) await caches[0]!.invalidateTags(tag);
  },

  /** Each cache reads all keys in each turn, and loads a key that is new with the given probability. */
  async serve({ keys, tagged, forMs, turnMs, loadsPerTurn }: Load): Promise<Record<"reads" | "loads", number>> {
    const endsAt = performance.now() + forMs;
    const count = { reads: 0, loads: 0 };
    const serveFrom = async (cache: Cache): Promise<void> => {
      // Not all in one turn.
      await sleep(Math.random() * turnMs);
      while (performance.now() < endsAt) {
        for (const key of keys) await cache.getOrSet(key, () => VALUE);
        for (const key of tagged) await cache.getOrSet(key, () => sleep(10, VALUE), { tags: [key] });
        count.reads += keys.length + tagged.length;
        if (Math.random() < loadsPerTurn) {
          count.loads += 1;
          await cache.getOrSet(ownName(), () => VALUE);
        }
        await sleep(turnMs);
      }
    };
    await Promise.all(caches.map(serveFrom));
    return { reads: count.reads + count.loads, loads: count.loads };
  },

  /** Writes keys and invalidates tags at these rates, by the first cache. @returns how many it has done */
  async change({ keys, tagged, forMs, writesPerSecond, tagCallsPerSecond }: Load): Promise<readonly [number, number]> {
    const done = { writes: 0, tagCalls: 0 };
    await Promise.all([
      paced(writesPerSecond, forMs, () => void caches[0]!.set(keys[done.writes++ % keys.length]!, VALUE)),
      paced(tagCallsPerSecond, forMs, () => void caches[0]!.invalidateTags(tagged[done.tagCalls++ % tagged.length]!)),
    ]);
    return [done.writes, done.tagCalls];
  },

  /** Time on processors so far, in ms. */
  processorMs(): number {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1_000;
  },

  async close(): Promise<void> {
    await Promise.all(caches.map((cache) => cache.close()));
  },
};

const ownName = (): string => `own:${process.pid}:${(names += 1)}`;

/** The work of all processes of a service together. */
export interface Load {
  readonly keys: readonly string[];
  /** Keys with a tag each, of the same name. */
  readonly tagged: readonly string[];
  readonly forMs: number;
  readonly turnMs: number;
  readonly loadsPerTurn: number;
  readonly writesPerSecond: number;
  readonly tagCallsPerSecond: number;
}

export type ListenersProcess = typeof handlers;

answerCalls(handlers);
