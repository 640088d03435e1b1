import type { Clock } from "../contracts/clock.ts";

/** Something that ends by itself after a while, unless it is over before. */
export class Deadline {
  readonly dueAt: number;
  isOver = false;
  previous: Deadline | undefined;
  next: Deadline | undefined;
  /** Of one that has a timer of its own. */
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
 * Deadlines of calls, nearly all of one length, which so fall due in the order they began: one timer serves all of
 * them, armed at most once per length and not once per call. One of another length has a timer of its own. One that is
 * over leaves at once, and keeps nothing alive.
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

  /** `false` when it was over already. */
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
    // One that has grown old would keep all that came after it alive, one by one, until a full collection.
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
    // Whoever is told may start another at once: it is served by the timer that is armed below.
    for (; oldest !== undefined && oldest.dueAt <= now; oldest = this.#oldest) {
      this.end(oldest);
      oldest.pass();
    }
    this.#isArmed = false;
    if (oldest !== undefined) this.#arm(oldest.dueAt - now);
  }
}
