import { setTimeout as sleep } from "node:timers/promises";

/**
 * Calls `ask` every 20 ms until it returns a value other than `undefined` and `false`.
 *
 * @param what completes the message "Waited ... for".
 * @throws {Error} after `timeoutMs`, with the last error of `ask` as its cause.
 */
export async function until<T>(what: string, timeoutMs: number, ask: () => Promise<T | undefined | false>): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  let cause: unknown;
  do {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
    } catch (error) {
      cause = error;
    }
    await sleep(20);
  } while (performance.now() < deadline);
  throw new Error(`Waited ${timeoutMs} ms for ${what}${cause === undefined ? "" : `: ${String(cause)}`}`, { cause });
}
