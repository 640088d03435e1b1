import type { Awaitable } from "../contracts/awaitable.ts";
import type { Clock } from "../contracts/clock.ts";
import { BackendUnavailableError, CacheError } from "../contracts/errors.ts";
import type { TierState } from "../contracts/events.ts";
import { traced, type Events } from "../primitives/event-port.ts";
import type { KeySpace } from "../entry/key.ts";
import { Breaker } from "../primitives/breaker.ts";
import { Deadline, Deadlines, scheduleRunning } from "../primitives/deadlines.ts";
import { TierMeter } from "../primitives/meters.ts";
import { isThenable } from "../primitives/once.ts";

/**
 * The calls of one backend: deadline, circuit breaker, measurement, errors and state.
 *
 * Every call has one deadline: that of the backend, if it bounds its calls, else one that is kept here. An answer after
 * it is ignored. While the breaker is open a call costs no timer and no socket. A failure is reported once, here.
 */
export class BackendCalls {
  readonly label: string;
  readonly deadlineMs: number;
  readonly meter: TierMeter = new TierMeter();
  readonly #clock: Clock;
  readonly #events: Events;
  readonly #cache: string;
  readonly #breaker: Breaker;
  /** `undefined` if the backend bounds its calls. */
  readonly #deadlines: Deadlines | undefined;
  readonly #refusals = new Map<Operation, CacheError>();
  #onFirstCall: (() => void) | undefined;
  #state: TierState = "idle";
  /** The state while no call has succeeded. No event reports it: there the breaker, or an answer, decides. */
  #stateOfFailures: TierState = "idle";
  #isDetached = false;

  constructor(options: {
    readonly label: string;
    readonly deadlineMs: number;
    /** Whether every call settles within `deadlineMs` by itself. */
    readonly boundsCalls: boolean;
    readonly clock: Clock;
    readonly events: Events;
    readonly cache: string;
    /** Called once, before the first call. */
    readonly onFirstCall: (() => void) | undefined;
  }) {
    this.label = options.label;
    this.deadlineMs = options.deadlineMs;
    this.#clock = options.clock;
    this.#events = options.events;
    this.#cache = options.cache;
    this.#onFirstCall = options.onFirstCall;
    this.#breaker = new Breaker(options.clock);
    if (!options.boundsCalls) this.#deadlines = new Deadlines(options.deadlineMs, options.clock);
  }

  get state(): TierState {
    return this.#state === "idle" ? this.#stateOfFailures : this.#state;
  }

  /** How long until the open breaker lets a call probe the backend, in milliseconds. */
  get retryInMs(): number {
    return this.#breaker.probeInMs;
  }

  /** Whether a call may be sent now; `true` of an open breaker is permission for this one call. */
  admits(operation: Operation): boolean {
    return this.#breaker.admits(operation === "tags" ? "tags" : "entries");
  }

  /** The error of a call that was not sent. One for all: a stack trace for each would cost more than the call. */
  refusal(operation: Operation): CacheError {
    let error = this.#refusals.get(operation);
    if (error === undefined) {
      error = new BackendUnavailableError(`${this.label}: ${operation} skipped: circuit breaker is open`, {
        tier: this.label,
        operation,
        maybeExecuted: false,
      });
      this.#refusals.set(operation, error);
    }
    return error;
  }

  /** Runs a call if the breaker admits it, within `budgetMs`. */
  run<T>(operation: Operation, keySpace: KeySpace | undefined, budgetMs: number, call: () => Promise<T>): Promise<T> {
    if (!this.admits(operation)) return Promise.reject(this.refusal(operation));
    return this.bound(operation, keySpace, budgetMs, (done, fail) => {
      try {
        call().then(done, fail);
      } catch (error) {
        fail(error);
      }
    });
  }

  /**
   * Bounds a call that was admitted.
   *
   * @param work calls `done` or `fail` when the backend has answered. `done` also takes a promise of what is made of
   *   the answer, such as the decoded value: its time and its failure are not those of the backend.
   */
  bound<T>(operation: Operation, keySpace: KeySpace | undefined, budgetMs: number, work: Work<T>): Promise<T> {
    this.begin();
    const startedAt = this.#clock.now();
    const bounded = (): Promise<T> =>
      new Promise((resolve, reject) => {
        let isOver = false;
        const fail = (error: unknown): void => {
          if (isOver) return;
          isOver = true;
          endDeadline();
          reject(this.failed(operation, keySpace, error));
        };
        const endDeadline = this.#limit(budgetMs, () => fail(this.#overdue(operation, budgetMs)));
        const done = (value: Awaitable<T>): void => {
          // An answer after the deadline, whose failure concerns no caller.
          if (isOver) return void (isThenable(value) && value.then(undefined, nothing));
          isOver = true;
          endDeadline();
          this.meter[METERS[operation]].record(this.#clock.now() - startedAt);
          this.answered();
          resolve(value);
        };
        work(done, fail, startedAt);
      });
    return traced("backend", bounded, () => ({
      cache: this.#cache,
      namespace: keySpace?.path ?? [],
      tier: this.label,
      operation,
    }));
  }

  /** Calls `passed` when the time of a call is over, unless the backend bounds it. @returns a function that ends it. */
  #limit(budgetMs: number, passed: () => void): () => void {
    if (this.#deadlines === undefined)
      return budgetMs < this.deadlineMs ? scheduleRunning(this.#clock, budgetMs, passed) : nothing;
    const deadlines = this.#deadlines;
    const deadline = new CallDeadline(passed);
    deadlines.start(deadline, budgetMs);
    return () => deadlines.end(deadline);
  }

  /** Before every call: the first one calls `onFirstCall`. */
  begin(): void {
    const onFirstCall = this.#onFirstCall;
    if (onFirstCall === undefined) return;
    this.#onFirstCall = undefined;
    onFirstCall();
  }

  /** The backend answered. */
  answered(): void {
    this.#breaker.answered();
    this.#enter(this.#isDetached ? "detached" : "up");
  }

  /** Reports a failed call, and returns the error for its caller. */
  failed(operation: string, keySpace: KeySpace | undefined, cause: unknown): CacheError {
    const isTransport = cause instanceof BackendUnavailableError;
    if (isTransport) this.#breaker.failed();
    else this.#breaker.answered();
    this.#stateOfFailures = isTransport ? "down" : "up";
    const error = this.report(operation, keySpace, cause);
    if (this.#breaker.isOpen) this.#enter("down");
    return error;
  }

  /** Reports the failure of a part of a call, whose other parts were answered; returns the error for its caller. */
  report(operation: string, keySpace: KeySpace | undefined, cause: unknown): CacheError {
    this.meter.errors += 1;
    const error =
      cause instanceof CacheError
        ? cause
        : new BackendRefusedError(`${this.label}: ${operation} was refused; see cause`, {
            tier: this.label,
            operation,
            cause,
          });
    this.#events["backend:error"].emit({
      cache: this.#cache,
      namespace: keySpace?.path ?? [],
      tier: this.label,
      operation,
      error,
    });
    return error;
  }

  /** The subscription to changes of this backend is attached. */
  attached(): void {
    this.#isDetached = false;
    this.answered();
  }

  /** The subscription was lost, or could not be attached. */
  detached(error: unknown): void {
    this.#isDetached = true;
    if (error !== undefined && !(error instanceof BackendUnavailableError)) this.failed("attach", undefined, error);
    if (this.#state === "up") this.#enter("detached");
  }

  #overdue(operation: Operation, budgetMs: number): BackendUnavailableError {
    return new BackendUnavailableError(`${this.label}: no answer to ${operation} within ${Math.round(budgetMs)} ms`, {
      tier: this.label,
      operation,
    });
  }

  #enter(state: TierState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#events["backend:state"].emit({ cache: this.#cache, namespace: [], tier: this.label, state });
  }
}

/** The backend answered, and does not carry the call out: it has no memory left, say. So it is reachable. */
export class BackendRefusedError extends BackendUnavailableError {}
const nothing = (): void => {};

class CallDeadline extends Deadline {
  override readonly pass: () => void;

  constructor(pass: () => void) {
    super();
    this.pass = pass;
  }
}

type Work<T> = (
  done: (value: Awaitable<T>) => void,
  fail: (error: unknown) => void,
  /** `clock.now()` when the call was sent. */
  startedAt: number,
) => void;

type Operation = keyof typeof METERS;
const METERS = {
  read: "read",
  write: "write",
  remove: "remove",
  markStale: "write",
  tags: "write",
  lease: "write",
} as const;
