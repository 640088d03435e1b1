/**
 * Runs random operations in real processes while servers and links break, and checks the history against the promises
 * of hotset.
 *
 *     npm run torture                                        2 minutes on one server
 *     npm run torture -- --minutes 20 --topology cluster
 *     npm run torture -- --seed 17                           that round again
 *     npm run torture -- --seed 17 --shrink                  and, if it fails, the smallest plan that still fails
 *     npm run torture -- --focus snapshots                   one kind of faults only
 *     npm run torture -- --focus clocks                      a server whose clock jumps; needs libfaketime
 *     npm run torture -- --store sqlite                      one SQLite file in place of Redis, and faults of processes
 *     npm run torture -- --store postgres                    its own PostgreSQL in the same way
 *     npm run torture -- --processes 100                     that many in place of three
 *     npm run torture -- --layout string                     entries that are strings
 *     npm run torture -- --keep /tmp                         writes the history of each failed round to a file
 *     npm run torture -- --mutants                           whether each planted bug is found
 *     npm run torture -- --mutants --only lease --shrink     and the smallest plan that shows those with this name
 *     npm run torture -- --brief                             the part of `npm run test:all`
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { planted } from "@hotset/mutants/planted";
import { startOwnPostgres } from "@hotset/test-servers";
import { arenas } from "./arena.ts";
import { check, type Verdict, type Violation } from "./checker.ts";
import type { History } from "./history.ts";
import { MUTANTS, type Mutant } from "./mutants.ts";
import { FOCUSES, focusesOn, TOPOLOGIES, type FaultKind, type Plan, type Topology } from "./plan-parts.ts";
import { planOf } from "./plan.ts";
import { run } from "./round.ts";
import { shrink } from "./shrink.ts";
import { Tally, type Outcome } from "./tally.ts";
import { timeline } from "./timeline.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "2" },
    topology: { type: "string", default: "single" },
    focus: { type: "string" },
    /** The first one; with `--rounds` others follow. */
    seed: { type: "string" },
    rounds: { type: "string" },
    shrink: { type: "boolean", default: false },
    mutants: { type: "boolean", default: false },
    brief: { type: "boolean", default: false },
    /** Planted bugs whose name contains this. */
    only: { type: "string" },
    /** For each of them. */
    seeds: { type: "string", default: "20" },
    /** A folder. */
    keep: { type: "string" },
    /** The layout of entries in Redis. */
    layout: { type: "string", default: "full" },
    store: { type: "string", default: "redis" },
    processes: { type: "string", default: "3" },
  },
});

/** Seeds that go through every focus with faults on one server, and through failovers elsewhere. */
const BRIEFLY: readonly (readonly [Topology, first: number, rounds: number])[] = [
  ["single", 1, 11],
  ["sentinel", 3, 1],
  ["cluster", 3, 1],
  ["cluster", 13, 1],
];
/** Faults that processes can have over a store that has none, and what brings them. */
const FOCUSES_OF_PROCESSES = ["calm", "freezes", "deaths", "pauses", "bulk"] as const;
const MOST_PROCESSES = 500;
const FAULTS_OF_PROCESSES: ReadonlySet<FaultKind> = new Set(["freeze process", "block loop", "kill process"]);

const topology = among("topology", values.topology, TOPOLOGIES);
const focus = values.focus === undefined ? undefined : among("focus", values.focus, FOCUSES);
if (focus !== undefined) among("focus", focus, focusesOn(topology));
// For this process, which plays another program, and for the workers.
process.env["HOTSET_LAYOUT"] = among("layout", values.layout, ["full", "string"]);
const processes = Number(values.processes);
if (!Number.isInteger(processes) || processes < 2 || processes > MOST_PROCESSES)
  refuse("processes", values.processes, `a whole number from 2 to ${MOST_PROCESSES}`);
const store = among("store", values.store, ["redis", "sqlite", "postgres"]);
process.env["HOTSET_STORE"] = store;
const postgres = store === "postgres" ? await startOwnPostgres() : undefined;
if (postgres !== undefined) process.env["HOTSET_POSTGRES"] = postgres.url;
const servers = arenas();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
const failed = values.brief ? await beBrief() : values.mutants ? await plantAll() : await huntForMinutes();
await servers[Symbol.asyncDispose]();
await postgres?.stop();
// Servers and processes have ended; resources that node-redis keeps do not matter.
process.exit(failed === 0 ? 0 : 1);

async function huntForMinutes(): Promise<number> {
  const first = values.seed === undefined ? Math.floor(Date.now() / 1_000) % 1_000_000 : Number(values.seed);
  const rounds = values.rounds !== undefined ? Number(values.rounds) : values.seed !== undefined ? 1 : Infinity;
  console.log(`${topology}, ${values.minutes} minutes, seeds from ${first}`);
  return hunt(topology, first, rounds, performance.now() + Number(values.minutes) * 60_000);
}

/** The same seeds each time, so that a failure comes from the code and not from luck, as far as time allows. */
async function beBrief(): Promise<number> {
  let failures = 0;
  for (const [where, first, rounds] of BRIEFLY) {
    console.log(`${where}, seeds from ${first}`);
    failures += await hunt(where, first, rounds, Infinity);
  }
  for (const mutant of MUTANTS.filter(({ isFoundSoon }) => isFoundSoon === true))
    if (!(await plant(mutant, Number(values.seeds)))) failures += 1;
  console.log(failures === 0 ? "all promises hold, and the planted bugs are found" : `${failures} failed`);
  return failures;
}

async function plantAll(): Promise<number> {
  const chosen = MUTANTS.filter(({ name }) => values.only === undefined || name.includes(values.only));
  let survived = 0;
  for (const mutant of chosen) if (!(await plant(mutant, Number(values.seeds)))) survived += 1;
  console.log(`${chosen.length - survived} passed, ${survived} failed`);
  return survived;
}

/** @returns the number of rounds that failed */
async function hunt(where: Topology, first: number, rounds: number, endsAt: number): Promise<number> {
  const tally = new Tally();
  for (let seed = first; seed < first + rounds && performance.now() < endsAt; seed += 1) {
    const drawnFocus = store === "redis" ? focus : (focus ?? FOCUSES_OF_PROCESSES[seed % FOCUSES_OF_PROCESSES.length]!);
    const of = planOf(seed, { topology: where, processes, ...(drawnFocus !== undefined && { focus: drawnFocus }) });
    const plan = store === "redis" ? of : withoutRedis(of);
    const outcome = await round(plan);
    console.log(tally.add(seed, outcome));
    if (outcome.verdict === undefined || outcome.verdict.violations.length === 0) continue;
    console.log(report(plan, outcome.history!, outcome.verdict));
    if (values.keep !== undefined)
      writeFileSync(
        join(values.keep, `${where}-${plan.focus}-${seed}.json`),
        JSON.stringify({ plan, history: outcome.history }),
      );
    if (values.shrink) await showLeast(plan, outcome.verdict.violations[0]!);
  }
  console.log(tally.text());
  return tally.failed;
}

/**
 * No other program writes to the store, and servers that are not used need not fail. A statement, and a file that is
 * locked, may take the default of 1 s.
 */
function withoutRedis(plan: Plan): Plan {
  return {
    ...plan,
    settings: { ...plan.settings, responseTimeout: 1_000 },
    operations: plan.operations.filter(({ worker }) => worker >= 0),
    faults: plan.faults.filter(({ kind }) => FAULTS_OF_PROCESSES.has(kind)),
  };
}

async function round(plan: Plan, mutant?: Mutant): Promise<Outcome> {
  try {
    await using arena = await servers.enter(plan);
    const history = await run(plan, arena, mutant === undefined ? {} : { env: planted(mutant) });
    return { history, verdict: check(history) };
  } catch (error) {
    return { trouble: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

/** One violation of each rule. */
function report(plan: Plan, history: History, verdict: Verdict): string {
  const byRule = new Map<string, number>();
  for (const { rule } of verdict.violations) byRule.set(rule, (byRule.get(rule) ?? 0) + 1);
  const shown = [...byRule.keys()].map((rule) => verdict.violations.find((violation) => violation.rule === rule)!);
  return [
    `\nseed ${plan.seed} (${plan.topology}, ${plan.focus}) fails: ${[...byRule].map(([rule, times]) => `${times} ${rule}`).join(", ")}`,
    `settings ${JSON.stringify(plan.settings)}`,
    ...shown.map((violation) => `\n${timeline(history, violation)}`),
    "",
  ].join("\n");
}

async function showLeast(plan: Plan, violation: Violation, mutant?: Mutant): Promise<void> {
  const least = await shrink(
    plan,
    violation,
    async (candidate) => {
      const { history, verdict: found } = await round(candidate, mutant);
      return history === undefined || found === undefined ? undefined : { history, verdict: found };
    },
    (text) => console.log(text),
  );
  console.log(
    `\nThe smallest plan that still fails: ${least.plan.operations.length} operations, ${least.plan.faults.length} faults\n${least.history === undefined ? "" : timeline(least.history, least.violation)}`,
  );
}

/** @returns whether the bug is found within some seeds */
async function plant(mutant: Mutant, seeds: number): Promise<boolean> {
  const startedAt = performance.now();
  let foundBy: string | undefined;
  for (let seed = 1; seed <= seeds && foundBy === undefined; seed += 1) {
    const plan = planOf(seed, { topology: mutant.topology ?? "single", focus: mutant.focus, processes });
    const { verdict, trouble } = await round(plan, mutant);
    const violation = verdict?.violations.find(({ rule }) => mutant.shows.includes(rule));
    if (violation !== undefined && values.shrink) await showLeast(plan, violation, mutant);
    if (violation !== undefined) foundBy = `seed ${seed}: ${violation.rule}: ${violation.text}`;
    else if (trouble !== undefined) console.log(`  seed ${seed} could not be run: ${trouble}`);
  }
  console.log(
    `${foundBy === undefined ? "SURVIVED" : "found   "}  ${mutant.name}  (${Math.round((performance.now() - startedAt) / 1_000)} s)\n            ${foundBy ?? `not within ${seeds} seeds`}`,
  );
  return foundBy !== undefined;
}

function among<T extends string>(option: string, given: string, choices: readonly T[]): T {
  const chosen = choices.find((choice) => choice === given);
  return chosen ?? refuse(option, given, `one of ${choices.join(", ")}`);
}

function refuse(option: string, given: string, accepted: string): never {
  console.error(`--${option} ${given}: give ${accepted}`);
  process.exit(1);
}
