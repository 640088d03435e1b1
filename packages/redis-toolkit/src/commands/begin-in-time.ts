import { BackendUnavailableError, type Clock } from "@hotset/core";
import { scheduleRunning } from "@hotset/core/internal";

/** Ends the wait for a connection; `begin` throws where it has ended, so nothing is sent late. */
export interface Wait {
  readonly signal: AbortSignal;
  begin(): void;
}

/**
 * Runs `work`, which waits for a connection before it begins: no longer than the bounds of its view say. From then on
 * its calls have their own bound.
 *
 * @throws {BackendUnavailableError} where the deadline comes first: nothing was sent. The reason of the signal.
 */
export async function beginInTime<T>(
  {
    deadlineMs = Infinity,
    signal,
  }: { readonly deadlineMs?: number | undefined; readonly signal?: AbortSignal | undefined },
  clock: Clock,
  work: (wait: Wait) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const waiting = new AbortController();
  const over = new Promise<never>((_, reject) => {
    waiting.signal.addEventListener("abort", () => reject(waiting.signal.reason as Error));
  });
  const abort = (): void => waiting.abort(signal?.reason);
  signal?.addEventListener("abort", abort);
  const cancel = scheduleRunning(clock, deadlineMs, () => waiting.abort(tooLate(deadlineMs)));
  const end = (): void => {
    cancel();
    signal?.removeEventListener("abort", abort);
  };
  const begin = (): void => {
    waiting.signal.throwIfAborted();
    end();
  };
  try {
    // A separate call, so that work that throws immediately loses the race like any other.
    return await Promise.race([over, (async () => work({ signal: waiting.signal, begin }))()]);
  } finally {
    end();
  }
}

const tooLate = (deadlineMs: number): BackendUnavailableError =>
  new BackendUnavailableError(`redis: no connection became available within ${deadlineMs} ms`, {
    tier: "redis",
    operation: "connect",
    maybeExecuted: false,
  });
