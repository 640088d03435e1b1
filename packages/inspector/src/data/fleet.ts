import type { ProcessRecord } from "@hotset/core/inspect";
import type { Figures } from "../rules/picture.ts";
import type { FleetOverview } from "./pages.ts";

// Sums over the records of processes, and records that have ended.

/** For versions that do not say it. */
const EVERY_MS = 10_000;
/** So long the last record of a process is shown. */
const KEPT_MS = 600_000;

/** The last record of a process. `isOld`: the backend has it no more. */
export type SeenProcess = ProcessRecord & { readonly everyMs: number; readonly isOld: boolean };

/** So many of the times between two records a living process may be late. */
const LATE = 1.5;

/** Remembers the last record of each process. */
export class SeenProcesses {
  /** By id. */
  readonly #last = new Map<string, SeenProcess>();

  /**
   * By their names. A record that ended stays for some minutes, if it was seen to be late while it was there: one that
   * was in time was removed by a process that closed its cache, or was not looked at. It gives way to a process of the
   * same name that started afterwards.
   */
  update(known: readonly ProcessRecord[], now: number): readonly SeenProcess[] {
    for (const record of known)
      this.#last.set(record.id, { ...record, everyMs: record.everyMs ?? EVERY_MS, isOld: false });
    for (const [id, process] of this.#last) {
      const isThere = known.some((record) => record.id === id);
      const isLate = process.ageMs >= LATE * process.everyMs;
      const isReplaced =
        isLate &&
        known.some((other) => other.id !== id && other.name === process.name && other.startedAt >= process.at);
      const isForgotten = !isThere && (!isLate || now - process.at > KEPT_MS);
      if (isReplaced || isForgotten) this.#last.delete(id);
      else if (!isThere) this.#last.set(id, { ...process, isOld: true });
    }
    return [...this.#last.values()].toSorted((one, other) => (one.name < other.name ? -1 : 1));
  }
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
