import type { NamespaceStats } from "@hotset/core";
import { percentile, sizeOf, type Durations } from "./durations.ts";
import type { GroupRates, Rates } from "./inspection.ts";
import { callsOf, type Counts } from "./usual-hits.ts";

// Rates out of counts and durations.

export function statsOf(counts: Counts, durations: Durations): NamespaceStats {
  const of = (share: number): number => percentile(durations, share);
  return {
    ...counts,
    hitRatio: (counts.hits + counts.staleHits) / callsOf(counts),
    loadLatency: { count: sizeOf(durations), p50Ms: of(0.5), p95Ms: of(0.95), p99Ms: of(0.99) },
  };
}

export function ratesOf(counts: Counts, durations: Durations, of: Pick<Rates, "calls" | "ms">): Rates {
  const { hitRatio, loadLatency } = statsOf(counts, durations);
  const { loads, loadErrors, unadmitted } = counts;
  const { p95Ms, count: timed } = loadLatency;
  return { ...of, loads, loadErrors, ...(unadmitted > 0 && { unadmitted }), timed, ...finite({ hitRatio, p95Ms }) };
}

/** Without what is not known: JSON has no `NaN`. */
export const finite = <T extends object>(given: T | undefined): Partial<T> =>
  Object.fromEntries(Object.entries(given ?? {}).filter(([, value]) => Number.isFinite(value))) as Partial<T>;

/** How much a rule could find in it: only a part of a thousand groups fits into a record. */
export function oddness({ recent, before, failed }: GroupRates): number {
  const slower =
    recent.p95Ms === undefined || before.p95Ms === undefined ? 0 : Math.min(10, recent.p95Ms / before.p95Ms);
  const fallen = recent.calls * Math.max(0, (before.hitRatio ?? 0) - (recent.hitRatio ?? 1));
  return 10 * (failed?.count ?? 0) + fallen + slower + (recent.unadmitted ?? 0);
}
