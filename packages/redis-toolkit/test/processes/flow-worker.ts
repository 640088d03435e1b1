import { createRedis } from "@hotset/redis-toolkit";
import { queue } from "@hotset/redis-toolkit/queue";
import { answerCalls } from "@hotset/test-servers";

const redis = createRedis({ env: false, url: process.argv[2]!, commandTimeout: "60s" });
const jobs = queue<string, unknown>(redis, "flow");

const handlers = {
  work(visibilityMs: number): void {
    jobs.worker(async ({ data, children }) => [data, ...(await children()).map(({ result }) => result)], {
      visibility: visibilityMs,
      concurrency: 1,
    });
  },
  add: () => void jobs.addFlow({ data: "parent" }, [{ data: "one" }, { data: "two" }]).catch(() => undefined),
  stop: () => redis.disconnect(),
};

export type FlowWorkerHandlers = typeof handlers;
answerCalls(handlers);
