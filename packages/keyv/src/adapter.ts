import { BackendUnavailableError } from "@hotset/core";

/**
 * The methods of a store of Keyv, version 5 or 6: `KeyvSqlite`, `KeyvMongo` and the like, or a `Map`. Not a `Keyv`,
 * which hides errors. Errors that its calls throw are those of the backend.
 */
export interface KeyvAdapter {
  get(key: string): unknown;
  /** @param end in Keyv 5 the remaining milliseconds, in Keyv 6 the instant: see `capabilities`. */
  set(key: string, value: string, end?: number): unknown;
  delete(key: string): unknown;
  getMany?(keys: string[]): unknown;
  /** A store of Keyv 6 says `expires: true`. */
  readonly capabilities?: { readonly expires?: boolean | undefined } | undefined;
}

/** Calls of an adapter, whose failures are errors: many adapters report one as an event, and answer as for a miss. */
export class AdapterCalls {
  readonly #adapter: KeyvAdapter;
  readonly #label: string;
  readonly #getMany: ((keys: string[]) => unknown) | undefined;
  /** How many errors the adapter has reported, and the last one. */
  #faults = 0;
  #fault: unknown;
  #isListening = false;

  constructor(adapter: KeyvAdapter, label: string) {
    this.#adapter = adapter;
    this.#label = label;
    this.#getMany = adapter.getMany?.bind(adapter);
  }

  get hasGetMany(): boolean {
    return this.#getMany !== undefined;
  }

  get(operation: string, name: string): Promise<unknown> {
    return this.#call(
      operation,
      () => this.#adapter.get(name),
      (found) => !isAbsent(found),
    );
  }

  getMany(operation: string, names: string[]): Promise<readonly unknown[]> {
    return this.#call(
      operation,
      async () => {
        const found: unknown = await this.#getMany!(names);
        if (!Array.isArray(found) || found.length !== names.length)
          throw new TypeError(`getMany of ${names.length} keys did not return as many values`);
        return found as readonly unknown[];
      },
      (found) => !found.some(isAbsent),
    );
  }

  /** `expiresInMs` may be `Infinity`. */
  async set(operation: string, name: string, value: string, expiresInMs: number): Promise<void> {
    const isInstant = this.#adapter.capabilities?.expires === true;
    const end = expiresInMs > LONGEST_LIFE_MS ? undefined : isInstant ? Date.now() + expiresInMs : expiresInMs;
    await this.#call(
      operation,
      async () => {
        if ((await this.#adapter.set(name, value, end)) === false) throw new Error("the store answered false to set");
      },
      () => false,
    );
  }

  delete(operation: string, name: string): Promise<boolean> {
    return this.#call(
      operation,
      async () => (await this.#adapter.delete(name)) === true,
      (isDeleted) => isDeleted,
    );
  }

  close(): void {
    if (this.#isListening) (this.#adapter as Partial<Emitter>).removeListener?.("error", this.#onError);
    this.#isListening = false;
  }

  /** If an error was emitted during the call, an empty answer may hide it. */
  async #call<T>(operation: string, work: () => unknown, isProof: (answer: T) => boolean): Promise<T> {
    this.#listen();
    const before = this.#faults;
    let answer: T;
    try {
      answer = (await work()) as T;
    } catch (cause) {
      throw this.#unavailable(operation, cause);
    }
    if (this.#faults !== before && !isProof(answer)) throw this.#unavailable(operation, this.#fault);
    return answer;
  }

  #unavailable(operation: string, cause: unknown): BackendUnavailableError {
    return new BackendUnavailableError(`${this.#label}: ${operation} failed; see cause`, {
      tier: this.#label,
      operation,
      cause,
    });
  }

  #listen(): void {
    if (this.#isListening) return;
    this.#isListening = true;
    (this.#adapter as Partial<Emitter>).on?.("error", this.#onError);
  }

  readonly #onError = (error: unknown): void => {
    this.#faults += 1;
    this.#fault = error;
  };
}

interface Emitter {
  on(event: string, listener: (error: unknown) => void): unknown;
  removeListener(event: string, listener: (error: unknown) => void): unknown;
}

/** Adapters answer `undefined` or `null` for what they do not have. */
export const isAbsent = (found: unknown): found is undefined | null => found === undefined || found === null;

/** A longer life is none for the store, whose clock may not reach as far. The entry has its end in any case. */
const LONGEST_LIFE_MS = 10 * 365 * 86_400_000;
