import { short, type Restart } from "./incidents.ts";
import { percent, seconds, whole, type Check } from "./report.ts";
import { MAX_STALENESS_MS, type Till } from "./till.ts";

/** A change that was made through one process, and awaited in all. */
export interface Seen {
  readonly isRemoval: boolean;
  /** Redis was unreachable when it was made. */
  readonly wasPending: boolean;
  /**
   * Until the last request that did not show it, in milliseconds: from its acknowledgement, or from the return of
   * Redis. `Infinity`: no request showed it.
   */
  readonly slowestMs: number;
}

/** The results of one run of several processes. */
export interface ShopRun {
  readonly till: Till;
  readonly processes: number;
  readonly products: number;
  readonly leastRequests: number;
  readonly tookMs: number;
  readonly seen: readonly Seen[];
  /** For each process. */
  readonly loads: readonly number[];
  /** Loads that a change overtook: their results were not stored, so one more load had to follow each. */
  readonly overtaken: number;
  /** Calls that Redis did not answer in time though it was up: each such caller loads for itself. */
  readonly unanswered: number;
  /** `undefined` without a Redis that the demo may kill. */
  readonly restarts: readonly Restart[] | undefined;
}

/** The time to find the new Redis, and then the longest delay of a message. */
const BACK_IN_STEP_MS = 5_000 + MAX_STALENESS_MS;

/** The checks, and whether each passed. */
export function judgeShops(run: ShopRun): readonly Check[] {
  const checks = [...answerChecks(run), ...changeChecks(run), loadCheck(run)];
  return run.restarts === undefined ? checks : [...checks, ...restartChecks(run.restarts, pendingOf(run))];
}

function answerChecks({ till, processes, leastRequests }: ShopRun): readonly Check[] {
  const least = Math.min(...till.answers);
  return [
    {
      what: "no failed request",
      passed: till.failed === 0,
      detail: `${whole(till.failed)} of ${whole(till.requests)}${till.failed === 0 ? "" : `: ${till.failures.join("; ")}`}`,
    },
    {
      what: `at least ${whole(leastRequests)} requests, and each process its share`,
      passed: till.requests >= leastRequests && least >= till.requests / processes / 2,
      detail: `${whole(till.requests)}: ${till.answers.map(whole).join(" + ")}`,
    },
  ];
}

function changeChecks({ till, seen }: ShopRun): readonly Check[] {
  const acknowledged = acknowledgedOf({ seen });
  return [
    {
      what: `each change seen by all processes within ${MAX_STALENESS_MS / 1_000} s`,
      passed: acknowledged.length > 0 && acknowledged.every(({ slowestMs }) => slowestMs <= MAX_STALENESS_MS),
      detail:
        acknowledged.length === 0
          ? "nothing was changed"
          : `the slowest of ${acknowledged.length} after ${slowestOf(acknowledged)}`,
    },
    {
      what: "no price served after it was deleted",
      passed: till.servedDeleted === 0 && seen.some(({ isRemoval }) => isRemoval),
      detail: `${whole(till.servedDeleted)} answers, ${seen.filter(({ isRemoval }) => isRemoval).length} were deleted`,
    },
    {
      what: "no price older than its process had to know",
      passed: till.servedOlder === 0,
      detail: `${whole(till.servedOlder)} answers`,
    },
  ];
}

function loadCheck(run: ShopRun): Check {
  const { processes, products, loads, overtaken, unanswered, restarts } = run;
  const kills = restarts?.length ?? 0;
  const [pending, acknowledged] = [pendingOf(run).length, acknowledgedOf(run).length];
  // A key that is not cached, or was lost with Redis, is loaded once in all processes, and so is a key that was
  // changed. While Redis is unreachable each process loads changed keys itself, and they are loaded once more when it
  // is back.
  const most = products * (1 + kills) + acknowledged + pending * (processes + 1) + overtaken + unanswered;
  return {
    what: "each price loaded once in all processes, once more for each change",
    passed: loads.reduce((all, each) => all + each, 0) <= most,
    detail: `${loads.join(" + ")} loads <= ${most}${overtaken === 0 ? "" : `, ${whole(overtaken)} of them overtaken by a change`}${unanswered === 0 ? "" : `, ${whole(unanswered)} for calls that a busy Redis did not answer`}`,
  };
}

function restartChecks(restarts: readonly Restart[], pending: readonly Seen[]): readonly Check[] {
  return [
    {
      what: "Redis was restarted: another run_id",
      passed:
        restarts.length > 0 &&
        restarts.every(({ runIds: [killed, started] }) => killed !== "" && started !== "" && killed !== started),
      detail: restarts.map(({ runIds }) => runIds.map(short).join(" -> ")).join(", "),
    },
    {
      what: "changes during the outage seen by all processes after it",
      passed: pending.length > 0 && pending.every(({ slowestMs }) => slowestMs <= BACK_IN_STEP_MS),
      detail:
        pending.length === 0
          ? "nothing was changed during it"
          : `the slowest of ${pending.length} after ${slowestOf(pending)}`,
    },
    {
      what: "Redis is in use again",
      passed: restarts.every(({ keysSince }) => keysSince > 0),
      detail: `${restarts.map(({ keysSince }) => keysSince).join(", ")} keys since`,
    },
  ];
}

/** The figures of a run, as lines. */
export function shopTable({ till, tookMs, seen, loads }: ShopRun): readonly string[] {
  const delays = acknowledgedOf({ seen })
    .map(({ slowestMs }) => slowestMs)
    .sort((one, other) => one - other);
  const rank = (share: number): string => ms(delays[Math.max(0, Math.ceil(delays.length * share) - 1)] ?? NaN);
  const sum = loads.reduce((all, each) => all + each, 0);
  return [
    `  ${"requests".padEnd(18)}${whole(till.requests).padStart(10)}   p50 ${ms(till.percentile(0.5))}, p99 ${ms(till.percentile(0.99))}`,
    `  ${"loads".padEnd(18)}${whole(sum).padStart(10)}   in all processes: ${percent(sum / till.requests)} of requests`,
    `  ${"changes".padEnd(18)}${whole(seen.length).padStart(10)}   seen by every process after p50 ${rank(0.5)}, at most ${rank(1)}, while Redis was up`,
    `  ${"took".padEnd(18)}${seconds(tookMs).padStart(10)}`,
  ];
}

const pendingOf = ({ seen }: Pick<ShopRun, "seen">): readonly Seen[] => seen.filter(({ wasPending }) => wasPending);
const acknowledgedOf = ({ seen }: Pick<ShopRun, "seen">): readonly Seen[] =>
  seen.filter(({ wasPending }) => !wasPending);
const slowestOf = (seen: readonly Seen[]): string => {
  const slowestMs = Math.max(...seen.map((each) => each.slowestMs));
  return Number.isFinite(slowestMs) ? ms(slowestMs) : `longer than the demo waited`;
};
const ms = (value: number): string => `${value.toFixed(1)} ms`;
