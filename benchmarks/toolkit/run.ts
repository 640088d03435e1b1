/**
 * The figures of the toolkit beside node-redis, ioredis, redlock and rate-limiter-flexible, and beside redis-benchmark
 * on the same machine.
 *
 *     npm run bench -- toolkit           about 6 minutes; writes benchmarks/results/toolkit.json and the pages, also
 *                                        which of the rows R3-31 to R3-36 are held
 *     npm run bench -- toolkit --prices  the prices of one call alone, some 4 minutes; writes them too
 *     npm run bench -- toolkit --short   every part for a moment, and nothing written
 */
import { execFileSync } from "node:child_process";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { startOwnRedis } from "@hotset/test-servers";
import { Neighbours, QUIET } from "../measure.ts";
import { failovers } from "./failovers.ts";
import { connections, memory, offered, throughput, yardstick } from "./loads.ts";
import { prices } from "./prices.ts";
import { keepResults } from "./results.ts";
import { markdown, priceTable, verdictTable, type Prices, type Table } from "./table.ts";
import { judgeRows, type ToolkitFigures } from "./verdicts.ts";

const BUSY = " **The machine was not quiet**: times and rates are preliminary.";
const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    ms: { type: "string", default: "500" },
    short: { type: "boolean", default: false },
    prices: { type: "boolean", default: false },
  },
});
const plan = values.short
  ? { rounds: 1, ms: 20, isShort: true }
  : { rounds: Number(values.rounds), ms: Number(values.ms), isShort: false };
if (!(plan.rounds >= 1 && plan.ms >= 1)) throw new Error("--rounds and --ms must be at least 1");

/** Where the figures were taken, and whether that was quiet. */
const machineOf = (version: string): string => {
  const commit = execFileSync("git", ["rev-parse", "--short=12", "HEAD"], { encoding: "utf8" }).trim();
  const redis = `Redis ${version}, ${cpus().length} x ${cpus()[0]!.model}`;
  return (
    `Commit ${commit}, Node ${process.version}, ${redis}; ${plan.rounds} rounds of ${plan.ms} ms; ` +
    `others used at most ${Math.ceil(othersOfACore * 100)} % of a core.${othersOfACore <= QUIET ? "" : BUSY}`
  );
};

const server = await startOwnRedis();
const version = (await server.info("server"))["redis_version"]!;
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
const takePrices = async (): Promise<Prices> => {
  const rows = await prices(plan);
  show(priceTable(rows));
  look();
  return { machine: machineOf(version), rows };
};
if (values.prices) {
  const taken = await takePrices();
  if (!plan.isShort) await keepResults({ prices: taken });
  process.exit();
}
let figures: Partial<ToolkitFigures> = {};
for (const part of [yardstick, throughput, offered, memory, connections]) {
  const measured = await part(server, plan);
  measured.tables.forEach(show);
  figures = { ...figures, ...measured.figures };
  look();
}
await server.stop();
(await failovers(plan.isShort)).forEach(show);
look();
const rows = judgeRows(figures as ToolkitFigures);
show(verdictTable(rows));
const taken = await takePrices();
if (!plan.isShort)
  await keepResults({ machine: machineOf(version), isQuiet: othersOfACore <= QUIET, rows, tables, prices: taken });
process.exit();
