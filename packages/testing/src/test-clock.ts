// Not the global ones, which fake timers of a test runner replace: the interval would never fire.
import { clearInterval, setInterval } from "node:timers";
import type { Clock, Duration } from "@hotset/core";
import { milliseconds } from "./milliseconds.ts";

interface Due {
  readonly at: number;
  readonly callback: () => void;
}

const EPOCH_MS = 1_700_000_000_000 - 1_000;

/** A clock that has not been moved for so many looks at it, each so long after the one before, is abandoned. */
const ABANDONED_LOOKS = 10;
const LOOK_EVERY_MS = 100;

/** A clock that moves only by {@link TestClock.advance}. */
export class TestClock implements Clock {
  #now = 1_000;
  #suspendedMs = 0;
  #moves = 0;
  readonly #scheduled = new Set<Due>();

  /** Monotonic milliseconds, from 1,000 on. */
  now(): number {
    return this.#now;
  }

  /** Begins at 1_700_000_000_000, and moves with `now`, and with {@link suspend}. */
  epochMs(): number {
    return EPOCH_MS + this.#now + this.#suspendedMs;
  }

  /** Runs `callback` when time has moved by `delayMs`. @returns a function that cancels it */
  schedule(callback: () => void, delayMs: number): () => void {
    const due: Due = { at: this.#now + Math.max(0, delayMs), callback };
    if (due.at !== Infinity) this.#scheduled.add(due);
    return () => void this.#scheduled.delete(due);
  }

  /**
   * Moves time forward and runs the callbacks that fall due, in order, including those that are scheduled meanwhile.
   * Promise continuations run only after it: await something between two calls.
   *
   * @throws {InvalidArgumentError} for what is not a duration. An error of a callback is passed on.
   */
  advance(by: Duration): void {
    const until = this.#now + milliseconds(by);
    this.#moves += 1;
    for (let next = this.#next(until); next !== undefined; next = this.#next(until)) {
      this.#scheduled.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.callback();
    }
    this.#now = until;
  }

  /**
   * Moves time forward as an event loop that stands still: callbacks that fell due meanwhile run at its end, and find
   * the time then.
   *
   * @throws {InvalidArgumentError} for what is not a duration. An error of a callback is passed on.
   */
  stall(by: Duration): void {
    this.#now += milliseconds(by);
    this.advance(0);
  }

  /**
   * The machine is suspended: the wall clock moves on, the monotonic clock stands still, and nothing falls due.
   *
   * @throws {InvalidArgumentError} for what is not a duration.
   */
  suspend(time: Duration): void {
    this.#suspendedMs += milliseconds(time);
  }

  /**
   * Calls `callback` once, after a second of real time in which nothing moved this clock, and returns a function that
   * cancels it: how `close()` in a hook after a test ends although a loader never does. A second in which the event loop
   * ran: a pause of the process counts as a tenth of it.
   */
  whenAbandoned(callback: () => void): () => void {
    let seen = this.#moves;
    let looks = 0;
    const timer = setInterval(() => {
      looks = seen === this.#moves ? looks + 1 : 0;
      seen = this.#moves;
      if (looks < ABANDONED_LOOKS) return;
      clearInterval(timer);
      callback();
    }, LOOK_EVERY_MS);
    return () => clearInterval(timer);
  }

  #next(until: number): Due | undefined {
    let next: Due | undefined;
    for (const due of this.#scheduled) if (due.at <= until && (next === undefined || due.at < next.at)) next = due;
    return next;
  }
}
