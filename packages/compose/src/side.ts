import {
  BackendUnavailableError,
  scheduleRunning,
  type Backend,
  type BreakerPolicy,
  type Clock,
  type StoredEntry,
} from "@hotset/core";

/** The answer for one key; an error where it could not be read. */
export type Found = StoredEntry | Error | undefined;

/** Calls in a row of one part that were not answered. */
interface Outage {
  failures: number;
  waitMs: number;
  failedAt: number;
  probeAt: number;
  isProbing: boolean;
}

/**
 * One of two composed backends. Each call settles within its deadline. After some failures in a row the calls of that
 * part are refused, but for one probe at a time.
 */
export class Side {
  readonly backend: Backend;
  readonly deadlineMs: number;
  readonly #clock: Clock;
  readonly #policy: BreakerPolicy;
  readonly #onError: ((error: Error) => void) | undefined;
  /** One for all: a stack trace for each would cost more than the call. */
  readonly #refusal: BackendUnavailableError;
  readonly #outages = new Map<string, Outage>();
  #stopWatching: (() => void) | undefined;

  /** @param onError called with the error of each call that was sent and failed, and of each entry in its place. */
  constructor(backend: Backend, clock: Clock, onError?: (error: Error) => void) {
    const { label: tier } = backend;
    this.backend = backend;
    this.deadlineMs = backend.deadlineMs ?? 1_000;
    this.#clock = clock;
    this.#policy = backend.breaker ?? { failures: 5, waitMs: 1_000, longestWaitMs: 30_000 };
    this.#onError = onError;
    this.#refusal = new BackendUnavailableError(`${tier}: skipped: circuit breaker is open`, {
      tier,
      maybeExecuted: false,
    });
  }

  /** Runs a call about this key, of an entry or of a tag. */
  call<T>(operation: string, key: string | undefined, run: () => Promise<T>): Promise<T> {
    return this.#guarded(operation, key === undefined ? ONE_PART : this.#partOf(key), run);
  }

  /** Reads tag versions: where there are several parts, another one may answer, so the breakers do not count. */
  async readVersions<T>(run: () => Promise<T>): Promise<T> {
    return this.backend.parts === undefined ? this.#guarded("tags", ONE_PART, run) : this.#within("tags", run);
  }

  /** Reads all keys, in one trip if there are several. Never rejects. */
  async read(keys: readonly string[]): Promise<readonly Found[]> {
    const { batch } = this.backend;
    if (batch !== undefined && keys.length > 1)
      return this.call("read", keys[0], () => batch.read(keys)).then(
        (all) => all.map((found) => this.#noted(found)),
        (error: Error) => keys.map(() => error),
      );
    return Promise.all(
      keys.map((key) =>
        this.call("read", key, () => this.backend.read(key)).then(
          (found) => this.#noted(found),
          (error: Error) => error,
        ),
      ),
    );
  }

  /** An error in place of one entry was not thrown, so no call has reported it. */
  #noted<T extends Found>(found: T): T {
    const error = found instanceof Error ? found : found?.error;
    if (error !== undefined) this.#onError?.(error);
    return found;
  }

  /** A heartbeat that was sent at `sentAt` was answered: so are calls, if it took less time than these may. */
  alive(sentAt: number, part: string = ONE_PART): void {
    const outage = this.#outages.get(part);
    if (outage === undefined || outage.failures < this.#policy.failures) return;
    if (sentAt >= outage.failedAt && this.#clock.now() - sentAt < this.deadlineMs) this.#outages.delete(part);
  }

  async close(): Promise<void> {
    this.#stopWatching?.();
    await this.backend.close();
  }

  async #guarded<T>(operation: string, part: string, run: () => Promise<T>): Promise<T> {
    const outage = this.#outages.get(part);
    if (outage !== undefined && !this.#admits(outage)) throw this.#refusal;
    try {
      const answer = await this.#within(operation, run);
      this.#outages.delete(part);
      return answer;
    } catch (error) {
      // Any other error is an answer.
      if ((error as Partial<BackendUnavailableError>).code === "BACKEND_UNAVAILABLE") this.#failed(part);
      else this.#outages.delete(part);
      this.#onError?.(error as Error);
      throw error;
    }
  }

  #admits(outage: Outage): boolean {
    if (outage.failures < this.#policy.failures) return true;
    if (outage.isProbing || this.#clock.now() < outage.probeAt) return false;
    outage.isProbing = true;
    return true;
  }

  #failed(part: string): void {
    const { failures, waitMs, longestWaitMs, onReconnect } = this.#policy;
    let outage = this.#outages.get(part);
    if (outage === undefined)
      this.#outages.set(part, (outage = { failures: 0, waitMs, failedAt: 0, probeAt: 0, isProbing: false }));
    this.#stopWatching ??= onReconnect?.((connected) => void this.#outages.delete(connected));
    outage.failures += 1;
    outage.failedAt = this.#clock.now();
    if (outage.isProbing) outage.waitMs = Math.min(longestWaitMs, outage.waitMs * 2);
    if (outage.isProbing || outage.failures === failures) outage.probeAt = this.#clock.now() + outage.waitMs;
    outage.isProbing = false;
  }

  #partOf(key: string): string {
    return this.backend.parts?.of(key) ?? ONE_PART;
  }

  /** Within the deadline, unless the backend bounds its calls. */
  #within<T>(operation: string, run: () => Promise<T>): Promise<T> {
    if (this.backend.boundsCalls === true) return run();
    // Before there is a timer: it may throw.
    const work = run();
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const { label } = this.backend;
    const cancel = scheduleRunning(this.#clock, this.deadlineMs, () =>
      reject(
        new BackendUnavailableError(`${label}: no answer to ${operation} within ${this.deadlineMs} ms`, {
          tier: label,
          operation,
        }),
      ),
    );
    work.then(resolve, reject).finally(cancel);
    return promise;
  }
}

/** The name of the only part of a backend that has no others, or while the part is not known. */
const ONE_PART = "";
