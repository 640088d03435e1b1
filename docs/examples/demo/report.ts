import { DRAFT_TTL_MS } from "./facts-cache.ts";
import { short, type Restart } from "./incidents.ts";
import type { Latencies, Ledger } from "./ledger.ts";

/** The results of one run. */
export interface Run {
  readonly ledger: Ledger;
  readonly leastRequests: number;
  readonly tookMs: number;
  readonly changes: number;
  /** The longest time until a change was seen. */
  readonly slowestChangeMs: number;
  /** The tiers below memory. */
  readonly store: "file" | "redis";
  /** `undefined` without a Redis that the demo may kill. */
  readonly restarts: readonly Restart[] | undefined;
}

export interface Check {
  readonly what: string;
  readonly passed: boolean;
  readonly detail: string;
}

/** The checks, and whether each passed. */
export function judge({ ledger, leastRequests, changes, slowestChangeMs, store, restarts }: Run): readonly Check[] {
  const { requests, failed, keys, hitRatio, counted } = ledger;
  const kills = restarts?.length ?? 0;
  const checks: Check[] = [
    {
      what: "no failed request",
      passed: failed === 0,
      detail: `${whole(failed)} of ${whole(requests)}${failed === 0 ? "" : `: ${ledger.failures.join("; ")}`}`,
    },
    { what: `at least ${whole(leastRequests)} requests`, passed: requests >= leastRequests, detail: whole(requests) },
    {
      what: "loads at most keys + changes + restarts of Redis",
      passed: counted.loads <= keys + changes + kills,
      detail: `${counted.loads} <= ${keys} + ${changes} + ${kills}`,
    },
    { what: "at least 90 % hits", passed: hitRatio >= 0.9, detail: percent(hitRatio) },
    {
      what: `each change visible within its ttl, ${DRAFT_TTL_MS / 1_000} s`,
      passed: changes > 0 && slowestChangeMs <= DRAFT_TTL_MS,
      detail:
        changes === 0
          ? "nothing was changed"
          : `${changes === 1 ? "one change" : `the slowest of ${changes}`} after ${seconds(slowestChangeMs)}`,
    },
    {
      what: "the cache counted what its clients saw",
      passed:
        counted.hits === ledger.count("memory") + ledger.count("store") &&
        counted.staleHits === ledger.count("stale") &&
        counted.misses === ledger.count("miss"),
      detail: `${whole(counted.hits)} hits, ${whole(counted.staleHits)} stale, ${whole(counted.misses)} misses`,
    },
    {
      what: "the restarted service found its values",
      passed: ledger.count("store") > 0,
      detail: `${whole(ledger.count("store"))} ${store === "file" ? "in the file" : "in Redis"}`,
    },
  ];
  if (restarts === undefined) return checks;
  return [
    ...checks,
    {
      what: "Redis was restarted: another run_id",
      passed:
        restarts.length > 0 &&
        restarts.every(({ runIds: [killed, started] }) => killed !== "" && started !== "" && killed !== started),
      detail: restarts.map(({ runIds }) => runIds.map(short).join(" -> ")).join(", "),
    },
    {
      what: "Redis is in use again",
      passed: restarts.every(({ keysSince }) => keysSince > 0),
      detail: `${restarts.map(({ keysSince }) => keysSince).join(", ")} keys since`,
    },
  ];
}

/** The figures of a run, as lines. */
export function table({ ledger, tookMs, store }: Run): readonly string[] {
  const rows = [
    { label: "memory hit", latencies: ledger.latencies("memory") },
    { label: `${store} hit`, latencies: ledger.latencies("store") },
    { label: "stale", latencies: ledger.latencies("stale") },
    { label: "miss", latencies: ledger.latencies("miss") },
    { label: "all", latencies: ledger.latencies("memory", "store", "stale", "miss") },
  ];
  return [
    `  ${"".padEnd(12)}${"requests".padStart(10)}${"share".padStart(10)}${"p50".padStart(12)}${"p99".padStart(12)}`,
    ...rows.map(({ label, latencies }) => row(label, latencies, ledger.requests)),
    "",
    `  ${"took".padEnd(12)}${seconds(tookMs).padStart(10)}`,
    `  ${"loads".padEnd(12)}${whole(ledger.counted.loads).padStart(10)}   of ${milliseconds(ledger.meanLoadMs)} on average`,
    `  ${"time saved".padEnd(12)}${seconds(ledger.savedMs).padStart(10)}   of waiting for loads: each hit times the mean load of its package`,
  ];
}

export function checklist(checks: readonly Check[]): readonly string[] {
  const width = Math.max(...checks.map(({ what }) => what.length));
  return checks.map(({ what, passed, detail }) => `  ${passed ? "pass" : "FAIL"}  ${what.padEnd(width)}  ${detail}`);
}

function row(label: string, { count, p50Ms, p99Ms }: Latencies, requests: number): string {
  const times = count === 0 ? ["-", "-"] : [milliseconds(p50Ms), milliseconds(p99Ms)];
  return `  ${label.padEnd(12)}${whole(count).padStart(10)}${percent(count / requests).padStart(10)}${times.map((time) => time.padStart(12)).join("")}`;
}

export const whole = (count: number): string => count.toLocaleString("en");
export const percent = (share: number): string => (Number.isNaN(share) ? "no" : `${(share * 100).toFixed(1)} %`);
export const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
const milliseconds = (ms: number): string => `${ms.toFixed(2)} ms`;
