import type { Clock } from "../contracts/clock.ts";

/**
 * Stops calls to a backend that does not answer.
 *
 *     closed ──5 failures in a row──▶ open ──1 s, doubling to 30 s──▶ one probe ──answered──▶ closed
 *                                      ▲────────────────failed────────────┘
 *
 * Only transport failures count; any answer, an error reply included, proves that the backend is reachable.
 */
export class Breaker {
  readonly #clock: Clock;
  #failures = 0;
  #isProbing = false;
  #probeAt = 0;
  #waitMs = FIRST_WAIT_MS;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isOpen(): boolean {
    return this.#failures >= THRESHOLD;
  }

  /** Whether a call may be sent now. While open, at most one at a time is let through, as the probe. */
  admits(): boolean {
    if (this.#failures < THRESHOLD) return true;
    if (this.#isProbing || this.#clock.now() < this.#probeAt) return false;
    this.#isProbing = true;
    return true;
  }

  /** How long until a probe would be let through; zero while closed. */
  get probeInMs(): number {
    return this.isOpen ? Math.max(0, this.#probeAt - this.#clock.now()) : 0;
  }

  answered(): void {
    this.#failures = 0;
    this.#isProbing = false;
    this.#waitMs = FIRST_WAIT_MS;
  }

  failed(): void {
    this.#failures += 1;
    if (this.#failures === THRESHOLD) this.#probeAt = this.#clock.now() + this.#waitMs;
    else if (this.#isProbing) {
      this.#waitMs = Math.min(LONGEST_WAIT_MS, this.#waitMs * 2);
      this.#probeAt = this.#clock.now() + this.#waitMs;
    }
    this.#isProbing = false;
  }
}

const THRESHOLD = 5;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;
