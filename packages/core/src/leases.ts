import type { Clock } from "./clock.ts";
import type { EntryLeases } from "./entry-tier.ts";
import type { Place } from "./key.ts";
import type { Pinned } from "./tags.ts";

/** How long a holder that died keeps others waiting. Renewed at a third of it. */
export const LEASE_MS = 10_000;

/** The longest that a waiter sleeps without looking again, in case nothing wakes it. */
export const POLL_MS = 1_000;

export interface LeaseOf {
  readonly leases: EntryLeases;
  readonly clock: Clock;
  readonly key: string;
  readonly place: Place;
  /** Called when it turned out to be somebody else's by now: what the load brings is overtaken. */
  readonly lost: () => void;
}

/**
 * The permission to load and store one key, held by one flight: from the grant until the store, or until it is released.
 *
 * Renewed while it is held. A renewal that the backend does not answer is no loss: the store finds out.
 */
export class Lease {
  readonly token: string;
  /** What was in the backend when it was granted: the store is refused when that has changed. */
  readonly seen: string;
  /** Tag versions taken with it. */
  readonly pinned: Pinned | undefined;
  readonly #of: LeaseOf;
  #cancelRenewal: (() => void) | undefined;
  #isOver = false;

  constructor(of: LeaseOf, token: string, seen: string, pinned: Pinned | undefined) {
    this.#of = of;
    this.token = token;
    this.seen = seen;
    this.pinned = pinned;
    this.#renewLater();
  }

  /** It was given up with the store. */
  end(): void {
    this.#isOver = true;
    this.#cancelRenewal?.();
  }

  /** Lets others load at once. By token: harmless where it is somebody else's. A failure was reported, and the lease ends by itself. */
  release(): void {
    if (this.#isOver) return;
    this.end();
    const { leases, key, place } = this.#of;
    leases.release(key, place, this.token).catch(ignore);
  }

  #renewLater(): void {
    const { leases, clock, key, place, lost } = this.#of;
    this.#cancelRenewal = clock.schedule(() => {
      leases.renew(key, place, this.token, LEASE_MS).then(
        (isHeld) => {
          if (this.#isOver) return;
          if (isHeld) return this.#renewLater();
          this.end();
          lost();
        },
        () => {
          if (!this.#isOver) this.#renewLater();
        },
      );
    }, LEASE_MS / 3);
  }
}

const ignore = (): void => undefined;
