import { HITS, WindowAndMain } from "./window-and-main.ts";

/** Shares of the window. No fixed one is safe: a small one wins on loops and scans, 1 is LRU and wins on recency. */
const SHARES = [0.01, 0.2, 0.5, 1] as const;
/** To begin with, LRU: then a cache is never much worse than that. */
export const FIRST_SHARE = 1;

/** A shadow holds so many entries, if the sampling rate allows it. */
const SHADOW_ENTRIES = 64;
const LEAST_RATE = 4;
/** A rate above this is used only to keep shadows below `MOST_SHADOW_ENTRIES`. */
const USUAL_RATE = 64;
const MOST_SHADOW_ENTRIES = 4_096;
const FEWEST_SHADOW_ENTRIES = 4;

/** Sampled accesses from one decision to the next: so many for each entry of a shadow. */
const ACCESSES_PER_ENTRY = 3;
const FEWEST_ACCESSES = 200;
/** Hits of earlier periods count less and less. */
const DECAY = 0.9;
/** A share replaces another if it has 2 % more hits. */
const MARGIN = 1.02;

/**
 * Finds the share of the window that hits most: four small caches, one for each share, see a sample of all accesses.
 *
 * - A key is sampled by its hash, one of `rate`: either all of its accesses are seen, or none. A shadow keeps hashes,
 *   no keys and no values: at most 8,192 of them, usually about 64 to 128.
 * - A shadow holds as many entries as the cache holds sampled ones. If it held a fixed part, then a hash that samples
 *   fewer keys than it should would let a loop that is larger than the cache fit into every shadow.
 * - Shadows change nothing in the cache. They answer one question: which share.
 *
 * @see M. Qureshi et al., Adaptive Insertion Policies for High Performance Caching (2007), for set dueling
 * @see C. Waldspurger et al., Cache Modeling and Optimization using Miniature Simulations (2017), for sampling by hash
 * @see N. Megiddo and D. Modha, ARC: A Self-Tuning, Low Overhead Replacement Cache (2003), whose aim this shares
 */
export class Duel {
  /** The number of entries for which the duel was made. */
  declare readonly capacity: number;
  readonly #rate: number;
  readonly #accessesPerDecision: number;
  readonly #shadows: readonly Shadow[];
  #best = SHARES.indexOf(FIRST_SHARE);
  #accesses = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.#rate = rateFor(capacity);
    const entries = Math.max(2 * FEWEST_SHADOW_ENTRIES, Math.round(capacity / this.#rate));
    this.#accessesPerDecision = Math.max(FEWEST_ACCESSES, Math.round(ACCESSES_PER_ENTRY * (capacity / this.#rate)));
    this.#shadows = SHARES.map((share) => new Shadow(2 * entries, share));
  }

  /** The share that hits most. */
  get share(): number {
    return SHARES[this.#best]!;
  }

  samples(hash: number): boolean {
    // Mixed once more: the low bits of the hash choose its block in the sketch.
    return (Math.imul(hash, 0x27d4eb2f) >>> 12) % this.#rate === 0;
  }

  /**
   * Shows an access to a sampled key to the shadows.
   *
   * @param resident sampled keys that the cache holds. Returns whether `share` was decided again.
   */
  access(hash: number, resident: number): boolean {
    for (const shadow of this.#shadows) shadow.access(hash);
    this.#accesses += 1;
    if (this.#accesses < this.#accessesPerDecision) return false;
    this.#accesses = 0;
    this.#decide();
    this.fit(resident);
    return true;
  }

  /** Gives the shadows as many entries as the cache holds sampled ones. */
  fit(resident: number): void {
    for (const shadow of this.#shadows) shadow.resize(Math.max(FEWEST_SHADOW_ENTRIES, resident));
  }

  #decide(): void {
    const hits = this.#shadows.map((shadow) => shadow.hits);
    const best = hits.indexOf(Math.max(...hits));
    if (hits[best]! > hits[this.#best]! * MARGIN) this.#best = best;
    for (const shadow of this.#shadows) shadow.hits *= DECAY;
  }
}

function rateFor(capacity: number): number {
  const usual = Math.floor(capacity / SHADOW_ENTRIES);
  return Math.max(LEAST_RATE, Math.min(USUAL_RATE, usual), Math.ceil(capacity / MOST_SHADOW_ENTRIES));
}

/** A cache of hashes. */
class Shadow {
  hits = 0;
  readonly #most: number;
  readonly #lists: WindowAndMain;
  /** By hash as a signed number: so V8 keeps it in a pointer, without an object for it. */
  readonly #slots = new Map<number, number>();
  #capacity: number;

  constructor(most: number, share: number) {
    this.#most = most;
    this.#capacity = most / 2;
    this.#lists = new WindowAndMain(most, share);
  }

  access(hash: number): void {
    const slot = this.#slots.get(hash | 0);
    if (slot !== undefined) {
      const { states } = this.#lists;
      if ((states[slot]! & HITS) < HITS) states[slot]! += 1;
      this.hits += 1;
      return;
    }
    this.#evictTo(this.#capacity - 1);
    this.#slots.set(hash | 0, this.#lists.admit(hash, 1));
  }

  resize(capacity: number): void {
    this.#capacity = Math.min(this.#most, capacity);
    this.#evictTo(this.#capacity);
  }

  #evictTo(count: number): void {
    const lists = this.#lists;
    while (lists.count > count) this.#slots.delete(lists.hashes[lists.evict("entries", 1)]! | 0);
  }
}
