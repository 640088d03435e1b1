import type { Clock } from "../contracts/clock.ts";
import { BackendUnavailableError } from "../contracts/errors.ts";
import type { FencedBy } from "../contracts/events.ts";
import { within } from "../primitives/within.ts";
import type { EngineContext } from "./context.ts";
import type { Flight } from "./flight.ts";

/** The call of this process that keeps the result of a flight from being stored, under these tag versions. */
export function fencedBy({ tags }: EngineContext, flight: Flight, dependsOn: readonly string[]): FencedBy | undefined {
  if (flight.fencedBy !== undefined) return flight.fencedBy;
  if (!tags.wasCalled(dependsOn, flight.tagSequence)) return undefined;
  return tags.wasInvalidated(flight.key.space.tagPrefixes, flight.tagSequence) ? "clear" : "tags";
}

/**
 * Settles as `work` does, within the time that the flight may still wait for the backend. When that is spent it
 * rejects; the work goes on, and has its own deadline.
 */
export function inTime<T>(clock: Clock, flight: Flight, work: PromiseLike<T>): Promise<T> {
  const sentAt = clock.now();
  const spend = (): void => flight.spendBackendTime(clock.now() - sentAt);
  const answered = within(clock, flight.backendLeftMs, work, () => {
    const { label } = flight.call.namespace.remote!;
    throw new BackendUnavailableError(`${label}: no time is left to wait for it`, {
      tier: label,
      operation: "getOrSet",
    });
  });
  answered.then(spend, spend);
  return answered;
}
