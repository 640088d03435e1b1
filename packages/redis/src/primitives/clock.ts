import type { Clock } from "@hotset/core";

/** The longest delay `setTimeout` takes. */
export const MAX_TIMER_MS: number = 2 ** 31 - 1;

/** The system's monotonic clock. Its timers keep no process alive. Delays are at most {@link MAX_TIMER_MS}. */
export const systemClock: Clock = {
  now: () => performance.now(),
  schedule(callback, delayMs) {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
