/** A map that counts the bytes it takes; what its values refer to beyond their keys does not count. */
export class SizedMap<V> extends Map<string, V> {
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  override set(key: string, value: V): this {
    if (!this.has(key)) this.#bytes += bytesOf(key);
    return super.set(key, value);
  }

  override delete(key: string): boolean {
    const wasThere = super.delete(key);
    if (wasThere) this.#bytes -= bytesOf(key);
    return wasThere;
  }

  override clear(): void {
    super.clear();
    this.#bytes = 0;
  }

  /** Deletes the oldest ones until the others take at most `maxBytes`. */
  deleteOldest(maxBytes: number): void {
    // Many at a time: to find its first key, a map walks past all that were deleted before it.
    for (const key of this.keys()) {
      if (this.#bytes <= maxBytes) return;
      this.delete(key);
    }
  }
}

/** Two for each character of the key, and 128 for its records. */
export const bytesOf = (key: string): number => 2 * key.length + 128;
