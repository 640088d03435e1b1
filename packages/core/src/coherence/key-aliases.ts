/**
 * Keys by what coherence calls them, where that cannot be turned back. Bounded: who forgets a key must not keep a copy
 * of it.
 */
export class KeyAliases {
  readonly #alias: (key: string) => string;
  readonly #forgotten: (key: string) => void;
  readonly #keys = new Map<string, string>();

  constructor(alias: (key: string) => string, forgotten: (key: string) => void) {
    this.#alias = alias;
    this.#forgotten = forgotten;
  }

  /** From now on messages about this key are understood. */
  add(key: string): void {
    const alias = this.#alias(key);
    if (this.#keys.has(alias)) return;
    if (this.#keys.size >= MAX_ALIASES) this.#makeRoom();
    this.#keys.set(alias, key);
  }

  /** Many at once: to find its oldest entry, a map passes by all that were deleted before it. */
  #makeRoom(): void {
    for (const [oldest, forgotten] of this.#keys) {
      if (this.#keys.size <= MAX_ALIASES - FORGOTTEN_AT_ONCE) return;
      this.#keys.delete(oldest);
      this.#forgotten(forgotten);
    }
  }

  keyOf(alias: string): string | undefined {
    return this.#keys.get(alias);
  }
}

const MAX_ALIASES = 100_000;
const FORGOTTEN_AT_ONCE = 1_000;
