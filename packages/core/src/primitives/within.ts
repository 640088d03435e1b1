import type { Awaitable } from "../contracts/awaitable.ts";
import type { Clock } from "../contracts/clock.ts";

/**
 * Settles as `work` does. If `work` is still under way after `limitMs`, settles as `late()` returns, resolves or
 * throws; `work` goes on, and its outcome is ignored.
 */
export function within<T>(clock: Clock, limitMs: number, work: Promise<T>, late: () => Awaitable<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.schedule(() => {
      try {
        resolve(late());
      } catch (error) {
        reject(error);
      }
    }, limitMs);
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
