import { createRedis } from "@hotset/redis-toolkit";
import {
  concurrency,
  fixedWindow,
  gcra,
  rateLimit,
  slidingCounter,
  slidingLog,
  tokenBucket,
} from "@hotset/redis-toolkit/rate-limit";
import { forkScript, startOwnRedis } from "@hotset/test-servers";
import { afterAll, expect, it, vi } from "vitest";
import type { Kind, LimitsProcess } from "./limits-process.ts";
import { ALONE } from "./servers.ts";

const HOUR_MS = 3_600_000;
const server = await startOwnRedis();
const redis = createRedis({ ...ALONE, url: server.url });
const processes = [-HOUR_MS, 0, HOUR_MS, HOUR_MS / 2].map((offsetMs) =>
  forkScript<LimitsProcess>(new URL("limits-process.ts", import.meta.url), {
    env: { REDIS_URL: server.url, CLOCK_OFFSET_MS: String(offsetMs) },
  }),
);
afterAll(async () => {
  await redis.disconnect();
  await Promise.all(processes.map((each) => each.end()));
  await server.stop();
});

const KINDS: readonly Kind[] = ["fixedWindow", "slidingLog", "slidingCounter", "tokenBucket", "gcra", "concurrency"];

it.each(KINDS)("A70: of 500 calls of 4 processes, with clocks an hour apart, %s allows exactly 100", async (kind) => {
  const allowed = await Promise.all(processes.map((each) => each.call("consume", kind, `of all:${kind}`, 125)));
  expect(allowed.reduce((sum, count) => sum + count)).toBe(100);
});

it.each(KINDS)("A73: %s decides by the server's clock, not by those of the processes", async (kind) => {
  const clocks = await Promise.all(processes.map((each) => each.call("now")));
  expect(clocks[2]! - clocks[0]!).toBeGreaterThan(1.9 * HOUR_MS);
  const allowed: number[] = [];
  for (const each of processes) allowed.push(await each.call("consume", kind, `in turn:${kind}`, 60));
  expect(allowed).toEqual([60, 40, 0, 0]);
});

it("A73: limiters that were made while the clock of this process was an hour away decide the same", async () => {
  const allowed: number[] = [];
  for (const offsetMs of [-HOUR_MS, 0, HOUR_MS, HOUR_MS / 2]) {
    const now = Date.now();
    vi.spyOn(Date, "now").mockImplementation(() => now + offsetMs);
    const rules = [slidingLog(), slidingCounter(), tokenBucket(), gcra()];
    const limit = rateLimit(redis, { name: "of one", rules, whenAway: "closed", deadline: "1m" });
    const results = await Promise.all(Array.from({ length: 60 }, () => limit.consume("u")));
    allowed.push(results.filter((result) => result.allowed).length);
    vi.restoreAllMocks();
  }
  expect(allowed).toEqual([60, 40, 0, 0]);
  const rules = [slidingLog(), slidingCounter(), tokenBucket(), gcra()];
  await rateLimit(redis, { name: "of one", rules, deadline: "1m" }).reset("u");
});

it("A72: among 10,000 calls whose keys expire meanwhile, none leaves a key without an end", async () => {
  const rules = [
    fixedWindow({ limit: 3, window: 2 }),
    slidingLog({ limit: 3, window: 2 }),
    slidingCounter({ limit: 3, window: 4, slices: 2 }),
    tokenBucket({ limit: 3, refill: 2 }),
    gcra({ limit: 3, window: 3 }),
    concurrency({ limit: 3, hold: 2 }),
  ];
  const limits = rules.map((rule) =>
    rateLimit(redis, { name: "short", rules: [rule], blockFor: 3, deadline: "1m", rememberRefusals: 0 }),
  );
  const operations = ["consume", "consume", "penalty", "reward"] as const;
  let immortal = 0;
  for (let round = 0; round < 20; round += 1) {
    await Promise.all(
      Array.from({ length: 500 }, async (_, i) => {
        const limit = limits[i % limits.length]!;
        await limit[operations[Math.floor(Math.random() * 4)]!](`u${i % 7}`);
      }),
    );
    for await (const key of redis.commands.scan()) if ((await redis.commands.ttlMs(key)) === "none") immortal += 1;
  }
  expect(immortal).toBe(0);
  await expect.poll(() => redis.commands.dbSize()).toBeLessThanOrEqual(12);
});
