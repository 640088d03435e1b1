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
   * Runs a step: calls `done` or `failed` once, within the time that is left. When that is spent it fails; the work
   * continues. A call of the backend has its own deadline, so it may wait behind others for longer.
   */
  run<T>(
    clock: Clock,
    work: PromiseLike<T>,
    of: "call" | "calls",
    done: (value: T) => void,
    failed: (error: unknown) => void,
  ): void {
    this.begin(clock.now());
    let isOver = false;
    const ends = (): boolean => {
      if (isOver) return false;
      isOver = true;
      timeout.end();
      this.spend(clock.now());
      return true;
    };
    const timeout = Timeouts.on(clock).start(this.#leftMs, () => {
      if (!(of === "call" && this.#isBehind) && ends()) failed(this.#noTimeLeft());
    });
    work.then(
      (value) => {
        if (ends()) done(value);
      },
      (error: unknown) => {
        if (ends()) failed(error);
      },
    );
  }

  /** As {@link run}: a promise of how it ends. */
  limit<T>(clock: Clock, work: PromiseLike<T>, of: "call" | "calls"): Promise<T> {
    return new Promise((resolve, reject) => this.run(clock, work, of, resolve, reject));
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
