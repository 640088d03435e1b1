import type { Awaitable } from "../contracts/awaitable.ts";
import type { Semaphore } from "../primitives/semaphore.ts";
import { SharedSlot } from "../primitives/shared-slot.ts";
import type { Limits } from "./context.ts";
import type { Flight } from "./flight.ts";

/** Gives back what a flight took. */
export type Release = () => void;

/**
 * How many loads run at once. Each flight takes one of `maxLoads` slots, and one of `maxBackgroundLoads` if no caller
 * waits for it; the flights of a batch share theirs, since its loader runs once.
 *
 * A load that a running load waits for takes none: the outer load holds one, so with all slots taken by outer loads
 * nothing would ever end. That is also so if the inner load began, and was queued, before the outer load asked for it.
 *
 * @returns `undefined` for a flight that ended while it waited, that would be one load too many in the background, or
 *   that would have to wait although its callers are gone and got nothing of it.
 */
export function takeSlot(
  flight: Flight,
  limits: Pick<Limits, "loads" | "backgroundLoads">,
): Awaitable<Release | undefined> {
  const { batch } = flight.call;
  const background = flight.isAwaited ? undefined : (batch?.backgroundLoads ?? limits.backgroundLoads);
  if (background?.tryTake() === false) return undefined;
  if (flight.crowd.isNested) {
    batch?.loads.exempt();
    return () => background?.free();
  }
  const slots = batch?.loads ?? limits.loads;
  if (slots.tryTake()) return releaseOf(slots, background);
  if (flight.crowd.isUnserved) {
    background?.free();
    return undefined;
  }
  return waitFor(flight, batch?.loads ?? flight.waitFor(new SharedSlot(limits.loads)), background);
}

async function waitFor(flight: Flight, turn: SharedSlot, background: Slots | undefined): Promise<Release | undefined> {
  if (await turn.take(flight.whenSettled())) return releaseOf(turn, background);
  background?.free();
  return undefined;
}

type Slots = Pick<Semaphore, "free">;

const releaseOf =
  (slots: Slots, background: Slots | undefined): Release =>
  () => {
    slots.free();
    background?.free();
  };
