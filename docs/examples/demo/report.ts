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

/** A Redis that was killed, and the one that came after it. */
export interface Restart {
  readonly runIds: readonly [killed: string, started: string];
  /** Requests meanwhile. */
  readonly answered: number;
  /** In the server that began empty, after a change was seen. */
  readonly keysSince: number;
}

export interface Frozen {
  readonly answered: number;
  readonly longestMs: number;
}

/** How many prices the store holds in each format. */
export interface Swap {
  readonly before: Readonly<Record<string, number>>;
  readonly after: Readonly<Record<string, number>>;
}

/** The results of one run. */
export interface Run {
  readonly till: Till;
  readonly processes: number;
  readonly products: number;
  readonly leastRequests: number;
  readonly tookMs: number;
  readonly seen: readonly Seen[];
  /** Callers that missed one price together. */
  readonly crowd: { readonly callers: number; readonly loads: number };
  readonly swap: Swap;
  /** In all processes. */
  readonly loads: number;
  /** Loads that a change overtook: their results were not stored, so one more load had to follow each. */
  readonly overtaken: number;
  /** Calls that Redis did not answer in time though it was up: each such caller loads for itself. */
  readonly unanswered: number;
  /** Absent without a Redis that the demo may kill. */
  readonly restart?: Restart;
  readonly frozen?: Frozen;
  /**
   * For each change by SQL: until all processes showed it, in milliseconds; `Infinity`: never. Absent without a
   * PostgreSQL.
   */
  readonly bySql?: readonly number[];
}

export interface Check {
  readonly what: string;
  readonly passed: boolean;
  readonly detail: string;
}

/** The time to find the new Redis, and then the longest delay of a message. */
const BACK_IN_STEP_MS = 5_000 + MAX_STALENESS_MS;

/** The checks, and whether each passed. */
export function judge(run: Run): readonly Check[] {
  const { restart } = run;
  return [
    ...answerChecks(run),
    ...changeChecks(run),
    ...loadChecks(run),
    ...(restart === undefined ? [] : restartChecks(restart, pendingOf(run))),
    swapCheck(run.swap),
    ...(run.bySql === undefined ? [] : [sqlCheck(run.bySql)]),
  ];
}

function answerChecks({ till, processes, leastRequests }: Run): readonly Check[] {
  const least = Math.min(...till.answers);
  return [
    {
      what: "no failed request",
      passed: till.failed === 0,
      detail: `${whole(till.failed)} of ${whole(till.requests)}${till.failed === 0 ? "" : `: ${till.failures.join("; ")}`}`,
    },
    {
      what: `at least ${whole(leastRequests)} requests, and each its share`,
      passed: till.requests >= leastRequests && least >= till.requests / processes / 2,
      detail: till.answers.map(whole).join(" + "),
    },
  ];
}

function changeChecks({ till, seen }: Run): readonly Check[] {
  const acknowledged = acknowledgedOf({ seen });
  return [
    {
      what: `each change seen by all within ${MAX_STALENESS_MS / 1_000} s`,
      passed: acknowledged.length > 0 && acknowledged.every(({ slowestMs }) => slowestMs <= MAX_STALENESS_MS),
      detail:
        acknowledged.length === 0
          ? "nothing was changed"
          : `${acknowledged.length}, the slowest ${slowestOf(acknowledged)}`,
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

function loadChecks(run: Run): readonly Check[] {
  const { processes, products, loads, overtaken, unanswered, restart, crowd } = run;
  const [pending, acknowledged] = [pendingOf(run).length, acknowledgedOf(run).length];
  // A key that is not cached, or was lost with Redis, is loaded once in all processes, and so is a key that was
  // changed. While Redis is unreachable each process loads changed keys itself, and they are loaded once more when it
  // is back.
  const most =
    products * (restart === undefined ? 1 : 2) + acknowledged + pending * (processes + 1) + overtaken + unanswered;
  return [
    {
      what: "one load for all who miss a price together",
      passed: crowd.loads >= 1 && crowd.loads <= 1 + unanswered,
      detail: `${crowd.callers} callers, ${crowd.loads}`,
    },
    {
      what: "each price loaded once, and once for each change",
      passed: loads <= most,
      detail: `${whole(loads)} loads, ${whole(most)} allowed`,
    },
  ];
}

function restartChecks({ runIds, keysSince }: Restart, pending: readonly Seen[]): readonly Check[] {
  const [killed, started] = runIds;
  return [
    {
      what: "Redis was restarted, and is in use again",
      passed: killed !== "" && started !== "" && killed !== started && keysSince > 0,
      detail: `${keysSince} keys since`,
    },
    {
      what: "changes during the outage seen by all after it",
      passed: pending.length > 0 && pending.every(({ slowestMs }) => slowestMs <= BACK_IN_STEP_MS),
      detail: pending.length === 0 ? "no change" : `${pending.length}, the slowest ${slowestOf(pending)}`,
    },
  ];
}

function swapCheck({ before, after }: Swap): Check {
  const [json = 0, msgpack = 0] = [after["json"], after["msgpack"]];
  return {
    what: "JSON is still read, msgpack is written",
    passed: Object.keys(before).join() === "json" && json > 0 && msgpack > 0 && json + msgpack === totalOf(after),
    detail: `${json} values in JSON, ${msgpack} in msgpack`,
  };
}

function sqlCheck(delays: readonly number[]): Check {
  const slowestMs = Math.max(...delays);
  return {
    what: "a price changed by SQL is right in all processes",
    passed: delays.length > 0 && slowestMs <= MAX_STALENESS_MS,
    detail: `${delays.length} changes, the slowest ${Number.isFinite(slowestMs) ? ms(slowestMs) : "never"}`,
  };
}

const totalOf = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0);

/** The figures of a run, as lines. */
export function table(run: Run): readonly string[] {
  const { till, seen, loads, restart, frozen, tookMs } = run;
  const delays = acknowledgedOf({ seen })
    .map(({ slowestMs }) => slowestMs)
    .sort((one, other) => one - other);
  const rank = (share: number): string => ms(delays[Math.max(0, Math.ceil(delays.length * share) - 1)] ?? NaN);
  const rows: readonly (readonly [name: string, figure: string, remark: string])[] = [
    ["requests", whole(till.requests), `p50 ${ms(till.percentile(0.5))}, p99 ${ms(till.percentile(0.99))}`],
    ["loads", whole(loads), `${percent(loads / till.requests)} of requests, in all processes`],
    ["changes", whole(seen.length), `seen by all after p50 ${rank(0.5)}, at most ${rank(1)}`],
    ...(restart === undefined
      ? []
      : [["Redis killed", whole(restart.answered), "requests answered meanwhile"] as const]),
    ...(frozen === undefined
      ? []
      : [
          [
            "Redis frozen",
            whole(frozen.answered),
            `answered meanwhile, the slowest in ${ms(frozen.longestMs)}`,
          ] as const,
        ]),
    ["took", seconds(tookMs), ""],
  ];
  return rows.map(([name, figure, remark]) => `  ${name.padEnd(14)}${figure.padStart(8)}  ${remark}`.trimEnd());
}

/** The checks as lines, and how many of them passed. */
export function checklist(checks: readonly Check[]): readonly string[] {
  const width = Math.max(...checks.map(({ what }) => what.length));
  const passed = checks.filter((check) => check.passed).length;
  return [
    ...checks.map((check) => `  ${check.passed ? "pass" : "FAIL"}  ${check.what.padEnd(width)}  ${check.detail}`),
    "",
    `  ${passed} of ${checks.length} checks passed`,
  ];
}

const pendingOf = ({ seen }: Pick<Run, "seen">): readonly Seen[] => seen.filter(({ wasPending }) => wasPending);
const acknowledgedOf = ({ seen }: Pick<Run, "seen">): readonly Seen[] => seen.filter(({ wasPending }) => !wasPending);
export const slowestOf = (seen: readonly Seen[]): string => {
  const slowestMs = Math.max(...seen.map((each) => each.slowestMs));
  return Number.isFinite(slowestMs) ? ms(slowestMs) : "more than the demo waited";
};
export const ms = (value: number): string => `${Math.max(0, value).toFixed(1)} ms`;
export const whole = (count: number): string => count.toLocaleString("en");
export const seconds = (value: number): string => `${(value / 1_000).toFixed(1)} s`;
export const short = (runId: string): string => runId.slice(0, 8);
const percent = (share: number): string => (Number.isNaN(share) ? "no" : `${(share * 100).toFixed(1)} %`);
