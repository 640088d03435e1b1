import { haveEqualItems } from "../primitives/equal-items.ts";
import type { GetOrSetCall } from "./call.ts";

/** Whether a caller began its flight or joined it. */
export type Role = "first" | "joined";

/** How a call ends: one of both is called, once. */
export interface Ends {
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

/** A caller that waits for a flight, an `F`. */
export class Waiter<F> {
  readonly call: GetOrSetCall;
  role: Role;
  /** The flight that it waits for. */
  flight: F;
  /** Where the result is not for a caller that joined: begins its wait again, in its own async context. */
  again: ((waiter: Waiter<F>) => void) | undefined;
  /** Whether it joined after a tag event: the result may be older than that. */
  isLate: boolean;
  /** Whether a running load of this cache made the call. */
  readonly isNested: boolean;
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
  /** Whether its soft timeout was started. */
  hasSoftTimeout = false;
  readonly #ended: () => void;
  #cancels: (() => void)[] | undefined;

  constructor(
    {
      call,
      role,
      isNested,
      flight,
      again,
      isLate,
    }: Pick<Waiter<F>, "call" | "role" | "isNested" | "flight" | "again" | "isLate">,
    { resolve, reject }: Ends,
    ended: () => void,
  ) {
    this.call = call;
    this.role = role;
    this.isNested = isNested;
    this.flight = flight;
    this.again = again;
    this.isLate = isLate;
    this.resolve = resolve;
    this.reject = reject;
    this.#ended = ended;
  }

  /** Calls `cancel` when the wait ends, for any reason. */
  until(cancel: () => void): void {
    (this.#cancels ??= []).push(cancel);
  }

  /** Ends its timers and removes its listener of `signal`. Called once. */
  end(): void {
    this.#ended();
    if (this.#cancels !== undefined) for (const cancel of this.#cancels) cancel();
  }
}

/** The callers of one flight, an `F`: those that wait, and what is known of those that do not any more. */
export class Crowd<F> {
  /** The tags of all callers that ever came. */
  tags: readonly string[];
  #waiters: Waiter<F>[] = NO_WAITERS;
  #joined: number;
  #aborted = 0;
  #unserved = 0;
  #isOutlived = false;

  /** @param served how many callers were served before: they did not abandon the flight. */
  constructor(tags: readonly string[], served: number) {
    this.tags = tags;
    this.#joined = served;
  }

  addTags(more: readonly string[]): void {
    // Nearly always they are the same. By a set, since a list may be long, and each caller that joins comes here.
    if (haveEqualItems(this.tags, more)) return;
    const known = new Set(this.tags);
    if (more.some((tag) => !known.has(tag))) this.tags = [...new Set([...known, ...more])];
  }

  get waiters(): readonly Waiter<F>[] {
    return this.#waiters;
  }

  /** Whether one of them is a running load. */
  get isNested(): boolean {
    return this.#waiters.some(({ isNested }) => isNested);
  }

  /** The flight continues without callers. `true` the first time. */
  outlive(): boolean {
    const isFirst = !this.#isOutlived;
    this.#isOutlived = true;
    return isFirst;
  }

  /** Whether every caller that ever waited was aborted by its signal. */
  get isAbandoned(): boolean {
    return this.#aborted >= this.#joined;
  }

  /** Whether each of them left, by its signal or its time, before it got anything and before the load began. */
  get isUnserved(): boolean {
    return this.#unserved >= this.#joined;
  }

  add(waiter: Waiter<F>): void {
    // Nearly every flight has one: an array that grows would have room for 17.
    if (this.#waiters.length === 0) this.#waiters = [waiter];
    else this.#waiters.push(waiter);
    this.#joined += 1;
  }

  /** Ends the wait of one caller; `false` when it had ended already. */
  take(waiter: Waiter<F>): boolean {
    const index = this.#waiters.indexOf(waiter);
    if (index < 0) return false;
    this.#waiters.splice(index, 1);
    waiter.end();
    return true;
  }

  /** As {@link take}, of a caller that leaves with nothing. @param isLoading whether the load has begun. */
  leave(waiter: Waiter<F>, by: "signal" | "time", isLoading: boolean): boolean {
    if (!this.take(waiter)) return false;
    if (by === "signal") this.#aborted += 1;
    if (by === "signal" || !isLoading) this.#unserved += 1;
    return true;
  }

  /** The callers that another flight takes over: they keep waiting. */
  handOver(takes: (waiter: Waiter<F>) => boolean): readonly Waiter<F>[] {
    const waiters = this.#waiters;
    const taken = waiters.filter(takes);
    if (taken.length === waiters.length) this.#waiters = NO_WAITERS;
    else if (taken.length !== 0) this.#waiters = waiters.filter((each) => !takes(each));
    return taken;
  }

  /** Ends the wait of all callers, or of those that `takes` selects. */
  takeAll(takes: (waiter: Waiter<F>) => boolean = every): readonly Waiter<F>[] {
    const taken = this.handOver(takes);
    for (const waiter of taken) waiter.end();
    return taken;
  }
}

const every = (): boolean => true;
/** Never changed: the first caller begins a new array. */
const NO_WAITERS: never[] = [];
