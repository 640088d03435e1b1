import { holdProcess } from "./async-context.ts";
import type { Clock } from "../contracts/clock.ts";
import { Deadline, Deadlines } from "./deadlines.ts";

/** One timeout of {@link Timeouts}. */
export class Timeout extends Deadline {
  readonly #among: Deadlines;
  readonly #passed: () => void;
  readonly #ended: () => void;

  constructor(among: Deadlines, passed: () => void, ended: () => void) {
    super();
    this.#among = among;
    this.#passed = passed;
    this.#ended = ended;
  }

  pass(): void {
    this.#ended();
    this.#passed();
  }

  /** `false` if it has passed, or was ended before. */
  end(): boolean {
    const isEnded = this.#among.end(this);
    if (isEnded) this.#ended();
    return isEnded;
  }
}

/**
 * Timeouts of any length on one clock, for calls that are many at a time. All of one length share a timer: a timer of
 * its own would cost a call more than the rest of its bookkeeping. They count time in which the event loop ran, as
 * {@link Deadlines} do, and keep the process alive meanwhile: a call may wait for a peer without a socket.
 */
export class Timeouts {
  static readonly #of = new WeakMap<Clock, Timeouts>();

  /** Shared by all caches on a clock. */
  static on(clock: Clock): Timeouts {
    let timeouts = Timeouts.#of.get(clock);
    if (timeouts === undefined) Timeouts.#of.set(clock, (timeouts = new Timeouts(clock)));
    return timeouts;
  }

  readonly #clock: Clock;
  /** By length, those that have a timer. */
  readonly #lists = new Map<number, Deadlines>();
  readonly #ended = (): void => {
    this.#running -= 1;
    if (this.#running === 0) this.#release?.();
  };
  #running = 0;
  #release: (() => void) | undefined;

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
    if (this.#running === 0) this.#release = holdProcess(this.#clock);
    this.#running += 1;
    const timeout = new Timeout(list, passed, this.#ended);
    list.start(timeout);
    return timeout;
  }

  /** Cancels the timers that serve no timeout. */
  rest(): void {
    for (const list of [...this.#lists.values()]) list.rest();
  }
}
