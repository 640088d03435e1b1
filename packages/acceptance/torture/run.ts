/**
 * Runs random operations in real processes while servers and links break, and proves from what happened what hotset
 * promises.
 *
 *     npm run torture                                        2 minutes on one server
 *     npm run torture -- --minutes 20 --topology cluster
 *     npm run torture -- --seed 17                           that round again
 *     npm run torture -- --seed 17 --shrink                  and, if it fails, the least that still does
 *     npm run torture -- --focus snapshots                   one kind of faults only
 *     npm run torture -- --keep /tmp                         what happened in rounds that fail goes to a file each
 *     npm run torture -- --mutants                           whether each planted bug is found
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { arenas, type Arenas } from "./arena.ts";
import { check, type Verdict } from "./checker.ts";
import type { History } from "./history.ts";
import { MUTANTS } from "./mutants.ts";
import { FOCUSES, planOf, TOPOLOGIES, type Plan } from "./plan.ts";
import { planted } from "./planted.ts";
import { run } from "./round.ts";
import { shrink } from "./shrink.ts";
import { Tally, type Outcome } from "./tally.ts";
import { timeline } from "./timeline.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "2" },
    topology: { type: "string", default: "single" },
    focus: { type: "string" },
    /** The first one; others follow. With `--rounds 1` it is the only one. */
    seed: { type: "string" },
    rounds: { type: "string" },
    shrink: { type: "boolean", default: false },
    mutants: { type: "boolean", default: false },
    /** Those whose name contains this. */
    only: { type: "string" },
    /** Of each of them. */
    seeds: { type: "string", default: "10" },
    /** A folder for what happened in rounds that fail, all of it. */
    keep: { type: "string" },
  },
});

const topology = among("topology", values.topology, TOPOLOGIES);
const focus = values.focus === undefined ? undefined : among("focus", values.focus, FOCUSES);
const servers = arenas();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
process.exitCode = values.mutants ? await findMutants() : await hunt();
await servers[Symbol.asyncDispose]();
// Servers and processes have ended; what node-redis keeps is nobody's concern.
process.exit();

async function hunt(): Promise<number> {
  const endsAt = performance.now() + Number(values.minutes) * 60_000;
  const first = values.seed === undefined ? Math.floor(Date.now() / 1_000) % 1_000_000 : Number(values.seed);
  const rounds = values.rounds !== undefined ? Number(values.rounds) : values.seed !== undefined ? 1 : Infinity;
  const tally = new Tally();
  console.log(`${topology}, ${values.minutes} minutes, seeds from ${first}`);
  for (let seed = first; seed < first + rounds && performance.now() < endsAt; seed += 1) {
    const plan = planOf(seed, { topology, ...(focus !== undefined && { focus }) });
    const outcome = await round(plan, servers);
    tally.add(seed, outcome);
    if (outcome.verdict === undefined || outcome.verdict.violations.length === 0) continue;
    console.log(report(plan, outcome.history!, outcome.verdict));
    if (values.keep !== undefined) writeFileSync(join(values.keep, `${topology}-${plan.focus}-${seed}.json`), JSON.stringify({ plan, history: outcome.history }));
    if (values.shrink) await showLeast(plan, outcome.verdict);
  }
  console.log(tally.text());
  return tally.failed === 0 ? 0 : 1;
}

async function round(plan: Plan, kept: Arenas, mutant?: string): Promise<Outcome> {
  try {
    await using arena = await kept.enter(plan);
    const history = await run(plan, arena, mutant === undefined ? {} : planted(mutant));
    return { history, verdict: check(history) };
  } catch (error) {
    return { trouble: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

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

async function showLeast(plan: Plan, verdict: Verdict): Promise<void> {
  const [violation] = verdict.violations;
  const least = await shrink(plan, violation!, async (candidate) => {
    const { history, verdict: found } = await round(candidate, servers);
    return history === undefined || found === undefined ? undefined : { history, verdict: found };
  }, (text) => console.log(text));
  console.log(`\nThe least that still fails: ${least.plan.operations.length} operations, ${least.plan.faults.length} faults\n${least.history === undefined ? "" : timeline(least.history, least.violation)}`);
}

/** Each planted bug must be found within some seeds. */
async function findMutants(): Promise<number> {
  const chosen = MUTANTS.filter(({ name, topology: on = "single" }) => (values.only === undefined || name.includes(values.only)) && on === topology);
  let survived = 0;
  for (const mutant of chosen) {
    const startedAt = performance.now();
    let foundBy: string | undefined;
    for (let seed = 1; seed <= Number(values.seeds) && foundBy === undefined; seed += 1) {
      const plan = planOf(seed, { topology, focus: mutant.focus });
      const { verdict, trouble } = await round(plan, servers, mutant.name);
      const violation = verdict?.violations.find(({ rule }) => mutant.shows.includes(rule));
      if (violation !== undefined) foundBy = `seed ${seed}: ${violation.rule}: ${violation.text}`;
      else if (trouble !== undefined) console.log(`  seed ${seed} could not be run: ${trouble}`);
    }
    if (foundBy === undefined) survived += 1;
    console.log(`${foundBy === undefined ? "SURVIVED" : "found   "}  ${mutant.name}  (${Math.round((performance.now() - startedAt) / 1_000)} s)\n            ${foundBy ?? `not within ${values.seeds} seeds`}`);
  }
  console.log(`${chosen.length - survived} passed, ${survived} failed`);
  return survived === 0 ? 0 : 1;
}

function among<T extends string>(option: string, given: string, choices: readonly T[]): T {
  const chosen = choices.find((choice) => choice === given);
  if (chosen === undefined) {
    console.error(`--${option} ${given}: give one of ${choices.join(", ")}`);
    process.exit(1);
  }
  return chosen;
}
