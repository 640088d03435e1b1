import type { Fault, History, Instant, Load } from "./history.ts";

export const askedAt = ({ askedAt: asked, startedAt }: Load): Instant => asked ?? startedAt;

/** Whether the first load gave its lease up before the second began. */
export const gaveUpBefore = ({ givenUpAt }: Load, { startedAt }: Pick<Load, "startedAt">): boolean =>
  givenUpAt !== undefined && givenUpAt <= startedAt;

/**
 * Loads and entries under tag versions that Redis has lost. Over the channel that is not reported: a process keeps to
 * the versions that it knows, until one that must ask issues new ones, which it announces. Then loads under the lost
 * versions give their leases up, and what was stored under them has ended. Where the issuer was lost too, each process
 * drops the value of one load with a late tag.
 *
 * Ends, for each key and loss, when each of its versions was issued, and each process has dropped one value.
 */
export class LostVersions {
  readonly #history: Pick<History, "faults" | "processes">;
  /** By loss and key, the loads and writes that it has outdated. */
  readonly #outdated = new Map<Fault, Map<string, Set<string>>>();

  constructor(history: Pick<History, "faults" | "processes">) {
    this.#history = history;
  }

  /**
   * Whether a load, or a write, of `key` may be under lost versions. Counts it: ask only where nothing else explains
   * what happened to it.
   *
   * @param asked when it asked for the versions.
   */
  mayOutdate(key: string, { id, asked }: { readonly id: string; readonly asked: Instant }): boolean {
    const { faults, processes } = this.#history;
    return faults.some((fault) => {
      if (fault.unreportedVersions === undefined || fault.to > asked) return false;
      const outdated = this.#outdatedBy(fault, key);
      if (!outdated.has(id) && outdated.size >= fault.unreportedVersions + processes.length) return false;
      outdated.add(id);
      return true;
    });
  }

  #outdatedBy(fault: Fault, key: string): Set<string> {
    const byKey = this.#outdated.get(fault) ?? new Map<string, Set<string>>();
    this.#outdated.set(fault, byKey);
    const ids = byKey.get(key) ?? new Set<string>();
    byKey.set(key, ids);
    return ids;
  }
}
