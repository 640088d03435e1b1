import type { Awaitable } from "../contracts/awaitable.ts";
import type { Clock } from "../contracts/clock.ts";
import { BackendUnavailableError, LoadTimeoutError } from "../contracts/errors.ts";
import type { FencedBy } from "../contracts/events.ts";
import type { TagEvents } from "../tags/tag-events.ts";
import { within } from "../primitives/within.ts";
import type { Flight } from "./flight.ts";

/** The call of this process that keeps the result of a flight from being stored, under these tag versions. */
export function fencedBy(tags: TagEvents, flight: Flight, dependsOn: readonly string[]): FencedBy | undefined {
  if (flight.fencedBy !== undefined) return flight.fencedBy;
  if (!tags.wasCalled(dependsOn, flight.tagSequence)) return undefined;
  return tags.wasInvalidated(flight.key.space.tagPrefixes, flight.tagSequence) ? "clear" : "tags";
}

/**
 * Settles as `work` does, within the time that the flight may still wait for the backend. When that is spent it
 * rejects; the work goes on.
 */
export const inTime = <T>(clock: Clock, flight: Flight, work: PromiseLike<T>): Promise<T> =>
  spending(clock, flight, work, () => {
    throw noTimeLeft(flight);
  });

/** As {@link inTime}, for one call of the backend: it has its own deadline, so it may wait behind others for longer. */
export function callInTime<T>(clock: Clock, flight: Flight, call: PromiseLike<T>): Promise<T> {
  return spending(clock, flight, call, (answered) => {
    if (flight.isBehind(answered)) return call;
    throw noTimeLeft(flight);
  });
}

function spending<T>(
  clock: Clock,
  flight: Flight,
  work: PromiseLike<T>,
  late: (answeredBefore: number) => Awaitable<T>,
): Promise<T> {
  const { answered } = flight.call.namespace.remote!;
  const sentAt = clock.now();
  const spend = (): void => flight.spendBackendTime(clock.now() - sentAt, answered);
  const settled = within(clock, flight.backendLeftMs, work, () => late(answered));
  settled.then(spend, spend);
  return settled;
}

function noTimeLeft(flight: Flight): BackendUnavailableError {
  const { label } = flight.call.namespace.remote!;
  return new BackendUnavailableError(`${label}: no time is left to wait for it`, {
    tier: label,
    operation: "getOrSet",
  });
}

/** Another process loads for longer than a load may take. */
export const elsewhereTimeout = (loadTimeoutMs: number): LoadTimeoutError =>
  new LoadTimeoutError(`no value within loadTimeout, ${loadTimeoutMs} ms: another process is loading it`, {
    operation: "load",
  });
