import type { Awaitable } from "../contracts/awaitable.ts";
import type { Clock } from "../contracts/clock.ts";
import { Timeout } from "./timeouts.ts";

/**
 * Settles as `work` does. If `work` is still under way after `limitMs` in which the event loop ran, settles as `late()`
 * returns, resolves or throws; `work` continues, and its outcome is ignored.
 */
export function within<T>(clock: Clock, limitMs: number, work: PromiseLike<T>, late: () => Awaitable<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timeout = new Timeout(clock, limitMs, () => resolve(new Promise((ends) => ends(late()))));
    const inTime =
      <A>(ends: (given: A) => void) =>
      (given: A): void => {
        if (timeout.end()) ends(given);
      };
    work.then(inTime(resolve), inTime(reject));
  });
}
