/**
 * A point at which code under test waits until the test opens it. Used to force an interleaving.
 *
 *     const loading = gate<string>();
 *     const answer = cache.getOrSet("k", () => loading.pass());
 *     await loading.arrived();          // the loader runs, and waits at the gate
 *     await cache.delete("k");
 *     loading.open("Ada");
 * `pass` and `opened` reject only after `fail`; other calls throw nothing.
 */
export interface Gate<T = void> {
  /** Settles with the argument of {@link open} or {@link fail}. Awaiting it does not count as waiting. */
  readonly opened: Promise<T>;
  /** Number of calls of {@link pass} that wait now; zero once the gate is open or has failed. */
  readonly waiting: number;
  /** Waits until the gate is open; resolves immediately if it is open already. */
  pass(this: void): Promise<T>;
  /** Resolves when {@link pass} has been called at least `times` times, open gate or not. */
  arrived(times?: number): Promise<void>;
  /** Resolves all waiting and later calls of {@link pass} with `value`. Only the first `open` or `fail` counts. */
  open(value: T): void;
  /** Rejects all waiting and later calls of {@link pass} with `error`. */
  fail(error: unknown): void;
}

/** A closed {@link Gate}. */
export function gate<T = void>(): Gate<T> {
  let resolveOpened: (value: T) => void;
  let rejectOpened: (error: unknown) => void;
  const opened = new Promise<T>((resolve, reject) => {
    resolveOpened = resolve;
    rejectOpened = reject;
  });
  // A gate that fails before the first `pass` must not cause an unhandled rejection.
  opened.catch(() => undefined);

  let isSettled = false;
  let arrivals = 0;
  const watchers = new Set<{ readonly times: number; readonly resolve: () => void }>();

  return {
    opened,
    get waiting() {
      return isSettled ? 0 : arrivals;
    },
    pass() {
      arrivals += 1;
      for (const watcher of watchers) {
        if (arrivals < watcher.times) continue;
        watchers.delete(watcher);
        watcher.resolve();
      }
      return opened;
    },
    arrived(times = 1) {
      if (arrivals >= times) return Promise.resolve();
      return new Promise((resolve) => watchers.add({ times, resolve }));
    },
    open(value) {
      isSettled = true;
      resolveOpened(value);
    },
    fail(error) {
      isSettled = true;
      rejectOpened(error);
    },
  };
}
