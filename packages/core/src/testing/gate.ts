/**
 * A point at which code under test stops until the test says so: what forces an interleaving.
 *
 *     const loading = gate<string>();
 *     const answer = cache.getOrSet("k", () => loading.pass());
 *     await loading.arrived();          // the loader runs, and stands here
 *     await cache.delete("k");
 *     loading.open("Ada");
 */
export interface Gate<T = void> {
  /** Settles with what {@link open} or {@link fail} is given. Does not count as waiting. */
  readonly opened: Promise<T>;
  /** How many stand at {@link pass} now; zero once the gate is open or has failed. */
  readonly waiting: number;
  /** Waits here; goes straight through an open gate. */
  pass(this: void): Promise<T>;
  /** Resolves when {@link pass} has been called at least `times` times, open gate or not. */
  arrived(times?: number): Promise<void>;
  /** Lets through whoever waits, and whoever comes later. Only the first `open` or `fail` counts. */
  open(value: T): void;
  /** Rejects whoever waits, and whoever comes later, with `error`. */
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
  // A gate that failed before anybody came is nobody's unhandled rejection.
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
