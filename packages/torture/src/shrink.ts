import type { Verdict, Violation } from "./checker.ts";
import type { History } from "./history.ts";
import { concernedBy, type Operation, type Plan } from "./plan-parts.ts";

export interface Shrunk {
  readonly plan: Plan;
  readonly violation: Violation;
  /** The history of the last run that failed. */
  readonly history: History | undefined;
}

/** Runs of one candidate before it counts as one that does not fail: what is rare is not seen every time. */
const TRIES = 3;
/** Runs in all. */
const MOST_RUNS = 60;

/**
 * Leaves out of a plan what is not needed for a violation of the same rule: what comes after it, other keys, faults,
 * processes, and then operations, half of them at a time, then a quarter, and so on.
 *
 * @param run `undefined` where the round could not be run
 * @param told receives each smaller plan that still fails
 */
export async function shrink(
  plan: Plan,
  violation: Violation,
  run: (plan: Plan) => Promise<{ readonly history: History; readonly verdict: Verdict } | undefined>,
  told: (text: string) => void,
): Promise<Shrunk> {
  let best: Shrunk = { plan, violation, history: undefined };
  let runs = 0;
  const attempt = async (candidate: Plan): Promise<boolean> => {
    for (let i = 0; i < TRIES && runs < MOST_RUNS; i += 1) {
      runs += 1;
      const outcome = await run(candidate);
      const again = outcome?.verdict.violations.find(({ rule }) => rule === violation.rule);
      if (outcome === undefined || again === undefined) continue;
      best = { plan: candidate, violation: again, history: outcome.history };
      told(`  fails with ${candidate.operations.length} operations, ${candidate.faults.length} faults`);
      return true;
    }
    return false;
  };

  for (const candidate of coarse) {
    const smaller = candidate(best);
    if (smaller !== undefined) await attempt(smaller);
  }
  for (
    let size = Math.ceil(best.plan.operations.length / 2);
    size >= 1 && runs < MOST_RUNS;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  ) {
    for (let start = 0; start < best.plan.operations.length && runs < MOST_RUNS;) {
      const operations: readonly Operation[] = [
        ...best.plan.operations.slice(0, start),
        ...best.plan.operations.slice(start + size),
      ];
      if (operations.length === 0 || !(await attempt({ ...best.plan, operations }))) start += size;
    }
  }
  for (const { id } of best.plan.faults)
    await attempt({ ...best.plan, faults: best.plan.faults.filter((each) => each.id !== id) });
  return best;
}

/** Cuts that are tried first, one after another, each on the plan that the one before has left. */
const coarse: readonly ((best: Shrunk) => Plan | undefined)[] = [
  // Nothing after the violation.
  ({ plan, violation }) => {
    const until = violation.at + 100;
    return until >= plan.durationMs
      ? undefined
      : {
          ...plan,
          durationMs: until,
          operations: plan.operations.filter(({ at }) => at < until),
          faults: plan.faults.filter(({ at }) => at < until),
          tail: [],
        };
  },
  // No other keys.
  ({ plan, violation: { key } }) =>
    key === undefined
      ? undefined
      : { ...plan, operations: plan.operations.filter((operation) => concernedBy(plan.keys, operation).includes(key)) },
  // No faults at all, or none but the last.
  ({ plan }) => (plan.faults.length === 0 ? undefined : { ...plan, faults: [] }),
  ({ plan }) => (plan.faults.length <= 1 ? undefined : { ...plan, faults: plan.faults.slice(-1) }),
  ({ plan }) => (plan.faults.length <= 2 ? undefined : { ...plan, faults: plan.faults.slice(-2) }),
  // One process less.
  ...[0, 1, 2].map((worker) => ({ plan }: Shrunk) => ({
    ...plan,
    operations: plan.operations.filter((operation) => operation.worker !== worker),
  })),
];
