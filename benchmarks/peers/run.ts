/**
 * Compares hotset with other caches and with the clients below them: one process for each contender and scenario, one
 * Redis for all. Each is warmed up until two rounds agree; the first second of a process has a scenario.
 *
 *     npm run bench -- peers            everything: some 40 minutes
 *     npm run bench -- peers "memory hit" --only "hotset; lru-cache" --rounds 3
 *     npm run bench -- peers --resume   continues an interrupted run
 *     npm run bench -- peers --counts   bytes and promises alone, which hold on a busy machine too
 *     npm run bench -- peers "miss" --merge    puts the figures of a part in the place of the committed ones
 *     npm run write -- performance      writes the figures of the results into the pages again
 *
 * Writes benchmarks/results/peers.json, the plots next to it, and the tables of the pages:
 * docs/performance.md and README.md.
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startOwnRedis } from "@hotset/test-servers";
import { PRODUCTS } from "../contenders/index.ts";
import { isUndisturbed, Neighbours } from "../measure.ts";
import { writePages } from "./docs.ts";
import { Journal, machineOf, merged, readResults, RESULTS, writeResults } from "./results.ts";
import { runScenario } from "./runner.ts";
import { SCENARIOS } from "./scenarios.ts";
import { tableOf } from "./tables.ts";
import { printTargets } from "./targets.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "5" },
    ms: { type: "string", default: "300" },
    only: { type: "string" },
    resume: { type: "boolean", default: false },
    counts: { type: "boolean", default: false },
    merge: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
  },
});
const rounds = atLeastOne("rounds", values.rounds);
const roundMs = atLeastOne("ms", values.ms);
const names = values.only?.split(";").map((name) => name.trim());
const unknown = names?.find((name) => PRODUCTS.every((product) => product.name !== name));
if (unknown !== undefined)
  throw new Error(`--only: ${unknown} is not one of ${PRODUCTS.map(({ name }) => name).join("; ")}`);
const products = PRODUCTS.filter(({ name }) => names?.includes(name) ?? true);
if (values.merge && (names !== undefined || (positionals.length === 0 && !values.counts)))
  throw new Error("--merge takes a part of the scenarios with all contenders: give names of scenarios, or --counts");
const scenarios = SCENARIOS.filter(
  ({ name, counts }) =>
    (!values.counts || counts !== undefined) &&
    (positionals.length === 0 || positionals.some((part) => name.includes(part))),
);
if (values.list) {
  for (const { name, what } of scenarios) console.log(`${name.padEnd(48)} ${what}`);
  process.exit();
}

// The contenders import the built packages by the source condition; sizes and imports are those of the built ones.
execFileSync("turbo", ["run", "build", "--output-logs=errors-only"], { stdio: "inherit" });
const server = await startOwnRedis();
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => void server.stop().then(() => process.exit(130)));
const version = (await server.info("server"))["redis_version"]!;
// A part of the whole must not overwrite the committed figures of the others.
const isWhole = positionals.length === 0 && names === undefined && !values.counts;
const name = isWhole ? "peers" : "peers-part";
const journal = new Journal(join(RESULTS, `${name}.jsonl`), machineOf(version, rounds, roundMs), values.resume);
const neighbours = new Neighbours();
const only = values.counts ? "counts" : undefined;
let othersOfACore = 0;
const startedAt = performance.now();

for (const scenario of scenarios) {
  const before = performance.now();
  await server.command("FLUSHALL");
  neighbours.look();
  await runScenario(scenario, products, journal, { server, roundMs, isUndisturbed, scale: 1 }, only);
  const others = neighbours.look();
  othersOfACore = Math.max(othersOfACore, others);
  const seconds = (performance.now() - before) / 1_000;
  console.log(
    `\n${tableOf(scenario, journal.rows())}\n${seconds.toFixed(0)} s; others used ${others.toFixed(2)} of a core`,
  );
}
await server.stop();
const taken = {
  machine: journal.machine,
  othersOfACore: Math.round(othersOfACore * 100) / 100,
  rows: journal.rows(),
};
const file = values.merge ? "peers" : name;
const what = values.counts ? "allocated bytes, promises, and memory of entries" : positionals.join(", ");
const results = values.merge ? merged(readResults("peers"), what, taken) : taken;
writeResults(file, results);
console.log(`\n${((performance.now() - startedAt) / 60_000).toFixed(1)} minutes; benchmarks/results/${file}.json`);
if (isWhole || values.merge) {
  await writePages();
  printTargets(results);
}
process.exit();

function atLeastOne(option: string, given: string): number {
  const number = Number(given);
  if (Number.isInteger(number) && number >= 1) return number;
  throw new Error(`--${option} must be a whole number of at least 1, got ${JSON.stringify(given)}`);
}
