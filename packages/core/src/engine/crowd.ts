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
  /** Callers that came, without those that left by their signal. */
  #unaborted: number;
  /** Callers that came, without those that left with nothing: by their signal, or by their time before the load began. */
  #servedOrWaiting: number;
  #isOutlived = false;

  /** @param served callers that were answered before they came: they did not abandon the flight. */
  constructor(tags: readonly string[], served: number) {
    this.tags = tags;
    this.#unaborted = this.#servedOrWaiting = served;
  }

  get isAwaited(): boolean {
    return this.waiters.length !== 0;
  }

  /** Whether every caller that ever waited was aborted by its signal. */
  get isAbandoned(): boolean {
    return this.#unaborted <= 0;
  }

  /** Whether each of them left with nothing: by its signal, or by its time before the load began. */
  get isUnserved(): boolean {
    return this.#servedOrWaiting <= 0;
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
    this.#unaborted += 1;
    this.#servedOrWaiting += 1;
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
    if (by === "signal") this.#unaborted -= 1;
    if (by === "signal" || !hasBegun) this.#servedOrWaiting -= 1;
    return true;
  }
}

/** Never changed: the first caller begins a new array. */
const NO_WAITERS: never[] = [];
