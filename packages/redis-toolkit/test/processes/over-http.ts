import { createRedis } from "@hotset/redis-toolkit";
import { locks } from "@hotset/redis-toolkit/lock";
import { fixedWindow, rateLimit } from "@hotset/redis-toolkit/rate-limit";
import { http } from "@hotset/redis/http";
import { answerCalls } from "@hotset/test-servers";

// One of several processes over one Redis, which is reached over HTTP.

const redis = createRedis({ connection: http({ url: process.env["PROXY_URL"]!, token: "secret" }) });

/** Instants are the machine's monotonic clock, so processes can be compared. */
export interface Holding {
  readonly fence: number;
  readonly from: bigint;
  readonly to: bigint;
}

const handlers = {
  /** Sends all calls at once. @returns how many were allowed */
  consume: async (name: string, calls: number): Promise<number> => {
    const limit = rateLimit(redis, { name, rules: [fixedWindow({ limit: 100 })], whenAway: "closed", deadline: "20s" });
    const results = await Promise.all(Array.from({ length: calls }, () => limit.consume("user")));
    if (results.some(({ degraded }) => degraded)) throw new Error("decided without Redis");
    return results.filter(({ allowed }) => allowed).length;
  },
  /** Takes one lock, `rounds` times. */
  contend: async (name: string, rounds: number): Promise<readonly Holding[]> => {
    const holdings: Holding[] = [];
    for (let round = 0; round < rounds; round += 1)
      await locks(redis).using(name, { wait: "1m" }, async ({ fence }) => {
        const from = process.hrtime.bigint();
        await Promise.resolve();
        holdings.push({ fence, from, to: process.hrtime.bigint() });
      });
    return holdings;
  },
  close: (): Promise<void> => redis.disconnect(),
};
export type OverHttp = typeof handlers;
answerCalls(handlers);
