import { BackendUnavailableError } from "../contracts/errors.ts";
import { Timeout } from "../primitives/timeouts.ts";
import type { RemoteTier } from "../tiers/remote-tier.ts";

/**
 * How long a flight may still wait for its backend, in all its steps together.
 *
 *     begins ──▶ asked ──answered: less by what the answer took──▶ left ──asks again──▶ asked
 *       ▲                                                           │
 *       └── renew: it has waited for the load of another process ───┘
 *
 * Counted is the time in which the event loop ran (`RunningTime`), and none of a question that is answered while this
 * process {@link isBehind}.
 */
export class Budget {
  leftMs: number;
  readonly #remote: RemoteTier;
  /** When the backend was asked, by the time of calls, and how many calls it had answered by then. */
  #askedAt: number;
  #answeredBefore: number;

  /** Counts from `now` on: a flight begins with its read. */
  constructor(remote: RemoteTier, now: number) {
    this.leftMs = remote.deadlineMs;
    this.#remote = remote;
    this.#askedAt = remote.reads.time.timeAt(now);
    this.#answeredBefore = remote.meter.answered;
  }

  /** The backend is asked. */
  asks(now: number): void {
    const { meter, reads } = this.#remote;
    this.#askedAt = reads.time.timeAt(now);
    this.#answeredBefore = meter.answered;
  }

  /** The backend has answered: what that took is spent. */
  answered(now: number): void {
    if (!this.isBehind) this.leftMs -= this.#remote.reads.time.timeAt(now) - this.#askedAt;
  }

  /** All of it is left again. */
  renew(): void {
    this.leftMs = this.#remote.deadlineMs;
  }

  /** Whether no step has taken long so far. */
  get isNearlyWhole(): boolean {
    return this.leftMs >= NEARLY_ALL * this.#remote.deadlineMs;
  }

  /**
   * Whether the time of a call says nothing about the backend. Each call still has its own deadline.
   *
   * - The backend has answered many calls since: it is not slow, but this process is behind with its answers.
   * - It had answered none before: this process was still connecting.
   */
  get isBehind(): boolean {
    return this.#answeredBefore === 0 || this.#remote.meter.answered - this.#answeredBefore > MANY;
  }

  /**
   * The answer of the backend within the time that is left; an error where it fails, or {@link OutOfTime}.
   *
   * @param answer of a question that was asked in this turn.
   */
  wait<T>(answer: PromiseLike<T>, of: Asked = "call"): Promise<T | Error> {
    const { label } = this.#remote;
    return new Promise((resolve) => {
      let outOfTime: OutOfTime<T> | undefined;
      const answered = this.limit(of, () => {
        const context = { tier: label, operation: "getOrSet" } as const;
        outOfTime = new OutOfTime(`${label}: no time is left to wait for it`, context);
        resolve(outOfTime);
      });
      const ended = (given: T | Error): void => {
        if (outOfTime !== undefined) return outOfTime.answered(given);
        answered();
        resolve(given);
      };
      answer.then(ended, (given: unknown) =>
        ended(given instanceof Error ? given : new Error(`${label} rejected without one`, { cause: given })),
      );
    });
  }

  /**
   * The time that is left runs from now on, until the answer.
   *
   * @param spent called if it is spent before.
   * @returns to be called with the answer.
   */
  limit(of: Asked, spent: () => void): () => void {
    const { boundsCalls, reads } = this.#remote;
    const { clock } = reads.time;
    let timeout: Timeout | undefined;
    let isOver = false;
    const end = (): void => {
      if (isOver) return;
      isOver = true;
      timeout?.end();
      this.answered(clock.now());
    };
    this.asks(clock.now());
    // While hardly any time is spent, the call's own deadline does.
    if (of === "calls" || !boundsCalls || !this.isNearlyWhole)
      timeout = new Timeout(clock, this.leftMs, () => {
        if (isOver || (of === "call" && this.isBehind)) return;
        end();
        spent();
      });
    return end;
  }
}

/** `call`: one call, which has its own deadline; it may wait behind others for longer than the flight has time. */
type Asked = "call" | "calls";

/** The time of a flight was spent before its backend answered. */
export class OutOfTime<T> extends BackendUnavailableError {
  readonly #late = Promise.withResolvers<T | Error>();

  /** The answer that came after the time was over. */
  get late(): Promise<T | Error> {
    return this.#late.promise;
  }

  answered(answer: T | Error): void {
    this.#late.resolve(answer);
  }
}

/** Answers of the backend since the flight began. A backend that keeps up gives 100 within a few milliseconds. */
const MANY = 100;
/** The share of the time that is still left if no step has taken long. */
const NEARLY_ALL = 0.95;
