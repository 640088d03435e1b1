import type { TagVersion } from "../contracts/backend.ts";
import type { Clock } from "../contracts/clock.ts";
import type { EntryLeases } from "../tiers/entry-tier.ts";
import { newId } from "../primitives/ids.ts";
import type { EntryKey } from "../entry/key.ts";
import type { Pinned } from "../tags/tag-versions.ts";

/** How long a holder that died keeps others waiting. Renewed at a third of it. */
export const LEASE_MS = 10_000;

/** The longest that a waiter sleeps without looking again, in case nothing wakes it. */
export const POLL_MS = 1_000;

export interface LeaseOf {
  readonly leases: EntryLeases;
  readonly clock: Clock;
  readonly key: EntryKey;
  /** Where it is listed from the question to its end. */
  readonly among: Set<Lease>;
  /** The versions of tags now. */
  readonly versionsNow: (tags: readonly string[]) => Promise<readonly (TagVersion | undefined)[]>;
  /** Called when what the load brings cannot be stored any more. */
  readonly lost: (by: "lease" | "tags") => void;
  /** Called when it was released: who waits for it in this process may not hear of that. */
  readonly freed: () => void;
  /** Called when nothing that was heard of tags in its namespace since it began has changed what it may store. */
  readonly unharmed: () => void;
}

/**
 * The permission to load and store one key, asked for by one flight.
 *
 *     asked ──granted──▶ held ──stored, released──▶ over
 *        └──refused────────────────────────────────▲
 *
 * Renewed while it is held. A renewal that the backend does not answer is no loss: the store finds out. Who can store
 * nothing valid any more lets others load at once: they would wait for nothing.
 */
export class Lease {
  readonly token: string = newId();
  /** What was in the backend when it was granted: the store is refused when that has changed. */
  seen = "";
  readonly #of: LeaseOf;
  #state: "asked" | "held" | "over" = "asked";
  #isUnwanted = false;
  #pinned: Pinned | undefined;
  /** Tags that changed, or may have, and have not been looked at. */
  readonly #changed = new Set<string>();
  /** Whether a tag of its namespace changed that it does not have, and that its loader may add yet. */
  #hasOthers = false;
  #isComparing = false;
  #cancelRenewal: (() => void) | undefined;

  /** To be made before it is asked for: what happens on the way counts. */
  constructor(of: LeaseOf) {
    this.#of = of;
    of.among.add(this);
  }

  granted(seen: string): void {
    this.seen = seen;
    this.#state = "held";
    if (this.#isUnwanted) this.release();
    else this.#renewLater();
  }

  /** Tag versions were taken with it. */
  pinned(pinned: Pinned): void {
    this.#pinned = pinned;
    void this.#compare();
  }

  /** It was given up with the store, or never granted. */
  end(): void {
    this.#state = "over";
    this.#cancelRenewal?.();
    this.#of.among.delete(this);
  }

  /** Lets others load at once. By token: harmless where it is somebody else's. A failure was reported, and the lease ends by itself. */
  release(): void {
    this.#isUnwanted = true;
    if (this.#state !== "held") return;
    this.end();
    const { leases, key, freed } = this.#of;
    leases.release(key, this.token).then(freed, ignore);
  }

  /** This process renewed these tags: what was loaded under their versions is not valid. */
  releaseUnder(tags: readonly string[]): void {
    if (tags.some((tag) => this.#pinned?.versions.has(tag) === true)) this.release();
  }

  /** These tags changed elsewhere, or may have. A message alone proves nothing: pinning a version that was missing looks the same. */
  tagsChanged(tags: readonly string[]): void {
    for (const tag of tags)
      if (this.#of.key.space.tagPrefixes.some((prefix) => tag.startsWith(prefix))) this.#changed.add(tag);
    void this.#compare();
  }

  /** Compares versions, again where another message came meanwhile. A version that is missing is no other one: whoever issues it is heard. */
  async #compare(): Promise<void> {
    if (this.#pinned === undefined || this.#isComparing) return;
    this.#isComparing = true;
    const { versions } = this.#pinned;
    try {
      while (this.#changed.size !== 0 && this.#state !== "over") {
        const tags = [...this.#changed].filter((tag) => versions.has(tag));
        if (tags.length < this.#changed.size) this.#hasOthers = true;
        this.#changed.clear();
        if (tags.length === 0) break;
        const now = await this.#of.versionsNow(tags);
        const isGone = tags.some((tag, i) => now[i] !== undefined && now[i].hard !== versions.get(tag)!.hard);
        if (this.#isOver()) break;
        if (isGone) {
          this.#of.lost("tags");
          this.release();
        } else if (
          tags.every((tag, i) => now[i]?.soft === versions.get(tag)!.soft) &&
          this.#changed.size === 0 &&
          !this.#hasOthers
        ) {
          this.#of.unharmed();
        }
      }
    } catch {
      // The tier has reported it. Who waits looks again, and what is stored is invalid.
    } finally {
      this.#isComparing = false;
    }
  }

  #isOver(): boolean {
    return this.#state === "over";
  }

  #renewLater(): void {
    const { leases, clock, key, lost } = this.#of;
    this.#cancelRenewal = clock.schedule(() => {
      leases.renew(key, this.token, LEASE_MS).then(
        (isHeld) => {
          if (this.#state === "over") return;
          if (isHeld) return this.#renewLater();
          this.end();
          lost("lease");
        },
        () => {
          if (this.#state !== "over") this.#renewLater();
        },
      );
    }, LEASE_MS / 3);
  }
}

const ignore = (): void => undefined;
