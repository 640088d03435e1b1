import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { createRedis, type RedisOptions } from "@hotset/redis-toolkit";
import { queue } from "@hotset/redis-toolkit/queue";
import { answerCalls } from "@hotset/test-servers";

/** Works on jobs until it is killed. Each job that it has done is a line of its own file, written before it reports. */
const [address, file] = process.argv.slice(2) as [string, string];
const redis = createRedis({
  ...(JSON.parse(address) as RedisOptions),
  env: false,
  commandTimeout: "2s",
  backoff: { base: 20, max: 200 },
});
queue<number>(redis, "hunt", { attempts: 1_000_000 }).worker(
  async ({ data }) => {
    await sleep(Math.random() * 20);
    appendFileSync(file, `${data}\n`);
  },
  { concurrency: 20, visibility: "1s" },
);
answerCalls({});
