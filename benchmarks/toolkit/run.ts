/**
 * The figures of the toolkit beside node-redis, ioredis, redlock and rate-limiter-flexible, and beside redis-benchmark
 * on the same machine.
 *
 *     npm run bench:toolkit                 about 6 minutes; writes benchmarks/results/toolkit.json and the page
 *     npm run bench:toolkit -- --short      every part for a moment, and nothing written
 */
import { execFileSync } from "node:child_process";
import { cpus, loadavg } from "node:os";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startOwnRedis } from "@hotset/test-servers";
import { writePages } from "../peers/docs.ts";
import { RESULTS } from "../peers/results.ts";
import { failovers } from "./failovers.ts";
import { connections, memory, offered, throughput, yardstick } from "./loads.ts";
import { markdown, type Table } from "./table.ts";

const BUSY = " **The machine was not quiet**: times and rates are preliminary.";
const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    ms: { type: "string", default: "500" },
    short: { type: "boolean", default: false },
  },
});
const plan = values.short
  ? { rounds: 1, ms: 20, isShort: true }
  : { rounds: Number(values.rounds), ms: Number(values.ms), isShort: false };
if (!(plan.rounds >= 1 && plan.ms >= 1)) throw new Error("--rounds and --ms must be at least 1");

const server = await startOwnRedis();
const loadBefore = loadavg()[0]!;
const tables: Table[] = [];
for (const part of [yardstick, throughput, offered, memory, connections]) {
  for (const table of await part(server, plan)) {
    tables.push(table);
    console.log(`\n${markdown(table)}`);
  }
}
const version = (await server.info("server"))["redis_version"]!;
await server.stop();
for (const table of await failovers(plan.isShort)) {
  tables.push(table);
  console.log(`\n${markdown(table)}`);
}
if (!plan.isShort) {
  const commit = execFileSync("git", ["rev-parse", "--short=12", "HEAD"], { encoding: "utf8" }).trim();
  const machine =
    `Commit ${commit}, Node ${process.version}, Redis ${version}, ${cpus().length} x ${cpus()[0]!.model}; ` +
    `${plan.rounds} rounds of ${plan.ms} ms; load average before: ` +
    `${loadBefore.toFixed(1)}.${loadBefore > 1 ? BUSY : ""}`;
  writeFileSync(join(RESULTS, "toolkit.json"), `${JSON.stringify({ machine, tables }, null, 1)}\n`);
  await writePages();
}
process.exit();
