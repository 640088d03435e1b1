/** Where time comes from. Core has one, injected; tests move it by hand. Methods throw nothing. */
export interface Clock {
  /** Monotonic milliseconds from an arbitrary start. */
  now(): number;
  /**
   * Calls `callback` once after `delayMs`; returns a function that cancels it. Does not keep the process alive. A late
   * timer must not overtake bytes that have arrived: call `callback` after sockets were read, as `setImmediate` does.
   */
  schedule(callback: () => void, delayMs: number): () => void;
  /**
   * Keeps the process alive until the function that it returns is called, once. Used while a caller waits. Without it
   * a process whose backend has no socket may end while a caller waits.
   */
  hold?(): () => void;
  /**
   * Milliseconds since 1970: for the instants in sealed entries, which other processes compare, and to notice that the
   * machine was suspended, which no monotonic clock need show. @default `Date.now`, and suspensions are not noticed
   */
  epochMs?(): number;
  /**
   * For a clock that stands still unless a test moves it: calls `callback` once, after some real time in which the test
   * did not. Returns a function that cancels it. `close()` stops waiting then, as after its `timeout`: the hook that
   * closes a cache after a test moves no clock. Without it, `close()` counts time by `schedule` alone.
   */
  whenAbandoned?(callback: () => void): () => void;
}

/** The longest delay `setTimeout` takes; a longer one would fire immediately, with a warning. */
export const MAX_TIMER_MS: number = 2 ** 31 - 1;

let holds = 0;
/** Referenced while a caller waits: a timer for each wait would cost as much as the wait. */
let keeper: NodeJS.Timeout | undefined;

/** The system's monotonic clock: unaffected by changes of the wall clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  epochMs: () => Date.now(),
  schedule(callback, delayMs) {
    let timer: NodeJS.Timeout;
    let isCancelled = false;
    // After a pause of this process timers run before sockets are read, and immediates after it.
    const afterSockets = (): void => {
      if (typeof setImmediate === "undefined") callback();
      else setImmediate(() => !isCancelled && callback());
    };
    const arm = (leftMs: number): void => {
      timer =
        leftMs > MAX_TIMER_MS
          ? setTimeout(() => arm(leftMs - MAX_TIMER_MS), MAX_TIMER_MS)
          : setTimeout(afterSockets, Math.max(0, leftMs));
      // A number, where timers are those of the web.
      timer.unref?.();
    };
    if (delayMs !== Infinity) arm(delayMs);
    return () => {
      isCancelled = true;
      clearTimeout(timer);
    };
  },
  hold() {
    // Timers of the web keep nothing alive.
    if (typeof setImmediate === "undefined") return () => undefined;
    holds += 1;
    if (holds === 1) (keeper ??= setTimeout(() => (keeper = undefined), MAX_TIMER_MS)).ref?.();
    return () => {
      holds -= 1;
      if (holds === 0) keeper?.unref?.();
    };
  },
};

/** The wall clock next to a clock: its own, else that of the system. */
export const epochMs = (clock: Clock): number => clock.epochMs?.() ?? Date.now();
