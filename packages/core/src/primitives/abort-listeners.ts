/**
 * Listeners to the end of calls by their signals. A signal that many calls share gets one listener for all of them: for
 * each that is added or removed an `EventTarget` looks through those that it has.
 */
export class AbortListeners {
  readonly #bySignal = new WeakMap<AbortSignal, Shared>();

  /** Calls `listener` when `signal`, which has not, aborts. @returns a function that ends this, to be called once. */
  add(signal: AbortSignal, listener: () => void): () => void {
    const shared = this.#bySignal.get(signal) ?? this.#listen(signal);
    shared.listeners.add(listener);
    return () => {
      shared.listeners.delete(listener);
      if (shared.listeners.size !== 0) return;
      signal.removeEventListener("abort", shared.abort);
      this.#bySignal.delete(signal);
    };
  }

  #listen(signal: AbortSignal): Shared {
    const listeners = new Set<() => void>();
    const abort = (): void => {
      for (const listener of listeners) listener();
    };
    signal.addEventListener("abort", abort, { once: true });
    const shared = { listeners, abort };
    this.#bySignal.set(signal, shared);
    return shared;
  }
}

interface Shared {
  readonly listeners: Set<() => void>;
  readonly abort: () => void;
}
