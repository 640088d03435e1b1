/**
 * The keys behind the hashes that this process has made, so that a report of a change names the key. Bounded: a key
 * that is forgotten is reported, since no later report can name it.
 */
export class HashedKeys {
  readonly #keys = new Map<string, string>();
  readonly #forgotten: (key: string) => void;

  constructor(forgotten: (key: string) => void) {
    this.#forgotten = forgotten;
  }

  add(hashed: string, key: string): void {
    if (this.#keys.has(hashed)) return;
    if (this.#keys.size >= MAX_KEYS) this.#makeRoom();
    this.#keys.set(hashed, key);
  }

  /** `undefined` for a hash that was never added or was forgotten. */
  keyOf(hashed: string): string | undefined {
    return this.#keys.get(hashed);
  }

  /** Many in a row: to find its oldest entry, a map walks past all entries that were deleted before it. */
  #makeRoom(): void {
    for (const [hashed, key] of this.#keys) {
      if (this.#keys.size <= MAX_KEYS - FORGOTTEN_IN_A_ROW) return;
      this.#keys.delete(hashed);
      this.#forgotten(key);
    }
  }
}

const MAX_KEYS = 100_000;
const FORGOTTEN_IN_A_ROW = 1_000;
