import type { CacheEvents, LoadReason } from "../contracts/events.ts";
import { NO_TAGS } from "../entry/key.ts";
import type { SharedSlot } from "../primitives/shared-slot.ts";
import type { Pinned } from "../tags/tag-versions.ts";
import type { FlightLease, FlightLoad } from "./call.ts";
import type { LoadedValue } from "./used-values.ts";

/** What a flight has beyond its read. One whose read is the answer needs none of it. */
export class Climb {
  /** When the backend was asked again, as if the flight began then. */
  askedAgainAt: number | undefined;
  /** Settles with the end of the flight; made for those that wait for it. */
  settled: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;
  /** Why it loads, if that is known better than by its call alone. */
  reason: LoadReason | undefined;
  /** Whether it takes no lease, and its value is for its callers alone. */
  storesNothing = false;
  /** Whether that is because it began while the cache was closing: `close` doesn't abort it. */
  isOfClosing = false;
  /** Whether the backend did not answer: the rest of the flight does without it. */
  isUnreachable = false;
  /** Whether it loads next to others, without the lease: what they get is for each of them alone, or was until now. */
  isUnleased = false;
  /** The slot that it waits for. */
  slot: SharedSlot | undefined;
  lease: FlightLease | undefined;
  /** The tag versions from before its load. */
  pinned: Pinned | undefined;
  /** Since when it has waited for loads of other processes. */
  waitsSince: number | undefined;
  /** Whether something happened to its key since it asked for the lease. */
  isWoken = false;
  /** Ends its wait for another process. */
  wake: (() => void) | undefined;
  running: FlightLoad | undefined;
  /** Whether a change was reported during the load; it may be our own renewal of the lease. */
  isDoubted = false;
  /** The loaded value, from the moment it is known. */
  loaded: LoadedValue | undefined;
  report: LoadReport | undefined;
  /** Whether its value is for the caller that began it, and for no other. */
  isForOne = false;
  /** The tag versions that its result depends on, once its loader has ended. */
  dependsOn: readonly string[] | undefined;
  /** The tags of an entry that it had found, and that was removed since. */
  droppedTags: readonly string[] = NO_TAGS;
  /** Tag events of other processes up to this number do not concern its tags. */
  heardSequence: number = -Infinity;
  /** Whether none of the tags of its loaded value was renewed since versions were pinned, as the backend said. */
  isProven = false;
  /** Whether its store was sent: the change that it makes is yet to be reported. */
  awaitsOwnChange = false;
}

/** What is known of a load once its value is. */
export interface LoadReport {
  /** For listeners, if there are any, once the value is stored. */
  readonly event: Omit<CacheEvents["load"], "result"> | undefined;
  /** Whether its loader gave a value for all callers, which may be stored: neither `noStore` nor `notShared`. */
  readonly isStorable: boolean;
}

/** That of all flights that only read. */
export const NOT_BEGUN: Readonly<Climb> = Object.freeze(new Climb());
