import type { Backoffs } from "./backoffs.ts";
import type { BulkWrites } from "./bulk-writes.ts";
import type { KeyedQueue } from "../primitives/keyed-queue.ts";
import type { Clock } from "../contracts/clock.ts";
import type { Events } from "../primitives/event-port.ts";
import type { Flights } from "./flights.ts";
import type { DecisionLog } from "../primitives/decision-log.ts";
import type { Lease } from "./lease.ts";
import type { LocalCopies } from "../tiers/local-copies.ts";
import type { Recovery } from "../tiers/recovery.ts";
import type { Semaphore } from "../primitives/semaphore.ts";
import type { Meters } from "../primitives/meters.ts";
import type { TagEvents } from "../tags/tag-events.ts";
import type { Trust } from "../coherence/trust.ts";

/** Shared by all parts of one cache. */
export interface EngineContext {
  readonly name: string;
  readonly clock: Clock;
  readonly local: LocalCopies | undefined;
  readonly recovery: Recovery | undefined;
  readonly events: Events;
  /** Replaces a key in what leaves the process; absent without the option `redactKeys`. */
  readonly redactKey: ((key: string) => string) | undefined;
  /** Absent without the option `explain`. */
  readonly decisions: DecisionLog | undefined;
  readonly meters: Meters;
  readonly tags: TagEvents;
  readonly trust: Trust;
  readonly flights: Flights;
  readonly backoffs: Backoffs;
  /** Requested or held. */
  readonly leases: Set<Lease>;
  /** Writes to the backend, by local key, in the order of calls. */
  readonly writes: KeyedQueue;
  readonly bulkWrites: BulkWrites;
  readonly loads: Semaphore;
  readonly backgroundLoads: Semaphore;
  /** How many callers may wait at one time. */
  readonly maxWaiting: number;
  readonly waitUntil: ((work: Promise<void>) => void) | undefined;
  /** Whether the names of all options are checked on a hit too: it would cost a hit in production. */
  readonly checksHits: boolean;
  readonly lifecycle: Lifecycle;
}

/**
 * The life of a cache.
 *
 *     open ──close()──▶ draining ──all that began before is settled──▶ ending ──tiers are closed──▶ closed
 *
 * Until it is closed it answers: a request that is served while the process shuts down gets its value. Calls after
 * `close()` take no lease and store nothing, so nothing that a dying process holds delays others.
 */
export class Lifecycle {
  #phase: "open" | "draining" | "ending" | "closed" = "open";

  /** Whether loads store what they give. */
  get isOpen(): boolean {
    return this.#phase === "open";
  }

  /** Whether tiers are being closed: loads do without them. */
  get isEnding(): boolean {
    return this.#phase === "ending" || this.#phase === "closed";
  }

  /** Calls are refused. */
  get isClosed(): boolean {
    return this.#phase === "closed";
  }

  drain(): void {
    this.#phase = "draining";
  }

  end(): void {
    this.#phase = "ending";
  }

  close(): void {
    this.#phase = "closed";
  }
}
