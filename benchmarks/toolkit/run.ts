/**
 * The figures of the toolkit beside node-redis, ioredis, redlock and rate-limiter-flexible, and beside redis-benchmark
 * on the same machine.
 *
 *     npm run bench -- toolkit           about 6 minutes; writes benchmarks/results/toolkit.json and the pages, also
 *                                        which of the rows R3-31 to R3-36 are held
 *     npm run bench -- toolkit --short   every part for a moment, and nothing written
 */
import { execFileSync } from "node:child_process";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { startOwnRedis } from "@hotset/test-servers";
import { Neighbours, QUIET } from "../measure.ts";
import { failovers } from "./failovers.ts";
import { connections, memory, offered, throughput, yardstick } from "./loads.ts";
import { keepResults } from "./results.ts";
import { markdown, verdictTable, type Table } from "./table.ts";
import { judgeRows, type ToolkitFigures } from "./verdicts.ts";

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
const neighbours = new Neighbours();
let othersOfACore = 0;
const look = (): void => {
  othersOfACore = Math.max(othersOfACore, neighbours.look());
};
const tables: Table[] = [];
const show = (table: Table): void => {
  tables.push(table);
  console.log(`\n${markdown(table)}`);
};
let figures: Partial<ToolkitFigures> = {};
for (const part of [yardstick, throughput, offered, memory, connections]) {
  const measured = await part(server, plan);
  measured.tables.forEach(show);
  figures = { ...figures, ...measured.figures };
  look();
}
const version = (await server.info("server"))["redis_version"]!;
await server.stop();
(await failovers(plan.isShort)).forEach(show);
look();
const rows = judgeRows(figures as ToolkitFigures);
show(verdictTable(rows));
const others = `used at most ${Math.ceil(othersOfACore * 100)} % of a core.`;
console.log(`Others ${others}`);
if (!plan.isShort) {
  const commit = execFileSync("git", ["rev-parse", "--short=12", "HEAD"], { encoding: "utf8" }).trim();
  const isQuiet = othersOfACore <= QUIET;
  const machine =
    `Commit ${commit}, Node ${process.version}, Redis ${version}, ${cpus().length} x ${cpus()[0]!.model}; ` +
    `${plan.rounds} rounds of ${plan.ms} ms; others ${others}` +
    (isQuiet ? "" : BUSY);
  await keepResults({ machine, isQuiet, rows, tables });
}
process.exit();
