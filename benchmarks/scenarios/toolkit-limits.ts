import { setTimeout as sleep } from "node:timers/promises";
import { createRedis } from "@hotset/redis-toolkit";
import {
  fixedWindow,
  gcra,
  rateLimit,
  slidingCounter,
  slidingLog,
  tokenBucket,
  type Rule,
} from "@hotset/redis-toolkit/rate-limit";
import { startOwnRedis, type OwnRedis } from "@hotset/test-servers";
import { createClient } from "@redis/client";
import { RateLimiterRedis, type RateLimiterRes } from "rate-limiter-flexible";
import { inFlight, type Scenario } from "../measure.ts";
import { commandFigures } from "../server-figures.ts";
import type { Conditions, Figure, Trial } from "../trial.ts";

const KEYS = 2_000;
const key = (i: number): string => `user:${i % KEYS}`;
const PEER = "rate-limiter-flexible";

/** Decides about one call. @returns whether it was allowed */
interface Side {
  readonly name: string;
  decide(i: number): Promise<boolean>;
  close(): Promise<unknown>;
}

/** Decisions by hotset and by rate-limiter-flexible over node-redis: both a fixed window, over the same server. */
export async function toolkitLimitScenarios(
  url: string,
): Promise<{ readonly scenarios: readonly Scenario[]; close(): Promise<void> }> {
  const [raw, hotset] = [await theirs(url, 1_000_000_000), ours(url, fixedWindow({ limit: 1_000_000_000 }))];
  const run = (side: Side, limit: number): Scenario["raw"] => ({
    name: side.name,
    run: (operations) => inFlight(limit, operations, (i) => side.decide(i)),
  });
  return {
    scenarios: [1, 50, 500].map((limit) => ({
      name: `toolkit limits, fixed window, ${limit} in flight`,
      operations: limit === 1 ? 5_000 : 30_000,
      shows: "speed",
      // The server's clock and blocks cost a microsecond of Redis: docs/guide/toolkit-limits.md.
      target: 0.8,
      counts: "decisions",
      raw: run(raw, limit),
      hotset: run(hotset, limit),
    })),
    close: async () => void (await Promise.all([raw.close(), hotset.close()])),
  };
}

/** Commands and time of Redis for a decision, by kind; then the calls of a second in which Redis stands still. */
export const limitsInRedis = ({ server, url, rounds }: Conditions): Trial => ({
  name: "toolkit limits, cost of a decision, and a Redis that stands still",
  run: async () => {
    const limit = { limit: 10_000 };
    const sides = [
      await theirs(url, 10_000),
      ...[fixedWindow(limit), slidingLog(limit), slidingCounter(limit), tokenBucket(limit), gcra(limit)].map((rule) =>
        ours(url, rule),
      ),
    ];
    const figures: Figure[] = [];
    for (const side of sides) figures.push(...(await costOf(server, side, rounds)));
    await Promise.all(sides.map((side) => side.close()));
    for (const open of [theirs, async (at: string) => ours(at, fixedWindow({ limit: 50 }))])
      figures.push(...(await standstill(open)));
    return figures;
  },
});

const DECISIONS = 5_000;

/** The least of some rounds: others on the machine only add to it. */
async function costOf(server: OwnRedis, side: Side, rounds: number): Promise<readonly Figure[]> {
  let [microseconds, commands] = [Infinity, 0];
  for (let round = 0; round < Math.max(3, rounds); round += 1) {
    await server.command("CONFIG", "RESETSTAT");
    await inFlight(50, DECISIONS, (i) => side.decide(i));
    const scripts = await commandFigures(server, ["eval", "evalsha"]);
    microseconds = Math.min(microseconds, scripts.microseconds / DECISIONS);
    commands = scripts.calls / DECISIONS;
  }
  return [
    { what: `${side.name}: commands for a decision`, value: commands, unit: "" },
    { what: `${side.name}: time of Redis for a decision`, value: microseconds, unit: " us" },
  ];
}

/** A call every 10 ms at a limit of 50. Redis stands still after 20 of them, for a second. */
async function standstill(open: (url: string, limit: number) => Promise<Side>): Promise<readonly Figure[]> {
  const own = await startOwnRedis();
  const side = await open(own.url, 50);
  await side.decide(0);
  let [allowed, failed, longestMs] = [1, 0, 0];
  const calls: Promise<void>[] = [];
  for (let i = 1; i < 120; i += 1) {
    if (i === 20) own.pause();
    const startedAt = performance.now();
    const decided = side.decide(0).then(
      (isAllowed) => void (isAllowed && (allowed += 1)),
      () => void (failed += 1),
    );
    calls.push(decided.then(() => void (longestMs = Math.max(longestMs, performance.now() - startedAt))));
    await sleep(10);
  }
  own.resume();
  await Promise.all(calls);
  await side.close();
  await own.stop();
  return [
    { what: `${side.name}: longest decision, Redis still for 1 s`, value: longestMs, unit: " ms" },
    { what: `${side.name}: allowed of 120 at a limit of 50`, value: allowed, unit: "", remark: `${failed} failed` },
  ];
}

function ours(url: string, rule: Rule): Side {
  const redis = createRedis({ url, env: false });
  const limit = rateLimit(redis, { name: "bench", rules: [rule] });
  return {
    name: `hotset, ${rule.kind}`,
    decide: async (i) => (await limit.consume(key(i))).allowed,
    close: () => redis.disconnect(),
  };
}

async function theirs(url: string, limit: number): Promise<Side> {
  const client = createClient({ url, disableOfflineQueue: true });
  client.on("error", () => undefined);
  await client.connect();
  const limiter = new RateLimiterRedis({ storeClient: client, points: limit, duration: 3_600, useRedisPackage: true });
  return {
    name: PEER,
    decide: (i) =>
      limiter.consume(key(i)).then(
        () => true,
        (refusal: RateLimiterRes | Error) => {
          if (refusal instanceof Error) throw refusal;
          return false;
        },
      ),
    close: async () => client.destroy(),
  };
}
