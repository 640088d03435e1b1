import { epochMs, type Clock } from "../contracts/clock.ts";

/**
 * Notices that the machine was suspended. There the monotonic clock may stand still, so no deadline has passed; the
 * wall clock has moved on. A wall clock that is set ahead looks the same, and costs one confirmation of each copy.
 */
export class SuspensionWatch {
  readonly #clock: Clock;
  readonly #suspended: (now: number) => void;
  /** The wall clock minus the monotonic one, when both were last compared. */
  #ahead = Infinity;
  #lookAt: number;

  /** @param suspended called with `clock.now()`. */
  constructor(clock: Clock, suspended: (now: number) => void) {
    this.#clock = clock;
    this.#suspended = suspended;
    // A clock of the user without a wall clock has nothing to compare.
    this.#lookAt = clock.epochMs === undefined ? Infinity : -Infinity;
  }

  /** Compares the clocks, once in a while: reads of the local tier call it first. */
  look(now: number): void {
    if (now >= this.#lookAt) this.#compare(now);
  }

  #compare(now: number): void {
    const before = this.#ahead;
    // Compared again each time: a clock that is corrected little by little moves by milliseconds between two looks.
    this.#ahead = epochMs(this.#clock) - now;
    this.#lookAt = now + LOOK_EACH_MS;
    if (this.#ahead - before > TOLERANCE_MS) this.#suspended(now);
  }
}

/** A process that was reading when its machine was suspended keeps reading for as long at most. */
const LOOK_EACH_MS = 50;
/** Clocks are corrected by less than this all the time. */
const TOLERANCE_MS = 500;
