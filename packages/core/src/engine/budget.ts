import type { Awaitable } from "../contracts/awaitable.ts";
import type { Clock } from "../contracts/clock.ts";
import { BackendUnavailableError } from "../contracts/errors.ts";
import { Timeouts } from "../primitives/timeouts.ts";
import type { EntryTier } from "../tiers/entry-tier.ts";

/** How long a flight may wait for the backend, in all its steps together. */
export class Budget {
  readonly #remote: EntryTier | undefined;
  #leftMs: number;
  #sentAt: number;
  /** How many calls the backend had answered when the step was sent. */
  #answeredBefore: number;

  /** @param sentAt when its first step, the read, is sent. */
  constructor(remote: EntryTier | undefined, sentAt: number) {
    this.#remote = remote;
    this.#leftMs = remote?.deadlineMs ?? 0;
    this.#sentAt = sentAt;
    this.#answeredBefore = remote?.answered ?? 0;
  }

  get leftMs(): number {
    return this.#leftMs;
  }

  /** Nothing of it is spent. */
  refill(): void {
    this.#leftMs = this.#remote!.deadlineMs;
  }

  /** A step is sent. */
  begin(now: number): void {
    this.#sentAt = now;
    this.#answeredBefore = this.#remote!.answered;
  }

  /** The step has ended: what it took is spent, unless it waited behind other calls. */
  spend(now: number): void {
    if (!this.#isBehind) this.#leftMs -= now - this.#sentAt;
  }

  /**
   * Resolves with what `done` or `failed` makes of the end of a step. It fails when the time that is left is spent; the
   * work continues. One call of the backend has its own deadline, so it may wait behind others for longer.
   *
   * @param failed runs outside the async context of any call when the time is spent: what follows for the call belongs
   *   after the promise.
   */
  limit<T, R>(
    clock: Clock,
    work: PromiseLike<T>,
    of: "call" | "calls",
    done: (value: T) => Awaitable<R>,
    failed: (error: unknown, how: "failed" | "late") => Awaitable<R>,
  ): Promise<R> {
    this.begin(clock.now());
    return new Promise((resolve, reject) => {
      let isOver = false;
      const end = (made: () => Awaitable<R>): void => {
        if (isOver) return;
        isOver = true;
        timeout.end();
        this.spend(clock.now());
        try {
          resolve(made());
        } catch (error) {
          reject(error);
        }
      };
      const timeout = Timeouts.on(clock).start(this.#leftMs, () => {
        if (of === "calls" || !this.#isBehind) end(() => failed(this.#noTimeLeft(), "late"));
      });
      work.then(
        (value) => end(() => done(value)),
        (error: unknown) => end(() => failed(error, "failed")),
      );
    });
  }

  /**
   * Whether the time of a step says nothing about the backend. Each call still has its own deadline.
   *
   * - The backend has answered many calls since: it is not slow, but this process is behind with its answers.
   * - It had answered none before: this process was still connecting.
   */
  get #isBehind(): boolean {
    return this.#answeredBefore === 0 || this.#remote!.answered - this.#answeredBefore > MANY;
  }

  #noTimeLeft(): BackendUnavailableError {
    const { label } = this.#remote!;
    return new BackendUnavailableError(`${label}: no time is left to wait for it`, {
      tier: label,
      operation: "getOrSet",
    });
  }
}

/** So many calls take a few milliseconds, where there is time for them. */
const MANY = 100;
