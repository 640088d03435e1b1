import type { LocalEntry } from "@hotset/core";

/** Live entries under a bound on their number, and on the sum of their sizes. Two ways to evict implement it. */
export interface Entries {
  readonly count: number;
  /** Sum of the sizes that `set` was given. */
  readonly bytes: number;
  /** A use: it makes the entry less likely to be evicted. */
  get(key: string): LocalEntry | undefined;
  /** No use. */
  peek(key: string): LocalEntry | undefined;
  /**
   * Keeps `entry`, and evicts others until both bounds hold.
   *
   * @param size at most `maxBytes`; 0 if bytes do not count.
   */
  set(key: string, entry: LocalEntry, size: number): void;
  delete(key: string): boolean;
  /** All of them, as they are now. */
  keys(): readonly string[];
  /** The size that `set` was given; `undefined` for a key without an entry, and where bytes do not count. */
  sizeOf(key: string): number | undefined;
  /** Reports none of the entries as gone. */
  clear(): void;
}

/** Called for each entry that was evicted, deleted or replaced, perhaps in the middle of a change. */
export type Gone = (entry: LocalEntry, key: string, evictedFor: "entries" | "bytes" | undefined) => void;

export interface Bounds {
  readonly maxEntries: number;
  /** `Infinity`: not bounded. */
  readonly maxBytes: number;
}
