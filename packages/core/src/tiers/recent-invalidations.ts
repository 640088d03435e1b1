import type { Clock } from "../contracts/clock.ts";
import type { EntryKey, KeySpace } from "../entry/key.ts";
import { SizedMap } from "../primitives/sized-map.ts";

/** Tags of one namespace to invalidate, or to mark stale. */
export interface TagInvalidation {
  readonly keySpace: KeySpace;
  readonly keys: readonly string[];
  readonly mode: "hard" | "soft";
}

/**
 * The invalidations of this process that the backend acknowledged within the window, oldest first. They are issued
 * again when another server takes over, since it may have older data. Bounded by time and bytes.
 *
 * The window has its own clock, which stands still while the link is lost. All instants here are by that clock.
 */
export class RecentInvalidations {
  readonly #clock: Clock;
  readonly #windowMs: number;
  readonly #maxBytes: number;
  /** What was issued, by the key of an entry or of a tag; no entry has the key of a tag. */
  readonly #issued = new SizedMap<Issued>();
  /** By key that was issued again when another server took over, `TagEvents.sequence` of the reads from then on. */
  #issuedAgain: ReadonlyMap<string, number> = new Map();
  #overflowedAt = -Infinity;
  /** `clock.now()` since which the window stands still. */
  #stoppedAt: number | undefined;
  /** For how long the window stood still before. */
  #stoodStillMs = 0;

  /** @param maxBytes of keys and tags that are remembered; more count as an overflow. */
  constructor(clock: Clock, windowMs: number, maxBytes: number) {
    this.#clock = clock;
    this.#windowMs = windowMs;
    this.#maxBytes = maxBytes;
  }

  addKey(key: EntryKey): void {
    this.#add(key.backend, key);
  }

  addTags(keySpace: KeySpace, keys: readonly string[], mode: "hard" | "soft"): void {
    for (const key of keys) {
      const before = this.#issued.get(key)?.what;
      const isHard = before !== undefined && isTags(before) && before.mode === "hard";
      this.#add(key, { keySpace, keys: [key], mode: isHard ? "hard" : mode });
    }
  }

  /**
   * The invalidations within the window. They are added again when they have been issued again.
   *
   * @param isThere whether a key is to be issued again.
   * @param tagSequence of the reads from now on: see {@link outdates}.
   */
  take(
    isThere: (key: string) => boolean = () => true,
    tagSequence = 0,
  ): {
    readonly keys: readonly EntryKey[];
    readonly tags: readonly TagInvalidation[];
    readonly overflowed: boolean;
  } {
    const since = this.#now - this.#windowMs;
    const recent = [...this.#issued.values()].filter(({ issuedAt }) => issuedAt >= since).map(({ what }) => what);
    const tags = recent.filter(isTags).filter(({ keys: [key] }) => isThere(key!));
    const keys = recent.filter((what): what is EntryKey => !isTags(what) && isThere(what.backend));
    this.#issuedAgain = new Map([
      ...[...this.#issuedAgain].filter(([key]) => !isThere(key)),
      ...keys.map(({ backend }) => [backend, tagSequence] as const),
    ]);
    return { keys, tags, overflowed: this.#overflowedAt >= since };
  }

  /**
   * Whether this key was issued again after a read with this `tagSequence` was sent: another server had the entry, even
   * where a newer change has ended the invalidation since.
   */
  outdates({ backend }: EntryKey, tagSequence: number): boolean {
    return tagSequence < (this.#issuedAgain.get(backend) ?? 0);
  }

  /** The window stands still, as of this instant of `clock.now()`, or of an earlier call. */
  stop(at: number): void {
    this.#stoppedAt ??= at;
  }

  resume(): void {
    if (this.#stoppedAt !== undefined) this.#stoodStillMs += this.#clock.now() - this.#stoppedAt;
    this.#stoppedAt = undefined;
  }

  get #now(): number {
    return (this.#stoppedAt ?? this.#clock.now()) - this.#stoodStillMs;
  }

  #add(id: string, what: Issued["what"]): void {
    const issuedAt = this.#now;
    this.#issued.delete(id);
    this.#issued.set(id, { what, issuedAt });
    if (this.#issued.bytes > this.#maxBytes + FORGOTTEN_BYTES) this.#forget(issuedAt);
  }

  /** Forgets many at once: to find its oldest entry, a map walks past all entries deleted before it. */
  #forget(now: number): void {
    for (const [oldest, { issuedAt }] of this.#issued) {
      const isRecent = issuedAt >= now - this.#windowMs;
      if (isRecent && this.#issued.bytes <= this.#maxBytes) return;
      if (isRecent) this.#overflowedAt = now;
      this.#issued.delete(oldest);
    }
  }
}

interface Issued {
  readonly what: EntryKey | TagInvalidation;
  readonly issuedAt: number;
}

const isTags = (what: Issued["what"]): what is TagInvalidation => "keys" in what;

const FORGOTTEN_BYTES = 1024 * 1024;
