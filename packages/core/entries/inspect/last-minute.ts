import type { Invalidation, InvalidationCount } from "./inspection.ts";

type Counted = Omit<Invalidation, "mode" | "process" | "origin">;
type Count = { -readonly [P in keyof InvalidationCount]: InvalidationCount[P] };

/** Counts of the last minute, in steps: what a step leaves out is older than a minute. */
const STEP_MS = 5_000;
const STEPS = 12;
/** Different things that one step counts. */
const MOST = 1_000;

/** How often each thing was invalidated in the last minute: exact, however often that was. */
export class LastMinute {
  #steps: { readonly number: number; readonly counts: Map<string, Count> }[] = [];

  /** @param apart is counted apart, and is part of the count. */
  add<T extends object>({ at, namespace, scope, key, tags }: Counted, apart?: T): void {
    const counts = this.#countsOf(at);
    const of = { ...apart, namespace, scope, ...(key !== undefined && { key }), ...(tags !== undefined && { tags }) };
    const id = JSON.stringify(of);
    const count = counts.get(id);
    if (count === undefined && counts.size >= MOST) return;
    counts.set(id, { ...of, times: (count?.times ?? 0) + 1, lastAt: at });
  }

  /** The most frequent first. */
  counts<T extends object>(now: number, most: number): readonly (InvalidationCount & T)[] {
    const sums = new Map<string, Count>();
    this.#countsOf(now);
    for (const { counts } of this.#steps)
      for (const [id, count] of counts) sums.set(id, { ...count, times: count.times + (sums.get(id)?.times ?? 0) });
    return ([...sums.values()] as (InvalidationCount & T)[])
      .toSorted((one, other) => other.times - one.times || other.lastAt - one.lastAt)
      .slice(0, most);
  }

  #countsOf(at: number): Map<string, Count> {
    const number = Math.floor(at / STEP_MS);
    if (this.#steps.at(-1)?.number !== number) {
      // A clock that was set back leaves no step for long either.
      this.#steps = this.#steps.filter((step) => Math.abs(number - step.number) < STEPS);
      this.#steps.push({ number, counts: new Map() });
    }
    return this.#steps.at(-1)!.counts;
  }
}
