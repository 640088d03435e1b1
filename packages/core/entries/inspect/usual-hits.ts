import type { CacheStats } from "@hotset/core";
import type { COUNTS } from "@hotset/core/internal";
import type { GroupRates } from "./inspection.ts";

/** What a cache counts of its calls. */
export type Counts = Record<(typeof COUNTS)[number], number>;

/** A hit ratio that is lower by so much has fallen. */
const FALL = 0.1;
const ENOUGH_CALLS = 50;
/** What stays low for longer is usual. */
const USUAL_MS = 86_400_000;
/** So long a process that has just started compares itself with the others of its cache. */
const YOUNG_MS = 3_600_000;

interface Fall {
  /** The calls of the time before it. */
  readonly before: Counts;
  /** All counts when it began. */
  readonly begin: Counts;
  readonly since: number;
}

type Calls = Pick<CacheStats, "hits" | "staleHits" | "misses">;
export const callsOf = ({ hits, staleHits, misses }: Calls): number => hits + staleHits + misses;
const ratioOf = (calls: Calls): number => (calls.hits + calls.staleHits) / callsOf(calls);

/**
 * The calls of the time before, by owner, with which the last ones are compared. While a hit ratio is low, the calls
 * since it fell are left out: they would soon make it look usual.
 */
export class UsualHits {
  readonly #startedAt: number;
  readonly #falls = new Map<string, Fall>();
  /** Counts of the past that are left out. */
  readonly #leftOut = new Map<string, Counts>();
  readonly #ofOthers = new Map<string, GroupRates["before"]>();

  constructor(now: number) {
    this.#startedAt = now;
  }

  /** Takes over what was usual in processes that ran before, by owner: the one with most calls counts. */
  inherit(id: string, before: GroupRates["before"]): void {
    if (before.hitRatio !== undefined && before.calls > (this.#ofOthers.get(id)?.calls ?? 0))
      this.#ofOthers.set(id, before);
  }

  /**
   * What `recent` is compared with.
   *
   * @param earlier all counts up to `recent`
   */
  before(id: string, earlier: Counts, recent: Counts, now: number): Pick<GroupRates["before"], "calls" | "hitRatio"> {
    const fall = this.#falls.get(id);
    const past = fall?.before ?? difference(earlier, this.#leftOut.get(id));
    const inherited = now - this.#startedAt < YOUNG_MS ? this.#ofOthers.get(id) : undefined;
    if (callsOf(recent) >= ENOUGH_CALLS) this.#judge(id, { earlier, past, recent }, now);
    if (inherited !== undefined && inherited.calls > callsOf(past)) return inherited;
    const calls = callsOf(past);
    return calls === 0 ? { calls } : { calls, hitRatio: ratioOf(past) };
  }

  #judge(id: string, { earlier, past, recent }: Record<"earlier" | "past" | "recent", Counts>, now: number): void {
    const fall = this.#falls.get(id);
    const isLow = callsOf(past) >= ENOUGH_CALLS && ratioOf(recent) < ratioOf(past) - FALL;
    if (isLow && fall === undefined) this.#falls.set(id, { before: past, begin: earlier, since: now });
    if (fall === undefined || (isLow && now - fall.since < USUAL_MS)) return;
    this.#falls.delete(id);
    // A fall of a day is what is usual from now on. One that has ended was not, and its calls are left out.
    this.#leftOut.set(id, isLow ? fall.begin : sum(difference(earlier, fall.begin), this.#leftOut.get(id)));
  }
}

const each = (one: Counts, of: (name: keyof Counts) => number): Counts =>
  Object.fromEntries(Object.keys(one).map((name) => [name, of(name as keyof Counts)])) as Counts;
const sum = (one: Counts, other: Counts | undefined): Counts => each(one, (name) => one[name] + (other?.[name] ?? 0));
export const difference = (now: Counts, then: Counts | undefined): Counts =>
  then === undefined ? now : each(now, (name) => now[name] - then[name]);
