import type { ProcessRecord, ProcessStart } from "./inspection.ts";

const KEPT_MS = 3_600_000;
const MOST = 500;

/** A record that is late by so many of its times between two is of a process that has ended. */
export const LATE = 1.5;

/** When processes started, and what changed with them, by the records that one process reads. */
export class ProcessStarts {
  /** By id; the one that was first seen first. */
  readonly #known = new Map<string, ProcessRecord>();
  #living: ReadonlySet<string> = new Set();

  add(records: readonly ProcessRecord[], now: number): void {
    this.#living = new Set(
      records.filter(({ ageMs, everyMs = EVERY_MS }) => ageMs < LATE * everyMs).map(({ id }) => id),
    );
    for (const record of records) this.#known.set(record.id, record);
    for (const [id, { at }] of this.#known) if (now - at > KEPT_MS || this.#known.size > MOST) this.#known.delete(id);
  }

  /** The last one first. */
  list(now: number): readonly ProcessStart[] {
    const all = [...this.#known.values()].toSorted((one, other) => other.startedAt - one.startedAt);
    return all
      .filter(({ startedAt }) => now - startedAt <= KEPT_MS)
      .map(({ id, name, startedAt, at, settings = {} }) => {
        // The last one that had started before: of the same name, if there is one.
        const before = all.filter((each) => each.startedAt < startedAt);
        const former = before.find((each) => each.name === name) ?? before[0];
        const changed = Object.entries(settings).flatMap(([setting, value]) => {
          const was = former?.settings?.[setting];
          return was === undefined || was === value ? [] : [{ setting, was, is: value }];
        });
        return { id, name, startedAt, lastAt: at, isLiving: this.#living.has(id), changed };
      });
  }
}

/** For records of versions that do not say it. */
const EVERY_MS = 10_000;
