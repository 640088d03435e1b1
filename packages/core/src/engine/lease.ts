import type { TagVersion } from "../contracts/backend.ts";
import type { Clock } from "../contracts/clock.ts";
import type { EntryLeases } from "../tiers/entry-tier.ts";
import { newId } from "../primitives/ids.ts";
import type { EntryKey } from "../entry/key.ts";
import type { Pinned } from "../tags/tag-versions.ts";

/**
 * The part of a lease after which it is renewed. A quarter: a process that stands still for half of it, or a renewal
 * that is lost, does not cost the lease.
 */
const RENEWED_AFTER = 1 / 4;

/** How often a waiting flight reads the backend again if nothing wakes it. */
export const POLL_MS = 1_000;

/** When it reads again first where nothing reports the change that it waits for; later pauses grow. */
const FIRST_POLL_MS = 20;

/**
 * How long a flight waits before it reads the backend again: as long as it has waited already, so each pause is as long
 * as all before it, and what a load took at most doubles.
 */
export const pollAfter = (waitedMs: number): number => Math.min(Math.max(waitedMs, FIRST_POLL_MS), POLL_MS);

export interface LeaseOf {
  readonly leases: EntryLeases;
  readonly clock: Clock;
  readonly key: EntryKey;
  /** Contains the lease from its request to its end. */
  readonly among: Set<Lease>;
  /** Reads the current versions of tags. */
  readonly versionsNow: (tags: readonly string[]) => Promise<readonly (TagVersion | undefined)[]>;
  /** Called when the result of the load cannot be stored any more. */
  readonly lost: (by: "lease" | "tags") => void;
  /** Receives a release that was sent. If it fails, the tier has reported it, and the lease expires. */
  readonly releasing: (release: Promise<void>) => void;
  /** Called when the tag changes received in its namespace since it began left its own tags as they were. */
  readonly unharmed: () => void;
}

/**
 * The permission to load and store one key, requested by one flight.
 *
 *     asked ──granted──▶ held ──stored, released──▶ over
 *        └──refused────────────────────────────────▲
 *
 * Renewed while it is held. If the backend does not answer a renewal, the lease counts as held: the store finds out.
 * It is released as soon as the flight can store nothing valid, since other processes would wait for no result.
 */
export class Lease {
  readonly token: string = newId();
  /** The version in the backend when it was granted: the store is refused if it changed since. */
  seen = "";
  readonly #of: LeaseOf;
  #state: "asked" | "held" | "over" = "asked";
  #isUnwanted = false;
  #pinned: Pinned | undefined;
  /** Tags that changed, or may have, and were not compared yet. */
  #changed: Set<string> | undefined;
  #isComparing = false;
  #cancelRenewal: (() => void) | undefined;

  /** Make it before it is requested: a change during the request counts. */
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

  /** The tag versions that were pinned with it. */
  pinned(pinned: Pinned): void {
    this.#pinned = pinned;
    if (this.#changed !== undefined) void this.#compare();
  }

  /** The store gave it up, or it was never granted. */
  end(): void {
    this.#state = "over";
    this.#cancelRenewal?.();
    this.#of.among.delete(this);
  }

  /** Lets other processes load at once. By token, so a lease of another holder stays. */
  release(): void {
    this.#isUnwanted = true;
    if (this.#state !== "held") return;
    this.end();
    const { leases, key, releasing } = this.#of;
    releasing(leases.release(key, this.token));
  }

  /** This process renewed these tags: a value loaded under their old versions is not valid. */
  releaseUnder(tags: readonly string[]): void {
    if (tags.some((tag) => this.#pinned?.versions.has(tag) === true)) this.release();
  }

  /**
   * These tags changed elsewhere, or may have. A message alone proves nothing: pinning a version that was missing looks
   * the same.
   */
  tagsChanged(tags: readonly string[]): void {
    for (const tag of tags)
      if (this.#of.key.space.tagPrefixes.some((prefix) => tag.startsWith(prefix)))
        (this.#changed ??= new Set()).add(tag);
    void this.#compare();
  }

  /**
   * Compares versions, and again if another message came meanwhile. A missing version does not count as changed:
   * reissuing it would be announced.
   */
  async #compare(): Promise<void> {
    const changed = this.#changed;
    if (this.#pinned === undefined || changed === undefined || this.#isComparing) return;
    this.#isComparing = true;
    const { versions } = this.#pinned;
    try {
      while (changed.size !== 0 && this.#state !== "over") {
        const tags = [...changed].filter((tag) => versions.has(tag));
        changed.clear();
        if (tags.length === 0) break;
        const now = await this.#of.versionsNow(tags);
        const isGone = tags.some((tag, i) => now[i] !== undefined && now[i].hard !== versions.get(tag)!.hard);
        if (this.#isOver()) break;
        if (isGone) {
          this.#of.lost("tags");
          this.release();
        } else if (tags.every((tag, i) => now[i]?.soft === versions.get(tag)!.soft) && changed.size === 0) {
          this.#of.unharmed();
        }
      }
    } catch {
      // The tier has reported it. Waiting flights read again, and an entry stored under old versions is invalid.
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
      leases.renew(key, this.token).then(
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
    }, leases.leaseMs * RENEWED_AFTER);
  }
}
