import type { CopyTrust } from "../coherence/trust.ts";
import type { Awaitable } from "../contracts/awaitable.ts";
import type { Clock } from "../contracts/clock.ts";
import type { EntryKey, KeySpace } from "../entry/key.ts";
import type { NewKeys } from "../entry/new-keys.ts";
import type { DecisionLog } from "../primitives/decision-log.ts";
import type { Events } from "../primitives/event-port.ts";
import type { KeyedQueue } from "../primitives/keyed-queue.ts";
import type { Semaphore } from "../primitives/semaphore.ts";
import type { TagEvents } from "../tags/tag-events.ts";
import type { LocalCopies } from "../tiers/local-copies.ts";
import type { Recovery } from "../tiers/recovery.ts";
import type { CallObserver } from "./call-observer.ts";
import type { NamespaceContext } from "./call.ts";
import type { Flights } from "./flights.ts";
import type { HitObserver } from "./hit-observer.ts";

// The record that the parts of one engine share, by concern. They get the same object, and name the concerns that they
// use: a load recognises its cache by that object.

/** Events and decisions, and the name and the clock of both. */
export interface Reporting {
  readonly name: string;
  readonly clock: Clock;
  readonly events: Events;
  /** Replaces a key in what leaves the process; absent without the option `redactKeys`. */
  readonly redactKey: ((key: string) => string) | undefined;
  /** Absent without the option `explain`. */
  readonly decisions: DecisionLog | undefined;
  /** Called at each hit of a local copy; set only while it is looked into. */
  onHit: ((space: KeySpace, key: string) => void) | undefined;
  /** Sees calls that a fresh copy in memory does not answer, and loads; set only while it is looked into. */
  observer: CallObserver | undefined;
  /** Sees each fresh hit that has a loader; set only with the option `verify`, or while something verifies. */
  verifier: HitObserver | undefined;
  /** Called with each value that is stored, and the `ttl` of its policy; absent in production. */
  readonly notice: ((to: NamespaceContext, key: string, value: unknown, ttl: unknown) => void) | undefined;
}

/** The copies of this process, its flights, and the events by which both are outdated. */
export interface Copies {
  readonly local: LocalCopies | undefined;
  readonly flights: Flights;
  readonly tags: TagEvents;
  readonly trust: CopyTrust;
}

/** Keeps what was loaded from being stored while it is about to change, in any process. */
export interface Barrier {
  /**
   * Whether a transaction may be changing it. Asked before a loaded value is stored, and again once it was: then it is
   * removed. Rejects never.
   *
   * @param dependsOn tag keys, as in {@link dependencies}.
   */
  bars(key: EntryKey, dependsOn: readonly string[]): Awaitable<boolean>;
}

/** Changes on their way to the backend. */
export interface Writing {
  /** Set by a package that knows of transactions. */
  barrier: Barrier | undefined;
  /** Writes that are under way or wait, by local key, in the order of calls. */
  readonly writes: KeyedQueue;
  readonly recovery: Recovery | undefined;
}

/** How much may run, or wait, at one time. */
export interface Limits {
  readonly loads: Semaphore;
  readonly backgroundLoads: Semaphore;
  /** Callers that wait. */
  readonly maxWaiting: number;
  /** Keys that no tier knows, in namespaces that bound how many are stored. */
  readonly newKeys: NewKeys;
}

/** The life of the cache, and how its host is asked to outlast work. */
export interface Life {
  readonly lifecycle: Lifecycle;
  readonly waitUntil: ((work: Promise<void>) => void) | undefined;
}

/** All of it. */
export type EngineContext = Reporting & Copies & Writing & Limits & Life;

/**
 * The life of a cache.
 *
 *     open ──close()──▶ draining ──all that began before is settled──▶ ending ──tiers are closed──▶ closed
 *
 * Until it is closed it answers: a request that is served while the process shuts down gets its value. Calls after
 * `close()` take no lease and store nothing, so nothing that a dying process holds delays others.
 */
export class Lifecycle {
  /** Whether loads store what they give. */
  isOpen = true;
  /** Whether tiers are being closed: loads do without them. */
  isEnding = false;
  /** Calls are refused. */
  isClosed = false;
  /** Called once `close` begins, while the tiers still answer; `close` waits for them as it does for writes. */
  readonly farewells: Set<() => Promise<void>> = new Set();

  end(): void {
    this.isOpen = false;
    this.isEnding = true;
  }

  close(): void {
    this.end();
    this.isClosed = true;
  }
}
