import { appendFileSync } from "node:fs";
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
import { answerCalls } from "@hotset/test-servers";
import { Random } from "@hotset/test-servers";

export const LIMIT = 30;
export const WINDOW_MS = 1_500;
const OPTIONS = { limit: LIMIT, window: WINDOW_MS };

/** With the most that any window of that length may hold. */
export const RULES: Readonly<Record<string, { readonly rule: Rule; readonly most: number }>> = {
  "a fixed window": { rule: fixedWindow(OPTIONS), most: 2 * LIMIT },
  "a sliding log": { rule: slidingLog(OPTIONS), most: LIMIT },
  "a sliding counter": { rule: slidingCounter(OPTIONS), most: LIMIT },
  "a token bucket": { rule: tokenBucket({ limit: LIMIT, refill: WINDOW_MS }), most: 2 * LIMIT },
  GCRA: { rule: gcra({ ...OPTIONS, burst: 5 }), most: LIMIT + 5 },
};

/** A call that was allowed by Redis. Instants are ms of the machine's monotonic clock, the same in all processes. */
export interface Allowed {
  readonly rule: string;
  readonly cost: number;
  readonly sentAt: number;
  readonly repliedAt: number;
}

export interface CallerSettings {
  readonly url: string;
  /** One line for each call that was allowed. It outlives the process. */
  readonly journal: string;
  readonly seed: number;
  /** How far its own clocks are from those of the machine. */
  readonly clockOffsetMs: number;
}

export interface Figures {
  readonly refused: number;
  readonly degraded: number;
}

let isEnding = false;
let running: Promise<Figures> | undefined;

const handlers = {
  start: (settings: CallerSettings): void => {
    running = call(settings);
  },
  stop: async (): Promise<Figures> => {
    isEnding = true;
    return running!;
  },
};
export type Handlers = typeof handlers;

async function call({ url, journal, seed, clockOffsetMs }: CallerSettings): Promise<Figures> {
  const [epochNow, monotonicNow] = [Date.now, performance.now.bind(performance)];
  Date.now = () => epochNow() + clockOffsetMs;
  performance.now = () => monotonicNow() + clockOffsetMs;
  const silent = { error: () => undefined, warn: () => undefined, info: () => undefined };
  const redis = createRedis({ env: false, url, backoff: { base: 10, max: 200 }, logger: silent });
  let [refused, degraded] = [0, 0];
  const callers = Object.entries(RULES).flatMap(([name, { rule }], index) => {
    const limit = rateLimit(redis, { name: "hunt", rules: [rule], whenAway: "closed", rememberRefusals: 20 });
    return [0, 1].map(async (lane) => {
      const random = new Random(seed + 2 * index + lane);
      while (!isEnding) {
        const [cost, sentAt] = [1 + random.below(3), machineMs()];
        const result = await limit.consume("u", cost);
        if (result.allowed) {
          const line: Allowed = { rule: name, cost, sentAt, repliedAt: machineMs() };
          appendFileSync(journal, `${JSON.stringify(line)}\n`);
        } else if (result.degraded) degraded += 1;
        else refused += 1;
        await new Promise((resolve) => setTimeout(resolve, random.below(30)));
      }
    });
  });
  await Promise.all(callers);
  await redis.disconnect();
  return { refused, degraded };
}

const machineMs = (): number => Number(process.hrtime.bigint()) / 1e6;

// The hunt imports the rules from here.
if (process.send !== undefined) answerCalls(handlers);
