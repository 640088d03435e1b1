import type { Clock } from "../contracts/clock.ts";
import type { EntryKey, KeySpace } from "../entry/key.ts";

/** Tags of one namespace to invalidate, or to mark stale. */
export interface TagInvalidation {
  readonly keySpace: KeySpace;
  readonly keys: readonly string[];
  readonly mode: "hard" | "soft";
}

/**
 * The invalidations of this process that the backend acknowledged within the window, oldest first. They are issued
 * again when another server takes over, since it may have older data. Bounded by time and number.
 *
 * The window has a clock of its own, which stands still while the link is lost. All instants here are by that clock.
 */
export class RecentInvalidations {
  readonly #clock: Clock;
  readonly #windowMs: number;
  readonly #maxSize: number;
  readonly #keys = new Map<string, { readonly key: EntryKey; readonly issuedAt: number }>();
  readonly #tags = new Map<string, TagInvalidation & { readonly issuedAt: number }>();
  #overflowedAt = -Infinity;
  /** `clock.now()` since which the window stands still. */
  #stoppedAt: number | undefined;
  /** For how long it stood still before. */
  #stoodStillMs = 0;

  /** @param maxSize how many are remembered; more count as an overflow. */
  constructor(clock: Clock, windowMs: number, maxSize: number) {
    this.#clock = clock;
    this.#windowMs = windowMs;
    this.#maxSize = maxSize;
  }

  addKey(key: EntryKey): void {
    this.#add(this.#keys, key.backend, { key, issuedAt: this.#now });
  }

  addTags(keySpace: KeySpace, keys: readonly string[], mode: "hard" | "soft"): void {
    for (const key of keys) {
      const before = this.#tags.get(key);
      this.#add(this.#tags, key, {
        keySpace,
        keys: [key],
        mode: before?.mode === "hard" ? "hard" : mode,
        issuedAt: this.#now,
      });
    }
  }

  /** The invalidations within the window. They are added again when they have been issued again. */
  take(): {
    readonly keys: readonly EntryKey[];
    readonly tags: readonly TagInvalidation[];
    readonly overflowed: boolean;
  } {
    const since = this.#now - this.#windowMs;
    const recent = <T extends { readonly issuedAt: number }>(all: Map<string, T>): readonly T[] =>
      [...all.values()].filter(({ issuedAt }) => issuedAt >= since);
    return {
      keys: recent(this.#keys).map(({ key }) => key),
      tags: recent(this.#tags),
      overflowed: this.#overflowedAt >= since,
    };
  }

  /** The window stands still, as of this instant of `clock.now()`. */
  stop(at: number): void {
    this.#stoppedAt = at;
  }

  resume(): void {
    if (this.#stoppedAt !== undefined) this.#stoodStillMs += this.#clock.now() - this.#stoppedAt;
    this.#stoppedAt = undefined;
  }

  get #now(): number {
    return (this.#stoppedAt ?? this.#clock.now()) - this.#stoodStillMs;
  }

  #add<T extends { readonly issuedAt: number }>(all: Map<string, T>, id: string, issued: T): void {
    all.delete(id);
    all.set(id, issued);
    if (this.#size > this.#maxSize + FORGOTTEN_AT_ONCE) this.#forget(issued.issuedAt);
  }

  get #size(): number {
    return this.#keys.size + this.#tags.size;
  }

  /** Forgets many at once: to find its oldest entry, a map walks past all entries deleted before it. */
  #forget(now: number): void {
    const both: readonly Map<string, { readonly issuedAt: number }>[] = [this.#keys, this.#tags];
    for (const all of both) {
      for (const [oldest, { issuedAt }] of all) {
        if (issuedAt >= now - this.#windowMs) break;
        all.delete(oldest);
      }
    }
    if (this.#size <= this.#maxSize) return;
    this.#overflowedAt = now;
    for (const all of both) {
      for (const oldest of all.keys()) {
        if (this.#size <= this.#maxSize) return;
        all.delete(oldest);
      }
    }
  }
}

const FORGOTTEN_AT_ONCE = 1_000;
