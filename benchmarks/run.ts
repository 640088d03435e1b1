/**
 * Compares hotset with the raw limit, in one process and over one transport.
 *
 *     npm run bench                              everything
 *     npm run bench -- "64 in flight" batch      scenarios whose name contains one of these; "import" for what importing costs
 *     npm run bench -- --rounds 15 --unix --json results.json
 *
 * Needs the machine for itself: it tells how much of a core others used, and calls the result void above 5 %.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { startOwnRedis } from "@hotset/test-servers";
import { compare, Neighbours, type Outcome, type Scenario, type Spread } from "./measure.ts";
import { backendScenarios } from "./scenarios/backend.ts";
import { importCosts } from "./scenarios/imports.ts";
import { memoryScenarios } from "./scenarios/memory.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string", default: "9" }, unix: { type: "boolean", default: false }, json: { type: "string" } },
});
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds: ${JSON.stringify(values.rounds)} is no number of rounds; give a whole number of at least 1`);
const isWanted = (name: string): boolean => positionals.length === 0 || positionals.some((part) => name.includes(part));

const server = await startOwnRedis();
const transport = values.unix ? `unix://${server.socketPath}` : server.url;
const info = await server.info("server");
const serverPid = Number(info["process_id"]);
const version = info["valkey_version"] ?? info["redis_version"];
const neighbours = new Neighbours();

console.log(`Node ${process.version}, ${cpus().length} x ${cpus()[0]!.model}, Redis ${version} over ${values.unix ? "a unix socket" : "loopback"}, ${rounds} rounds`);
console.log(`${"scenario".padEnd(38)}${"raw".padStart(12)}${"hotset".padStart(12)}   ratio (range)        target`);

const outcomes: Outcome[] = [];
const others: number[] = [];
await runAll(await memoryScenarios());
// Made only now: caches that do something else would change what the engine has learnt of the first.
const backend = await backendScenarios(transport);
await runAll(backend.scenarios);
await backend.close();
await server.stop();
neighbours.look([]);
const imports = isWanted("import") ? importCosts(rounds) : [];
if (imports.length > 0) others.push(neighbours.look([]));
for (const { name, ms, processorMs, emptyMs, maxMs } of imports)
  console.log(`${`import ${name}`.padEnd(38)}${milliseconds(emptyMs)}${milliseconds(ms)}   (${ms.least.toFixed(1)} to ${ms.most.toFixed(1)})`.padEnd(86)
    + `${verdict(ms.median <= maxMs, `at most ${maxMs} ms`)}; ${processorMs.median.toFixed(1)} ms of processors (${processorMs.least.toFixed(1)} to ${processorMs.most.toFixed(1)}), an empty module ${emptyMs.least.toFixed(1)} to ${emptyMs.most.toFixed(1)} ms`);

const busiest = Math.max(...others);
const isAlone = busiest <= 0.05;
console.log(isAlone
  ? `Alone on the machine: others used at most ${percent(busiest)} of a core.`
  : `VOID: not alone on the machine; others used up to ${percent(busiest)} of a core.`);
if (values.json !== undefined) {
  const commit = execFileSync("git", ["rev-parse", "HEAD"], { encoding: "utf8" }).trim();
  writeFileSync(values.json, `${JSON.stringify({ node: process.version, cpu: cpus()[0]!.model, cores: cpus().length, redis: version, transport: values.unix ? "unix" : "tcp", commit, rounds, isAlone, othersOfACore: busiest, outcomes, imports }, null, 2)}\n`);
}

async function runAll(scenarios: readonly Scenario[]): Promise<void> {
  for (const scenario of scenarios) {
    if (!isWanted(scenario.name)) continue;
    neighbours.look([serverPid]);
    const outcome = await compare(scenario, rounds);
    others.push(neighbours.look([serverPid]));
    outcomes.push(outcome);
    console.log(line(outcome));
  }
}

function line({ scenario, rawNs, hotsetNs, ratio, shows, target, isHeld, bytesPerOperation, maxBytes }: Outcome): string {
  const wanted = target === undefined ? "" : verdict(isHeld!, `${shows === "cost" ? "at most" : "at least"} ${target}`);
  const bytes = bytesPerOperation === undefined ? "" : `; ${verdict(bytesPerOperation <= maxBytes!, `${bytesPerOperation} bytes, at most ${maxBytes}`)}`;
  return `${scenario.padEnd(38)}${time(rawNs)}${time(hotsetNs)}   ${ratio.median.toFixed(2)} (${ratio.least.toFixed(2)} to ${ratio.most.toFixed(2)})`.padEnd(86) + wanted + bytes;
}

function time({ median }: Spread): string {
  return (median < 10_000 ? `${median.toFixed(0)} ns` : `${(median / 1_000).toFixed(1)} us`).padStart(12);
}

function milliseconds({ median }: Spread): string {
  return `${median.toFixed(1)} ms`.padStart(12);
}

function verdict(isHeld: boolean, target: string): string {
  return `${target}: ${isHeld ? "held" : "NOT HELD"}`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}
