import type { Clock } from "../contracts/clock.ts";
import { Deadline, Deadlines } from "./deadlines.ts";

/** One timeout of {@link Timeouts}. */
export class Timeout extends Deadline {
  readonly #among: Deadlines;
  readonly #passed: () => void;

  constructor(among: Deadlines, passed: () => void) {
    super();
    this.#among = among;
    this.#passed = passed;
  }

  pass(): void {
    this.#passed();
  }

  /** `false` if it has passed, or was ended before. */
  end(): boolean {
    return this.#among.end(this);
  }
}

/**
 * Timeouts of any length on one clock, for calls that are many at a time. All of one length share a timer: a timer of
 * its own would cost a call more than the rest of its bookkeeping. They count time in which the event loop ran, as
 * {@link Deadlines} do.
 */
export class Timeouts {
  static readonly #of = new WeakMap<Clock, Timeouts>();

  /** Those that all caches on a clock share. */
  static on(clock: Clock): Timeouts {
    let timeouts = Timeouts.#of.get(clock);
    if (timeouts === undefined) Timeouts.#of.set(clock, (timeouts = new Timeouts(clock)));
    return timeouts;
  }

  readonly #clock: Clock;
  /** By length, those that have a timer. */
  readonly #lists = new Map<number, Deadlines>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param lengthMs rounded down to whole milliseconds, so that few lengths occur. */
  start(lengthMs: number, passed: () => void): Timeout {
    const length = Math.max(0, Math.floor(lengthMs));
    let list = this.#lists.get(length);
    if (list === undefined) {
      list = new Deadlines(length, this.#clock, () => this.#lists.delete(length));
      this.#lists.set(length, list);
    }
    const timeout = new Timeout(list, passed);
    list.start(timeout);
    return timeout;
  }

  /** Cancels the timers that serve no timeout. */
  rest(): void {
    for (const list of [...this.#lists.values()]) list.rest();
  }
}
