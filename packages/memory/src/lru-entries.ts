import type { LocalEntry } from "@hotset/core";
import { LRUCache } from "lru-cache";
import type { Bounds, Entries, Gone } from "./entries.ts";

/** Entries evicted by how recently they were used, on lru-cache: decision 0256. */
export class LruEntries implements Entries {
  readonly #made: () => LRUCache<string, LocalEntry>;
  readonly #countsBytes: boolean;
  #cache: LRUCache<string, LocalEntry>;
  /** The key of the running `set`. While it is not in the map yet, an eviction is due to `maxEntries`. */
  #storing = "";

  constructor({ maxEntries, maxBytes }: Bounds, countsBytes: boolean, gone: Gone) {
    this.#countsBytes = countsBytes;
    this.#made = () =>
      new LRUCache<string, LocalEntry>({
        max: maxEntries,
        ...(maxBytes === Infinity ? {} : { maxSize: maxBytes }),
        // Only enables the counting of bytes: the tier checks the bound on one value itself.
        ...(countsBytes ? { maxEntrySize: Math.min(maxBytes, Number.MAX_SAFE_INTEGER) } : {}),
        dispose: (entry, key, reason) => {
          const bound = this.#cache.has(this.#storing) ? "bytes" : "entries";
          gone(entry, key, reason === "evict" ? bound : undefined);
        },
      });
    this.#cache = this.#made();
  }

  get count(): number {
    return this.#cache.size;
  }

  get bytes(): number {
    return this.#cache.calculatedSize;
  }

  get(key: string): LocalEntry | undefined {
    return this.#cache.get(key);
  }

  peek(key: string): LocalEntry | undefined {
    return this.#cache.peek(key);
  }

  set(key: string, entry: LocalEntry, size: number): void {
    this.#storing = key;
    if (!this.#countsBytes) return void this.#cache.set(key, entry);
    // For the same object lru-cache would keep the old size, but its value may have grown.
    if (this.#cache.peek(key) === entry) this.#cache.delete(key);
    this.#cache.set(key, entry, { size });
  }

  delete(key: string): boolean {
    return this.#cache.delete(key);
  }

  keys(): readonly string[] {
    return [...this.#cache.keys()];
  }

  sizeOf(key: string): number | undefined {
    return this.#countsBytes ? this.#cache.info(key)?.size : undefined;
  }

  /** Removes all. lru-cache would dispose many entries one by one, so a new cache costs less. */
  clear(): void {
    if (this.#cache.size < this.#cache.max / 8) this.#cache.clear();
    else this.#cache = this.#made();
  }
}
