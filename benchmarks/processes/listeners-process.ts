/**
 * A process with many caches, each with a connection of its own: Redis sees as many processes. Started by the trials.
 */
import { createCache, memory, redis, type Cache } from "hotset";
import { answerCalls } from "@hotset/test-servers";

let caches: readonly Cache[] = [];

const handlers = {
  async open(url: string, name: string, count: number): Promise<void> {
    caches = Array.from({ length: count }, () =>
      createCache({ name }).tier(memory()).tier(redis(url).build()).defaults({ ttl: "1h" }).build(),
    );
    await Promise.all(caches.map((cache) => cache.connect()));
  },

  /** How many receive invalidations. */
  listening: (): number => caches.filter((cache) => cache.stats().tiers.at(-1)!.state === "up").length,

  /** Time on processors so far, in ms. */
  processorMs(): number {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1_000;
  },

  async close(): Promise<void> {
    await Promise.all(caches.map((cache) => cache.close()));
  },
};

export type ListenersProcess = typeof handlers;

answerCalls(handlers);
