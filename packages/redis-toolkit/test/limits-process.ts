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
import { answerCalls } from "@hotset/test-servers";

// One of several processes that share limits. Its clocks are CLOCK_OFFSET_MS away from those of the machine.

const offsetMs = Number(process.env["CLOCK_OFFSET_MS"]);
const [epochNow, monotonicNow] = [Date.now, performance.now.bind(performance)];
Date.now = () => epochNow() + offsetMs;
performance.now = () => monotonicNow() + offsetMs;

const RULES = { fixedWindow, slidingLog, slidingCounter, tokenBucket, gcra, concurrency };
export type Kind = keyof typeof RULES;

const redis = createRedis({ env: false, url: process.env["REDIS_URL"]! });

const handlers = {
  now: (): number => Date.now(),
  /** Sends all calls at once. @returns how many were allowed */
  consume: async (kind: Kind, key: string, calls: number): Promise<number> => {
    const rule = kind === "concurrency" ? concurrency({ limit: 100, hold: "1h" }) : RULES[kind]({ limit: 100 });
    const limit = rateLimit(redis, { name: "shared", rules: [rule], whenAway: "closed", deadline: "10s" });
    const results = await Promise.all(Array.from({ length: calls }, () => limit.consume(key)));
    if (results.some(({ degraded }) => degraded)) throw new Error("decided without Redis");
    return results.filter(({ allowed }) => allowed).length;
  },
};
export type LimitsProcess = typeof handlers;
answerCalls(handlers);
process.on("disconnect", () => void redis.disconnect());
