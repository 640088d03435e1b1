import { haveEqualItems } from "../primitives/equal-items.ts";

/**
 * The callers of a flight: those that wait for it, and what counts of those that left.
 *
 * @typeParam W a caller that waits.
 */
export class Crowd<W extends { readonly isNested: boolean }> {
  waiters: readonly W[] = NO_WAITERS;
  /** The tags of all callers that ever came. */
  declare tags: readonly string[];
  /** Whether a running load is one of them. */
  isNested = false;
  /** How many came and did not leave by their signal; and how many did not leave with nothing. */
  #faithful: number;
  #served: number;
  #isOutlived = false;

  /** @param served callers that were answered before they came: they did not abandon the flight. */
  constructor(tags: readonly string[], served: number) {
    this.tags = tags;
    this.#faithful = this.#served = served;
  }

  get isAwaited(): boolean {
    return this.waiters.length !== 0;
  }

  /** Whether every caller that ever waited was aborted by its signal. */
  get isAbandoned(): boolean {
    return this.#faithful <= 0;
  }

  /** Whether each of them left, by its signal or its time, before it got anything and before the load began. */
  get isUnserved(): boolean {
    return this.#served <= 0;
  }

  /** The flight continues without callers. `true` the first time. */
  outlive(): boolean {
    const isFirst = !this.#isOutlived;
    this.#isOutlived = true;
    return isFirst;
  }

  addTags(more: readonly string[]): void {
    // Nearly always they are the same. By a set, since a list may be long, and each caller that joins comes here.
    if (more.length === 0 || haveEqualItems(this.tags, more)) return;
    const known = new Set(this.tags);
    if (more.some((tag) => !known.has(tag))) this.tags = [...new Set([...known, ...more])];
  }

  add(waiter: W): void {
    // Nearly every flight has one: an array that grows would have room for 17.
    if (this.waiters.length === 0) this.waiters = [waiter];
    else (this.waiters as W[]).push(waiter);
    this.isNested ||= waiter.isNested;
    this.#faithful += 1;
    this.#served += 1;
  }

  /** Takes callers out; the wait of each of them continues until it is ended. @param takes selects them. @default all */
  take(takes?: (waiter: W) => boolean): readonly W[] {
    const all = this.waiters;
    const taken = takes === undefined ? all : all.filter(takes);
    this.waiters = taken.length === all.length ? NO_WAITERS : all.filter((each) => !takes!(each));
    this.isNested &&= this.waiters.some(({ isNested }) => isNested);
    return taken;
  }

  /** Takes out one caller that gets nothing. @param hasBegun whether the load has; it keeps its slot then. */
  leave(waiter: W, by: "signal" | "time", hasBegun: boolean): boolean {
    if (this.take((each) => each === waiter).length === 0) return false;
    if (by === "signal") this.#faithful -= 1;
    if (by === "signal" || !hasBegun) this.#served -= 1;
    return true;
  }
}

/** Never changed: the first caller begins a new array. */
const NO_WAITERS: never[] = [];
