import type { Awaitable } from "../contracts/awaitable.ts";
import type { Clock } from "../contracts/clock.ts";
import { scheduleRunning } from "./deadlines.ts";

/**
 * Settles as `work` does. If `work` is still under way after `limitMs` in which the event loop ran, settles as `late()`
 * returns, resolves or throws; `work` goes on, and its outcome is ignored.
 */
export function within<T>(clock: Clock, limitMs: number, work: PromiseLike<T>, late: () => Awaitable<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = scheduleRunning(clock, limitMs, () => {
      try {
        resolve(late());
      } catch (error) {
        reject(error);
      }
    });
    work.then(
      (value) => {
        cancel();
        resolve(value);
      },
      (error: unknown) => {
        cancel();
        reject(error);
      },
    );
  });
}
