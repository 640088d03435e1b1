import type { LocalTier } from "../contracts/local-tier.ts";
import type { KeySpace } from "../entry/key.ts";

/** One in this many hits remembers its joined key: remembering a key takes as long as ten joins. */
const SAMPLE = 32;
/** Longer names are joined each time. */
const MAX_NAME = 256;
const SPARE = 1_024;

/**
 * Joined keys of copies that are hit often, by namespace and name: to hash and compare a new string costs more than the
 * rest of a local hit.
 *
 * There are at most two for each copy, and some. Beyond that all are forgotten, as most copies of theirs were evicted.
 */
export class JoinedKeys {
  readonly #tier: LocalTier;
  readonly #byPrefix = new Map<string, Map<string, string>>();
  #count = 0;
  #hits = 0;

  constructor(tier: LocalTier) {
    this.#tier = tier;
  }

  /** Notes a hit with `key`, which was joined for it, and remembers it in one case of {@link SAMPLE}. */
  hit(space: KeySpace, name: string, key: string): void {
    this.#hits += 1;
    if (this.#hits % SAMPLE !== 0 || name.length > MAX_NAME) return;
    if (this.#count >= SPARE + 2 * this.#tier.entryCount) this.#forget();
    let joined = this.#byPrefix.get(space.localPrefix);
    if (joined === undefined) this.#byPrefix.set(space.localPrefix, (joined = new Map()));
    // Views that are made for one request share the map of their namespace.
    space.joined = joined;
    joined.set(name, key);
    this.#count += 1;
  }

  #forget(): void {
    // Views still refer to these maps.
    for (const joined of this.#byPrefix.values()) joined.clear();
    this.#byPrefix.clear();
    this.#count = 0;
  }
}
