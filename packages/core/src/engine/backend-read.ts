import type { Clock } from "../contracts/clock.ts";
import type { Guard } from "../coherence/guards.ts";
import type { Entry } from "../entry/entry.ts";
import { unasked, type Recovery } from "../tiers/recovery.ts";
import type { Copies } from "./context.ts";
import type { Flight } from "./flight.ts";
import { callInTime } from "./flight-limits.ts";

/**
 * A read of a key that a pending invalidation covers: the invalidation is sent first, and the read begins after it, so
 * the acknowledgement does not change what it finds. A backend that refuses the invalidation is asked all the same:
 * what it has is hidden, and from then on it reports the changes by others. While it does not answer, it is not asked.
 *
 * @param label of the backend, for the error.
 * @param replay sends pending invalidations, within the time that the read has.
 */
export async function readAfterReplay(
  label: string,
  recovery: Pick<Recovery, "isRefused"> | undefined,
  isCovered: () => boolean,
  replay: () => Promise<void>,
  read: () => Promise<Entry | undefined> | undefined,
): Promise<Entry | undefined> {
  if (isCovered()) await replay();
  const isHidden = isCovered();
  if (isHidden && recovery?.isRefused !== true) throw unasked(label);
  const found = await read();
  return isHidden && found !== undefined ? { ...found, tagSequence: BEFORE_ALL_CALLS } : found;
}

/** {@link Recovery.hides} such an entry, also where a newer call has ended the invalidation since the read was sent. */
const BEFORE_ALL_CALLS = -Infinity;

/**
 * A forced load has not read the backend. The entry that it replaces is its fallback, and its loader may keep it, also
 * in a process without a copy, or with an older one: it is read under the lease, which says whether there is one.
 *
 * @returns `undefined` where nothing was read. Never rejects: the tier reports a failure, and the load does without.
 */
export async function readReplaced(
  clock: Clock,
  flight: Flight,
): Promise<{ readonly entry: Entry | undefined } | undefined> {
  const { remote } = flight.call.namespace;
  const { lease, fallback } = flight;
  if (remote === undefined || flight.isOver || flight.isUnreachable || flight.storesNothing) return undefined;
  const isKnown = lease === undefined ? fallback !== undefined : lease.seen === "" || lease.seen === fallback?.version;
  if (isKnown) return undefined;
  try {
    return { entry: await callInTime(clock, flight, remote.read(flight, flight.backendLeftMs)) };
  } catch {
    return undefined;
  }
}

/**
 * Keeps a local copy of an entry that was read, fresh or stale, unless its key changed since the read was sent. A stale
 * copy spares the next calls the trip, while one of them, or another process, loads.
 */
export function promote(
  { local, flights }: Pick<Copies, "local" | "flights">,
  guard: Guard,
  entry: Entry,
  localTtlMs: number | undefined,
  now: number,
): void {
  if (now < entry.deadAt && !guard.isTainted)
    local?.keep(guard.tableKey, entry, localTtlMs ?? Infinity, flights.copyEpoch(guard));
}
