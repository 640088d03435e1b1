// Many keys in one call, and many calls in one turn, over a Redis that is well.

import type { Cache, Duration } from "@hotset/core";
import { isNightly, startOwnRedis } from "@hotset/test-servers";
import { redis } from "hotset";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { LAYOUT } from "../support/layout.ts";
import { over } from "../support/over-redis.ts";
import type { Stack } from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

let errors: string[];
let recoveries: number;

const server = await startOwnRedis();
afterAll(() => server.stop());

beforeEach(async () => {
  await server.command("FLUSHALL");
  errors = [];
  recoveries = 0;
});

/** Its entries outlast the test: a busy machine takes longer than the default, a minute, for 200,000 keys. */
async function open(responseTimeout: Duration = "2s", stack: Stack = "memory over backend"): Promise<Cache> {
  const backend = redis(server.url).layout(LAYOUT).responseTimeout(responseTimeout).build();
  const cache = over(backend, { name: "bulk", ttl: "1h", stack });
  cache.on("backend:error", ({ operation, error }) => void errors.push(`${operation}: ${error.message}`));
  cache.on("recover", () => void (recoveries += 1));
  await cache.connect();
  return cache;
}

/** More than two hundred windows of keys at night, and more arguments than a function takes. */
const COUNTS = isNightly ? [1, 3_000, 60_000, 200_000] : [1, 3_000, 6_000];
const IN_ONE_TURN = isNightly ? 50_000 : 10_000;
const STARVED = isNightly ? 30_000 : 6_000;

const keys = (count: number): readonly string[] => Array.from({ length: count }, (_, i) => `k${i}`);

describe("calls of many keys", () => {
  it.each(COUNTS)("%i keys are stored, found and deleted, and nothing else is", async (count) => {
    const cache = await open();
    await cache.setMany(keys(1_000).map((key) => [`other:${key}`, "kept"] as const));

    expect(await cache.setMany(keys(count).map((key) => [key, key] as const))).toEqual({
      stored: count,
      pending: 0,
      refused: 0,
    });
    const found = await cache.getMany(keys(count));
    expect(found.size).toBe(count);
    expect(found.get(`k${count - 1}`)).toBe(`k${count - 1}`);
    expect(await cache.deleteMany(keys(count))).toEqual({ deleted: count, missing: 0, pending: 0 });

    expect((await cache.getMany(keys(1_000).map((key) => `other:${key}`))).size).toBe(1_000);
    expect({ errors, recoveries, state: cache.stats().tiers[1]!.state }).toEqual({
      errors: [],
      recoveries: 0,
      state: "up",
    });
  });

  it("take memory for the keys that are under way, not for all", async () => {
    const cache = await open();
    const value = "x".repeat(8_000);
    const heapBefore = process.memoryUsage().rss;
    let highest = 0;
    const watch = setInterval(() => (highest = Math.max(highest, process.memoryUsage().rss)), 20);
    await cache.setMany(keys(25_000).map((key) => [key, value] as const));
    clearInterval(watch);
    // All values in one format at once, 200 MB, would not fit.
    expect((highest - heapBefore) / 2 ** 20).toBeLessThan(250);
  });
});

describe("calls of one turn", () => {
  /** Four times as long as this machine takes for the calls that are in flight at once, a tenth of all. */
  async function deadline(stack: Stack, call: (cache: Cache, key: string) => Promise<unknown>): Promise<Duration> {
    const cache = await open("2m", stack);
    const startedAt = performance.now();
    await Promise.all(keys(IN_ONE_TURN / 10).map((key) => call(cache, key)));
    const deadlineMs = Math.max(2_000, 4 * (performance.now() - startedAt));
    await cache.close();
    return deadlineMs;
  }

  it(`${IN_ONE_TURN} sets are stored, and nothing is cleared`, async () => {
    const cache = await open(await deadline("memory over backend", (near, key) => near.set(key, key)));
    await cache.set("other", "kept");
    const results = await Promise.all(keys(IN_ONE_TURN).map((key) => cache.set(key, key)));
    expect(results.filter(({ status }) => status === "stored").length).toBe(IN_ONE_TURN);
    expect(await cache.get("other")).toBe("kept");
    expect({ errors, recoveries }).toEqual({ errors: [], recoveries: 0 });
  });

  it(`${STARVED} sets of a process with little CPU are stored, and nothing is cleared`, async () => {
    const starving = setInterval(() => {
      const until = performance.now() + 8;
      while (performance.now() < until);
    }, 2);
    try {
      const few = await open("2m", "backend");
      await few.set("other", "kept");
      const startedAt = performance.now();
      await Promise.all(keys(STARVED / 10).map((key) => few.set(key, key)));
      // All together take ten of these: as long as a command may wait for room, and with more of them than may wait.
      const deadlineMs = performance.now() - startedAt;
      await few.close();
      const backend = redis(server.url).layout(LAYOUT).responseTimeout(deadlineMs).maxInFlight(100).build();
      await using cache = over(backend, { name: "bulk", ttl: "1h", stack: "memory over backend" });
      const seen = watch(cache, "recover", "pending:overflow", "backend:error");
      await cache.connect();
      const results = await Promise.all(keys(STARVED).map((key) => cache.set(key, key)));
      expect(results.filter(({ status }) => status === "stored").length).toBe(STARVED);
      expect([cache.stats().pending, await cache.get("other"), seen]).toEqual([0, "kept", []]);
    } finally {
      clearInterval(starving);
    }
  });
});
