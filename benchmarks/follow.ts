/**
 * The cost of following PostgreSQL: 10,000 changed rows a second over 1,000 tags, in transactions of 100 rows. Calls of
 * the cache, processor time of the follower and of Redis, lag.
 *
 *     node --conditions=@hotset/source benchmarks/follow.ts [seconds] [rows in a second]
 */
import { setTimeout as sleep } from "node:timers/promises";
import { forkScript, startOwnPostgres, startOwnRedis, until } from "@hotset/test-servers";
import pg from "pg";
import type { handlers } from "./processes/follower.ts";

const TAGS = 1_000;
const ROWS = 10_000;
const BATCH = 100;
const [seconds = 10, rate = 10_000] = process.argv.slice(2).map(Number);

await using postgres = await startOwnPostgres({ config: ["wal_level = logical", "max_slot_wal_keep_size = 1GB"] });
await using redis = await startOwnRedis();
await postgres.query("create table items (id int primary key, version int not null)");
await postgres.query(`insert into items select id, 0 from generate_series(0, ${ROWS - 1}) as id`);
await postgres.query("create publication bench for table items");
await using follower = forkScript<typeof handlers>(new URL("processes/follower.ts", import.meta.url));
await follower.call("begin", redis.url, postgres.url);
await sleep(1_000);

const redisMs = async (): Promise<number> => {
  const info = String(await redis.command("INFO", "cpu"));
  return (
    ["user", "sys"].reduce((sum, kind) => sum + Number(new RegExp(`used_cpu_${kind}:(\\S+)`).exec(info)![1]), 0) * 1e3
  );
};

const client = new pg.Client({ connectionString: postgres.url });
await client.connect();
const before = { ...(await follower.call("figures")), redisMs: await redisMs() };
await follower.call("lags");
const startedAt = performance.now();
let rows = 0;
while (performance.now() - startedAt < seconds * 1_000) {
  const from = rows % ROWS;
  await client.query(`update items set version = version + 1 where id between ${from} and ${from + BATCH - 1}`);
  rows += BATCH;
  await sleep(Math.max(0, startedAt + (rows / rate) * 1_000 - performance.now()));
}
const tookMs = performance.now() - startedAt;
const figures = async () => follower.call("figures");
await until("all rows", async () => (await figures()).changes - before.changes >= rows);
const drainedMs = performance.now() - startedAt - tookMs;
const after = { ...(await figures()), redisMs: await redisMs() };
const lags = await follower.call("lags");
const at = (share: number): string =>
  `${lags[Math.min(lags.length - 1, Math.floor(lags.length * share))]!.toFixed(1)} ms`;
const perSecond = (count: number): string => Math.round((count / tookMs) * 1_000).toLocaleString("en");
const ofCore = (ms: number): string => `${((ms / tookMs) * 100).toFixed(1)} % of a core`;
console.log(
  [
    `rows changed       ${perSecond(rows)} a second, in transactions of ${BATCH}, over ${TAGS} tags`,
    `calls of the cache ${perSecond(after.calls - before.calls)} a second`,
    `follower           ${ofCore(after.cpuMs - before.cpuMs)}`,
    `Redis              ${ofCore(after.redisMs - before.redisMs)}`,
    `lag                p50 ${at(0.5)}, p99 ${at(0.99)}, at most ${at(1)}; all read ${drainedMs.toFixed(0)} ms after the last commit`,
  ].join("\n"),
);
await client.end();
