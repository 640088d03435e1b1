import type { Backend } from "../contracts/backend.ts";

/**
 * Maps hashed keys in invalidation messages back to cache keys. Bounded: dropping an alias drops the local copy of its
 * key too.
 */
export class KeyAliases {
  readonly #alias: (key: string) => string;
  readonly #forgotten: (key: string) => void;
  readonly #keys = new Map<string, string>();

  constructor(alias: (key: string) => string, forgotten: (key: string) => void) {
    this.#alias = alias;
    this.#forgotten = forgotten;
  }

  /** Records the alias of `key`: messages about it can be resolved from now on. */
  add(key: string): void {
    const alias = this.#alias(key);
    if (this.#keys.has(alias)) return;
    if (this.#keys.size >= MAX_ALIASES) this.#makeRoom();
    this.#keys.set(alias, key);
  }

  /** The key of an alias; `undefined` for one that was never added or was dropped. */
  keyOf(alias: string): string | undefined {
    return this.#keys.get(alias);
  }

  /** Forgets many at once: to find its oldest entry, a map walks past all entries deleted before it. */
  #makeRoom(): void {
    for (const [oldest, forgotten] of this.#keys) {
      if (this.#keys.size <= MAX_ALIASES - FORGOTTEN_AT_ONCE) return;
      this.#keys.delete(oldest);
      this.#forgotten(forgotten);
    }
  }
}

const MAX_ALIASES = 100_000;
const FORGOTTEN_AT_ONCE = 1_000;

/** Records the aliases of all keys that are read and written, so that messages about them can be resolved. */
export const withAliases = (backend: Backend, aliases: KeyAliases | undefined): Pick<Backend, "read" | "write"> => ({
  read(key) {
    aliases?.add(key);
    return backend.read(key);
  },
  write(key, entry) {
    aliases?.add(key);
    return backend.write(key, entry);
  },
});
