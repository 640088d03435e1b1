import type { BreakerPolicy } from "../contracts/capabilities.ts";
import type { Clock } from "../contracts/clock.ts";

/**
 * Stops calls to a backend that does not answer.
 *
 *     closed ──5 failures in a row──▶ open ──1 s, doubling to 30 s──▶ one probe ──answered──▶ closed
 *                                      ▲────────────────failed────────────┘
 *
 * These numbers are the default of {@link BreakerPolicy}.
 *
 * One public call may need two calls of the backend together: one on an entry or a lease, and one on tag versions. If
 * the second were refused, the first would be carried out for nothing. So the probe admits one call of the other kind
 * next to it, in the same tick.
 *
 * Only transport failures count. Any answer, an error reply included, proves that the backend is reachable: its owner
 * drops the breaker then, and makes another one at the next failure.
 */
export class Breaker {
  readonly #clock: Clock;
  #failures = 0;
  #isProbing = false;
  /** The kind of call that is part of the probe, until the end of the tick. */
  #companion: CallKind | undefined;
  #probeAt = 0;
  #failedAt = -Infinity;
  #waitMs: number;
  readonly #policy: BreakerPolicy;

  constructor(clock: Clock, policy: BreakerPolicy = DEFAULT_POLICY) {
    this.#clock = clock;
    this.#policy = policy;
    this.#waitMs = policy.waitMs;
  }

  get isOpen(): boolean {
    return this.#failures >= this.#policy.failures;
  }

  /** Whether a call may be sent now. While open, one public call at a time is let through, as the probe. */
  admits(kind: CallKind): boolean {
    if (this.#failures < this.#policy.failures) return true;
    if (kind === this.#companion) {
      this.#companion = undefined;
      return true;
    }
    if (this.#isProbing || this.#clock.now() < this.#probeAt) return false;
    this.#isProbing = true;
    this.#companion = kind === "tags" ? "entries" : "tags";
    queueMicrotask(() => {
      this.#companion = undefined;
    });
    return true;
  }

  /** How long until a probe would be let through; zero while closed. */
  get probeInMs(): number {
    return this.isOpen ? Math.max(0, this.#probeAt - this.#clock.now()) : 0;
  }

  /** Whether the answer to a heartbeat shows that calls are answered again: sent after the last failure, in time. */
  isDisprovedBy(sentAt: number, deadlineMs: number): boolean {
    return sentAt >= this.#failedAt && this.#clock.now() - sentAt < deadlineMs;
  }

  failed(): void {
    this.#failures += 1;
    this.#failedAt = this.#clock.now();
    if (this.#failures === this.#policy.failures) this.#probeAt = this.#clock.now() + this.#waitMs;
    else if (this.#isProbing) {
      this.#waitMs = Math.min(this.#policy.longestWaitMs, this.#waitMs * 2);
      this.#probeAt = this.#clock.now() + this.#waitMs;
    }
    this.#isProbing = false;
  }
}

/** Whether a call is about entries and leases, or about tag versions. */
type CallKind = "entries" | "tags";

const DEFAULT_POLICY: BreakerPolicy = { failures: 5, waitMs: 1_000, longestWaitMs: 30_000 };
