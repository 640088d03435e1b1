/**
 * Compares hotset with the raw limit, in one process and over one transport. Then measures several processes together,
 * and one process without its Redis, against bounds.
 *
 *     npm run bench                              everything: about eight minutes
 *     npm run bench -- "64 in flight" batch      scenarios with one of these in their names; "import": the cost of
 *     imports
 *     npm run bench -- --rounds 15 --unix --json results.json
 *     npm run bench -- "without Redis" --outage 5    seconds of the outage, instead of 10
 *     npm run bench -- cost                          commands, time and memory of Redis
 *
 * Needs the machine for itself: it prints how much of a core other processes used, and calls the result void above 5 %.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { startOwnRedis } from "@hotset/test-servers";
import { compare, Neighbours, QUIET, type Outcome, type Scenario, type Spread } from "./measure.ts";
import { backendScenarios } from "./scenarios/backend.ts";
import { checksOfBytes } from "./scenarios/checks.ts";
import { coherentHitScenarios } from "./scenarios/coherent-hits.ts";
import { coldKey } from "./scenarios/cold-key.ts";
import { costInRedis } from "./scenarios/cost.ts";
import { fleetOnTheWire } from "./scenarios/fleet-on-the-wire.ts";
import { fleet } from "./scenarios/fleet.ts";
import { garbage } from "./scenarios/garbage.ts";
import { importCosts } from "./scenarios/imports.ts";
import { lagOfDeletes } from "./scenarios/lag.ts";
import { leaseScenarios, missOnTheWire } from "./scenarios/leases.ts";
import { memoryScenarios } from "./scenarios/memory.ts";
import { observed } from "./scenarios/observed.ts";
import { withoutRedis } from "./scenarios/outage.ts";
import { foreignInvalidations } from "./scenarios/storm.ts";
import { stringLayout } from "./scenarios/string-layout.ts";
import { firstUseOfTags, invalidationOverMany } from "./scenarios/tags.ts";
import { toolkitBoards } from "./scenarios/toolkit-boards.ts";
import { limitsInRedis, toolkitLimitScenarios } from "./scenarios/toolkit-limits.ts";
import { locksOnTheWire, toolkitLockScenarios } from "./scenarios/toolkit-locks.ts";
import { queueOnTheWire, toolkitQueueScenarios } from "./scenarios/toolkit-queue.ts";
import { sessionGuarantees, sessionScenarios } from "./scenarios/toolkit-sessions.ts";
import { streamsOnTheWire, toolkitStreamScenarios } from "./scenarios/toolkit-streams.ts";
import { toolkitScenarios } from "./scenarios/toolkit.ts";
import { inShort, isHeld, type Conditions, type Figure, type Trial } from "./trial.ts";

// Services run so: elsewhere a hit checks the names of its options.
process.env["NODE_ENV"] ??= "production";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "5" },
    outage: { type: "string", default: "10" },
    unix: { type: "boolean", default: false },
    json: { type: "string" },
  },
});
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1)
  throw new Error(`--rounds must be a whole number of at least 1, got ${JSON.stringify(values.rounds)}`);
const outageSeconds = Number(values.outage);
if (!(outageSeconds >= 1)) throw new Error(`--outage must be at least 1 second, got ${JSON.stringify(values.outage)}`);
const isWanted = (name: string): boolean => positionals.length === 0 || positionals.some((part) => name.includes(part));

// Some scenarios import the built packages, as an application would.
execFileSync("turbo", ["run", "build", "--output-logs=errors-only"], { stdio: "inherit" });
const server = await startOwnRedis();
const transport = values.unix ? `unix://${server.socketPath}` : server.url;
const info = await server.info("server");
const version = info["valkey_version"] ?? info["redis_version"];
const neighbours = new Neighbours();

console.log(
  `Node ${process.version}, ${cpus().length} x ${cpus()[0]!.model}, Redis ${version} over ${values.unix ? "a unix socket" : "loopback"}, ${rounds} rounds`,
);
console.log(`${"scenario".padEnd(38)}${"raw".padStart(12)}${"hotset".padStart(12)}   ratio (range)        target`);

const outcomes: Outcome[] = [];
const others: number[] = [];
await runAll(await memoryScenarios());
// Made only now: other caches would change how V8 has optimised the code for the first.
for (const make of [
  coherentHitScenarios,
  backendScenarios,
  leaseScenarios,
  toolkitScenarios,
  toolkitLockScenarios,
  toolkitQueueScenarios,
  sessionScenarios,
  toolkitLimitScenarios,
  toolkitStreamScenarios,
]) {
  const made = await make(transport);
  await runAll(made.scenarios);
  await made.close();
}
const figures = await runTrials([
  observed,
  costInRedis,
  checksOfBytes,
  stringLayout,
  garbage,
  missOnTheWire,
  invalidationOverMany,
  coldKey,
  lagOfDeletes,
  foreignInvalidations,
  firstUseOfTags,
  fleet,
  fleetOnTheWire,
  queueOnTheWire,
  streamsOnTheWire,
  withoutRedis,
  toolkitBoards,
  locksOnTheWire,
  sessionGuarantees,
  limitsInRedis,
]);
await server.stop();
neighbours.look();
const imports = isWanted("import") ? importCosts(rounds) : [];
if (imports.length > 0) others.push(neighbours.look());
for (const { name, ms, processorMs, emptyMs, maxMs } of imports)
  console.log(
    `${`import ${name}`.padEnd(38)}${milliseconds(emptyMs)}${milliseconds(ms)}   (${ms.least.toFixed(1)} to ${ms.most.toFixed(1)})`.padEnd(
      86,
    ) +
      `${verdict(ms.median <= maxMs, `at most ${maxMs} ms`)}; ${processorMs.median.toFixed(1)} ms of processors (${processorMs.least.toFixed(1)} to ${processorMs.most.toFixed(1)}), an empty module ${emptyMs.least.toFixed(1)} to ${emptyMs.most.toFixed(1)} ms`,
  );

const busiest = Math.max(...others);
const isAlone = busiest <= QUIET;
console.log(
  isAlone
    ? `Alone on the machine: others used at most ${percent(busiest)} of a core.`
    : `VOID: not alone on the machine; others used up to ${percent(busiest)} of a core.`,
);
const commit = execFileSync("git", ["rev-parse", "HEAD"], { encoding: "utf8" }).trim();
const machine = { node: process.version, cpu: cpus()[0]!.model, cores: cpus().length, redis: version, commit, rounds };
const results = { ...machine, isAlone, othersOfACore: busiest, outcomes, figures, imports };
if (values.json !== undefined)
  writeFileSync(values.json, `${JSON.stringify({ ...results, transport: values.unix ? "unix" : "tcp" }, null, 2)}\n`);
// A client of a scenario, or its exporter, may still wait for something.
process.exit();

async function runAll(scenarios: readonly Scenario[]): Promise<void> {
  for (const scenario of scenarios) {
    if (!isWanted(scenario.name)) continue;
    neighbours.look();
    const outcome = await compare(scenario, rounds);
    others.push(neighbours.look());
    outcomes.push(outcome);
    console.log(line(outcome));
  }
}

async function runTrials(
  makers: readonly ((conditions: Conditions) => Trial)[],
): Promise<Readonly<Record<string, readonly Figure[]>>> {
  const found: Record<string, readonly Figure[]> = {};
  for (const make of makers) {
    const trial = make({ server, url: transport, rounds, outageMs: outageSeconds * 1_000 });
    if (!isWanted(trial.name)) continue;
    await server.command("FLUSHALL");
    neighbours.look();
    const results = await trial.run();
    others.push(neighbours.look());
    found[trial.name] = results;
    console.log(trial.name);
    for (const figure of results) console.log(figureLine(figure));
  }
  return found;
}

function figureLine(figure: Figure): string {
  const { what, value, unit, remark, atMost, atLeast } = figure;
  const holds = isHeld(figure);
  const bounds = [
    ...(atLeast === undefined ? [] : [`at least ${atLeast}`]),
    ...(atMost === undefined ? [] : [`at most ${atMost}`]),
  ].join(", ");
  return `  ${what.padEnd(56)}${`${inShort(value)}${unit}`.padStart(16)}${holds === undefined ? "" : `   ${verdict(holds, bounds)}`}${remark === undefined ? "" : `   (${remark})`}`;
}

function line({
  scenario,
  rawNs,
  hotsetNs,
  ratio,
  shows,
  target,
  isHeld: isReached,
  bytesPerOperation,
  maxBytes,
  counts,
}: Outcome): string {
  const rates =
    counts === undefined ? "" : `${inShort(1e9 / hotsetNs.median)} ${counts}/s to ${inShort(1e9 / rawNs.median)}`;
  const wanted =
    target === undefined ? rates : verdict(isReached!, `${shows === "cost" ? "at most" : "at least"} ${target}`);
  const bytes =
    bytesPerOperation === undefined
      ? ""
      : `; ${verdict(bytesPerOperation <= maxBytes!, `${bytesPerOperation} bytes, at most ${maxBytes}`)}`;
  return (
    `${scenario.padEnd(38)}${time(rawNs)}${time(hotsetNs)}   ${ratio.median.toFixed(2)} (${ratio.least.toFixed(2)} to ${ratio.most.toFixed(2)})`.padEnd(
      86,
    ) +
    wanted +
    bytes
  );
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
