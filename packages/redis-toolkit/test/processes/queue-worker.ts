import { createRedis } from "@hotset/redis-toolkit";
import { queue, type Worker } from "@hotset/redis-toolkit/queue";
import { answerCalls } from "@hotset/test-servers";

const redis = createRedis({ env: false, url: process.argv[2]!, commandTimeout: "2s", backoff: { base: 10, max: 100 } });
const jobs = queue<string>(redis, "jobs");
const started: string[] = [];
let worker: Worker | undefined;

const block = (ms: number): void => {
  const end = performance.now() + ms;
  while (performance.now() < end);
};

const handlers = {
  /** Works on jobs: one hangs, or blocks the loop for so long. */
  work(visibilityMs: number, blockMs?: number): void {
    worker = jobs.worker(
      ({ data, attempt }) => {
        started.push(`${data} ${attempt}`);
        if (blockMs === undefined) return new Promise(() => undefined);
        return block(blockMs);
      },
      { visibility: visibilityMs, grace: 0 },
    );
  },
  started: () => started,
  stats: () => worker?.stats,
  async stop(): Promise<void> {
    await redis.disconnect();
  },
};

export type QueueWorkerHandlers = typeof handlers;
answerCalls(handlers);
