import { BackendUnavailableError, type Backend, type Clock, type StoredAnswer } from "@hotset/core";
import { Breaker, within } from "@hotset/core/internal";

/** The answer for one key; an error where it could not be read. */
export type Found = StoredAnswer | Error | undefined;

/**
 * One of two composed backends. Each call settles within its deadline. After some failures in a row the calls of that
 * part are refused, but for one probe at a time.
 */
export class Side {
  readonly backend: Backend;
  readonly deadlineMs: number;
  readonly #clock: Clock;
  readonly #onError: ((error: Error) => void) | undefined;
  /** One for all: a stack trace for each would cost more than the call. */
  readonly #refusal: BackendUnavailableError;
  readonly #breakers = new Map<string, Breaker>();
  #stopWatching: (() => void) | undefined;

  /** @param onError called with the error of each call that was sent and failed, and of each entry in its place. */
  constructor(backend: Backend, clock: Clock, onError?: (error: Error) => void) {
    const { label: tier } = backend;
    this.backend = backend;
    this.deadlineMs = backend.deadlineMs ?? 1_000;
    this.#clock = clock;
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
    const breaker = this.#breakers.get(part);
    if (breaker?.isOpen && breaker.isDisprovedBy(sentAt, this.deadlineMs)) this.#breakers.delete(part);
  }

  async close(): Promise<void> {
    this.#stopWatching?.();
    await this.backend.close();
  }

  async #guarded<T>(operation: string, part: string, run: () => Promise<T>): Promise<T> {
    const kind = operation === "tags" ? "tags" : "entries";
    if (this.#breakers.get(part)?.admits(kind) === false) throw this.#refusal;
    try {
      const answer = await this.#within(operation, run);
      this.#breakers.delete(part);
      return answer;
    } catch (error) {
      // Any other error is an answer.
      if ((error as Partial<BackendUnavailableError>).code === "BACKEND_UNAVAILABLE") this.#failed(part);
      else this.#breakers.delete(part);
      this.#onError?.(error as Error);
      throw error;
    }
  }

  #failed(part: string): void {
    const { breaker: policy } = this.backend;
    let breaker = this.#breakers.get(part);
    if (breaker === undefined) this.#breakers.set(part, (breaker = new Breaker(this.#clock, policy)));
    this.#stopWatching ??= policy?.onReconnect?.((connected) => void this.#breakers.delete(connected));
    breaker.failed();
  }

  #partOf(key: string): string {
    return this.backend.parts?.of(key) ?? ONE_PART;
  }

  /** Within the deadline, unless the backend bounds its calls. */
  #within<T>(operation: string, run: () => Promise<T>): Promise<T> {
    if (this.backend.boundsCalls === true) return run();
    const { label: tier } = this.backend;
    return within(this.#clock, this.deadlineMs, run(), () => {
      const message = `${tier}: no answer to ${operation} within ${this.deadlineMs} ms`;
      throw new BackendUnavailableError(message, { tier, operation });
    });
  }
}

/** The name of the only part of a backend that has no others, or while the part is not known. */
const ONE_PART = "";
