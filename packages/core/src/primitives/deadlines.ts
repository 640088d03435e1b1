import type { Clock } from "../contracts/clock.ts";

/** A deadline that passes at an instant, unless it is ended before. */
export class Deadline {
  readonly dueAt: number;
  isOver = false;
  previous: Deadline | undefined;
  next: Deadline | undefined;
  /** Cancels the timer of a deadline that has its own. */
  cancel: (() => void) | undefined;
  readonly #passed: () => void;

  constructor(dueAt: number, passed: () => void) {
    this.dueAt = dueAt;
    this.#passed = passed;
  }

  pass(): void {
    this.#passed();
  }
}

/**
 * Deadlines of calls. Nearly all have one length, so they are due in the order in which they began: one timer serves
 * all of them, and is armed at most once per length, not once per call. A deadline of another length has its own timer.
 * An ended deadline is unlinked at once and keeps nothing alive.
 */
export class Deadlines {
  readonly lengthMs: number;
  readonly #clock: Clock;
  #oldest: Deadline | undefined;
  #youngest: Deadline | undefined;
  #isArmed = false;

  constructor(lengthMs: number, clock: Clock) {
    this.lengthMs = lengthMs;
    this.#clock = clock;
  }

  start(now: number, lengthMs: number, passed: () => void): Deadline {
    const deadline = new Deadline(now + lengthMs, passed);
    if (lengthMs !== this.lengthMs) {
      deadline.cancel = this.#clock.schedule(() => {
        if (this.end(deadline)) deadline.pass();
      }, lengthMs);
      return deadline;
    }
    deadline.previous = this.#youngest;
    if (this.#youngest === undefined) this.#oldest = deadline;
    else this.#youngest.next = deadline;
    this.#youngest = deadline;
    if (!this.#isArmed) this.#arm(this.lengthMs);
    return deadline;
  }

  /** Ends a deadline; `false` if it was over already. */
  end(deadline: Deadline): boolean {
    if (deadline.isOver) return false;
    deadline.isOver = true;
    if (deadline.cancel !== undefined) {
      deadline.cancel();
      return true;
    }
    const { previous, next } = deadline;
    if (previous === undefined) this.#oldest = next;
    else previous.next = next;
    if (next === undefined) this.#youngest = previous;
    else next.previous = previous;
    // An ended deadline in the old generation would keep all later ones alive, one by one, until a full collection.
    deadline.previous = deadline.next = undefined;
    return true;
  }

  #arm(delayMs: number): void {
    this.#isArmed = true;
    this.#clock.schedule(() => this.#expire(), delayMs);
  }

  #expire(): void {
    const now = this.#clock.now();
    let oldest = this.#oldest;
    // The callback may start another deadline at once: the timer that is armed below serves it.
    for (; oldest !== undefined && oldest.dueAt <= now; oldest = this.#oldest) {
      this.end(oldest);
      oldest.pass();
    }
    this.#isArmed = false;
    if (oldest !== undefined) this.#arm(oldest.dueAt - now);
  }
}
