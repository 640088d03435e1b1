import type { Clock } from "./clock.ts";

/**
 * Holds live values in this process, for one cache. Synchronous. Has a contract suite: `describeLocalTier`.
 *
 * Only `set` may throw: then nothing is kept under the key, not even an older entry. If another method throws, a call
 * may reject with its error, and an older value may stay; every call settles all the same. Where no call waits, a
 * `backend:error` has the error as its cause.
 */
export interface LocalTier {
  /** Names the tier in events, stats and errors. */
  readonly label: string;
  /** Ended ones included, until they are removed. */
  readonly entryCount: number;
  /** Absent where bytes are not counted. */
  readonly usedBytes?: number;
  /** Whether callers share the stored object, or the cache freezes or clones it. @default 'shared' */
  readonly values?: "shared" | "frozen" | "cloned";
  /**
   * Called once, by `build`.
   *
   * @throws {ConfigurationError} for a second cache.
   */
  attach(host: LocalTierHost): void;
  /** The entry, also one that has ended; counts as a use. */
  get(key: string): LocalEntry | undefined;
  /** May refuse, evict or throw. A kept entry is the same object as the given one. */
  set(key: string, entry: LocalEntry): void;
  /** Whether there was one. */
  delete(key: string): boolean;
  /** Removes all entries. */
  clear(): void;
  /**
   * Lists the entries, expired ones included, for people. It counts as no use, so it keeps none longer. Entries that change
   * meanwhile may be left out. @default it cannot be walked
   *
   * @returns each with its size as the tier counts it, where it counts bytes.
   */
  walk?(): Iterable<{ readonly key: string; readonly entry: LocalEntry; readonly bytes?: number | undefined }>;
}

/** The cache, as its local tier sees it. Calls throw nothing. */
export interface LocalTierHost {
  /** The clock of the cache. */
  readonly clock: Clock;
  /** Reports that an entry was removed for want of room. */
  evicted(key: string, reason: "entries" | "bytes"): void;
}

/** An entry of the cache, reduced to the properties that a tier needs. */
export interface LocalEntry {
  /** The value as callers get it, or the one that theirs is cloned from. */
  readonly value: unknown;
  /** `clock.now()` from which it may be reclaimed; `Infinity` if never. */
  readonly deadAt: number;
  /** Encoded size in bytes, if a backend has stored or read the entry. */
  readonly encodedBytes?: number;
  /** Size in bytes before compression, if the backend compresses: it is nearer to what the value takes in memory. */
  readonly uncompressedBytes?: number | undefined;
  /** Tags of the entry, and the keys of each of its tags and namespaces, for a tier that counts bytes. */
  readonly terms?: { readonly tags: readonly string[]; readonly dependsOn: readonly string[] };
}
