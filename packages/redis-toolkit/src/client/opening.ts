import type { Clock } from "@hotset/core";
import { keepAlive, scheduleRunning } from "@hotset/core/internal";
import { closed, CONNECT, connectFault, ignore } from "@hotset/redis/internal";
import type { OpenOptions } from "./contract.ts";

export interface OpeningSettings {
  readonly clock: Clock;
  readonly connectTimeoutMs: number;
  /** Aborted when the whole connection is closed. */
  readonly closing: AbortSignal;
}

/**
 * Opens a socket within the deadline of its caller.
 *
 * @param open gives up when `aborted` fires.
 * @param discard is called with one that comes too late.
 */
export async function openInTime<T>(
  { deadlineMs, signal }: OpenOptions,
  settings: OpeningSettings,
  open: (aborted: AbortSignal) => Promise<T>,
  discard: (opened: T) => void,
): Promise<T> {
  signal?.throwIfAborted();
  const { clock, connectTimeoutMs, closing } = settings;
  const boundMs = deadlineMs ?? connectTimeoutMs;
  const tooLate = new AbortController();
  const cancel = scheduleRunning(clock, boundMs, () => tooLate.abort(new Error(`no answer within ${boundMs} ms`)));
  const aborted = AbortSignal.any([tooLate.signal, closing, ...(signal === undefined ? [] : [signal])]);
  const givenUp = Promise.withResolvers<never>();
  const giveUp = (): void => givenUp.reject(aborted.reason);
  aborted.addEventListener("abort", giveUp);
  const opening = open(aborted);
  opening.then((opened) => aborted.aborted && discard(opened), ignore);
  try {
    return await keepAlive(clock, Promise.race([opening, givenUp.promise]));
  } catch (error) {
    if (closing.aborted) throw closed(CONNECT);
    signal?.throwIfAborted();
    throw connectFault("its address", tooLate.signal.aborted ? tooLate.signal.reason : error);
  } finally {
    cancel();
    aborted.removeEventListener("abort", giveUp);
  }
}
