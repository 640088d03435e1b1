import type { Inspection, ProcessRecord } from "@hotset/core/inspect";
import type { Figures } from "../rules/picture.ts";
import type { FleetOverview } from "./pages.ts";

// Sums over the records of processes, and records that have ended.

/** For versions that do not say it. */
const EVERY_MS = 10_000;

/** The last record of a process. `isOld`: the backend has it no more. */
export type SeenProcess = ProcessRecord & { readonly everyMs: number; readonly isOld: boolean };

/** A process that is late by so many of the times between two records, and whose name another has taken, is over. */
const LATE = 1.5;

/** By their names: those with a record, and those that are lost. */
export function seenProcesses(
  inspection: Pick<Inspection, "knownProcesses" | "lostProcesses">,
): readonly SeenProcess[] {
  const known = inspection.knownProcesses();
  const isOver = ({ id, name, at, ageMs, everyMs = EVERY_MS }: ProcessRecord): boolean =>
    ageMs >= LATE * everyMs && known.some((other) => other.id !== id && other.name === name && other.startedAt >= at);
  const seen = (record: ProcessRecord, isOld: boolean): SeenProcess => ({
    ...record,
    ...{ everyMs: record.everyMs ?? EVERY_MS, isOld },
  });
  return [
    ...known.filter((record) => !isOver(record)).map((record) => seen(record, false)),
    ...inspection.lostProcesses().map((record) => seen(record, true)),
  ].toSorted((one, other) => (one.name < other.name ? -1 : 1));
}

/** For the last minute: this process, and the records of all others; `null` without others. */
export function fleetSums(own: Figures, processes: readonly SeenProcess[]): FleetOverview | null {
  const ownName = processes.find(({ isOwn }) => isOwn)?.name ?? "this process";
  const others = processes.flatMap(({ name, isOwn, isOld, figures }) =>
    isOwn || isOld || figures === undefined ? [] : [{ name, figures }],
  );
  if (others.length === 0) return null;
  const rows = [{ name: ownName, figures: own }, ...others].map(({ name, figures: { groups, tiers } }) => {
    const { recent, failed } = groups[0]!;
    const { calls, ms, hitRatio = null } = recent;
    const errors = tiers.reduce((sum, tier) => sum + tier.errors, 0);
    const callsPerSecond = ms === 0 ? 0 : (1_000 * calls) / ms;
    return { name, callsPerSecond, hitRatio, errors, loadErrors: failed?.count ?? 0 };
  });
  const sum = (of: "callsPerSecond" | "errors" | "loadErrors"): number =>
    rows.reduce((total, row) => total + row[of], 0);
  const hits = rows.reduce((total, { callsPerSecond, hitRatio }) => total + callsPerSecond * (hitRatio ?? 0), 0);
  const [worst] = rows.toSorted(
    (one, other) =>
      other.errors + other.loadErrors - one.errors - one.loadErrors || (one.hitRatio ?? 2) - (other.hitRatio ?? 2),
  );
  return {
    processes: rows.length,
    callsPerSecond: sum("callsPerSecond"),
    hitRatio: sum("callsPerSecond") === 0 ? null : hits / sum("callsPerSecond"),
    loadErrors: sum("loadErrors"),
    errors: sum("errors"),
    worst: worst!,
  };
}
