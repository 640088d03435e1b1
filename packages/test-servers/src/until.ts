import { setTimeout as sleep } from "node:timers/promises";

/** For what never comes: a busy machine may take a minute. */
export const PATIENCE_MS = 120_000;

/**
 * Calls `ask` every 20 ms until it returns a value other than `undefined` and `false`.
 *
 * @param what completes the message "Waited for".
 * @throws {Error} after `withinMs`, by default two minutes, with the last error of `ask` as its cause.
 */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined | false>,
  withinMs = PATIENCE_MS,
): Promise<T> {
  const deadline = performance.now() + withinMs;
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
  throw new Error(`Waited for ${what}${cause === undefined ? "" : `: ${String(cause)}`}`, { cause });
}
