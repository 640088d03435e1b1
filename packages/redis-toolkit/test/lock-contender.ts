import { createRedis } from "@hotset/redis-toolkit";
import { locks } from "@hotset/redis-toolkit/lock";
import { answerCalls } from "@hotset/test-servers";

/** One time that a contender held a lock. Instants are the machine's monotonic clock, so processes can be compared. */
export interface Holding {
  readonly lock: number;
  readonly fence: number;
  readonly from: bigint;
  readonly to: bigint;
}

const handlers = {
  /** Each contender takes its lock `rounds` times. */
  async contend(url: string, contenders: readonly number[], rounds: number): Promise<readonly Holding[]> {
    await using redis = createRedis({ url, env: false });
    const holdings: Holding[] = [];
    await Promise.all(
      contenders.map(async (lock) => {
        for (let round = 0; round < rounds; round += 1)
          await locks(redis).using(`contended ${lock}`, { wait: "1m" }, async ({ fence }) => {
            const from = process.hrtime.bigint();
            await Promise.resolve();
            holdings.push({ lock, fence, from, to: process.hrtime.bigint() });
          });
      }),
    );
    return holdings;
  },
};

export type Handlers = typeof handlers;
answerCalls(handlers);
