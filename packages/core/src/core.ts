import type { Chains } from "./chains.ts";
import type { Clock } from "./clock.ts";
import type { Events } from "./events.ts";
import type { Flights } from "./flights.ts";
import type { Journal } from "./journal.ts";
import type { Lease } from "./leases.ts";
import type { LocalCopies } from "./local-copies.ts";
import type { Recovery } from "./recovery.ts";
import type { Slots } from "./slots.ts";
import type { Meter } from "./stats.ts";
import type { Tags } from "./tags.ts";
import type { Trust } from "./trust.ts";

/** What the parts of one cache share. */
export interface Core {
  readonly name: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly local: LocalCopies | undefined;
  readonly recovery: Recovery | undefined;
  readonly events: Events;
  /** Absent unless asked for. */
  readonly journal: Journal | undefined;
  readonly meter: Meter;
  readonly tags: Tags;
  readonly trust: Trust;
  readonly flights: Flights;
  /** Asked for, or held. */
  readonly leases: Set<Lease>;
  /** Writes to the backend, in order, by local key. */
  readonly chains: Chains;
  readonly loads: Slots;
  readonly backgroundLoads: Slots;
  readonly waitUntil: ((work: Promise<void>) => void) | undefined;
  isClosed: boolean;
}
