import type { FencedBy, LoadReason } from "../contracts/events.ts";
import type { Entry } from "../entry/entry.ts";
import { judge } from "../entry/freshness.ts";
import { dependencies } from "../entry/key.ts";
import type { TagEvents } from "../tags/tag-events.ts";
import type { GetOrSetCall } from "./call.ts";
import type { Copies, Life, Reporting } from "./context.ts";
import { Flight, type Side } from "./flight.ts";

/**
 * The flight that `call` may join: no change, no forced call, and no event of a tag that is known for it, ended that.
 * Its loader may still add a tag that had an event: see {@link isLate}.
 */
export function joinable({ flights, tags }: Copies, call: GetOrSetCall): Flight | undefined {
  const flight = flights.joinable(call.key.local, call.startedAt);
  if (flight === undefined || !isLate(tags, flight)) return flight;
  const { tagSequence, heardSequence } = flight;
  if (tags.hadEvents(flight.dependsOn, tagSequence, heardSequence)) return undefined;
  if (call.tags.length !== 0 && tags.hadEvents(dependencies(call.key.space, call.tags), tagSequence, heardSequence))
    return undefined;
  return flight;
}

/**
 * Whether a tag event has happened since the flight began. A caller that joins after one gets its result only if none
 * of the tags of that result had one, which shows when the load ends.
 */
export const isLate = (tags: TagEvents, { key, tagSequence, changedSince }: Flight): boolean =>
  tags.hasEvents(key.space, tagSequence, changedSince);

/** Begins a flight for `call`, registered before anything is sent. @param held the local copy, if there is one. */
export function launch(
  { flights, tags, local, clock, waitUntil, lifecycle }: Copies & Life & Pick<Reporting, "clock">,
  call: GetOrSetCall,
  held: Entry | undefined,
  side: Side,
): Flight {
  const copy = held !== undefined && clock.now() < held.deadAt && !call.isCurrent ? held : undefined;
  const flight = new Flight(call, tags.sequence, reasonOf(call, copy), side);
  if (copy !== undefined) flight.fallBackOn(copy, local!.label, "copy");
  if (!lifecycle.isOpen) flight.storesNothing = true;
  flights.add(call.key.local, flight);
  if (call.isForced || call.isCurrent) flights.supersede(call.key.local, flight);
  if (side === "background" && flight.crowd.outlive()) waitUntil?.(flight.whenSettled());
  return flight;
}

/** @param copy the local copy, while it may be served. */
function reasonOf(call: GetOrSetCall, copy: Entry | undefined): LoadReason {
  if (call.isForced) return "forced";
  if (copy === undefined) return "miss";
  return judge(copy, call.startedAt, call.policy) === "ahead" ? "refresh-ahead" : "stale";
}

/** The call of this process that keeps the result of a flight from being stored, under these tag versions. */
export function fencedBy(tags: TagEvents, flight: Flight, dependsOn: readonly string[]): FencedBy | undefined {
  if (flight.fencedBy !== undefined) return flight.fencedBy;
  if (!tags.wasCalled(dependsOn, flight.tagSequence)) return undefined;
  return tags.wasInvalidated(flight.key.space.tagPrefixes, flight.tagSequence) ? "clear" : "tags";
}
