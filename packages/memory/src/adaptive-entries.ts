import type { LocalEntry } from "@hotset/core";
import { Duel, FIRST_SHARE } from "./duel.ts";
import type { Bounds, Entries, Gone } from "./entries.ts";
import { HITS, SAMPLED, WindowAndMain } from "./window-and-main.ts";

/** Slots to begin with. Then their number doubles whenever more are needed, so unused room costs nothing. */
const FIRST_SLOTS = 62;
/** A duel is made for at least so many: few entries of different sizes would often double in number, or halve. */
const FEWEST_ENTRIES = 32;

/**
 * Entries evicted by how recently and how often they were used, in the proportion that serves the present load best.
 *
 * `WindowAndMain` decides which entry goes, and `Duel` which share of the entries its window has. Until the first
 * eviction there is neither choice nor duel, and a use costs a look into a `Map` and one byte.
 *
 * Invariants, after each call:
 *
 * - `count` is at most `maxEntries`, `bytes` at most `maxBytes`: room is made before an entry takes it.
 * - `#slots`, `#keys` and `#entries` hold the same entries, under the slots that `#lists` has in its lists. A free slot
 *   refers to no key and no entry.
 * - The state about evicted entries is bounded: counters of the sketch, and hashes in the shadows.
 * - Replacing an entry keeps its slot and its hits, and is not a use.
 */
export class AdaptiveEntries implements Entries {
  readonly #bounds: Bounds;
  readonly #gone: Gone;
  readonly #seed: number;
  #slots = new Map<string, number>();
  #keys: (string | undefined)[] = [];
  #entries: (LocalEntry | undefined)[] = [];
  #lists!: WindowAndMain;
  #duel: Duel | undefined;
  /** Entries with `SAMPLED`. */
  #sampled = 0;

  /** @param seed of the hash: keys that collide in one process do not in another. */
  constructor(bounds: Bounds, gone: Gone, seed: number = Math.trunc(Math.random() * 2 ** 32)) {
    this.#bounds = bounds;
    this.#gone = gone;
    this.#seed = seed;
    this.clear();
  }

  get count(): number {
    return this.#slots.size;
  }

  get bytes(): number {
    return this.#lists.bytes;
  }

  get(key: string): LocalEntry | undefined {
    const slot = this.#slots.get(key);
    if (slot === undefined) return undefined;
    const { states } = this.#lists;
    const state = states[slot]!;
    // A very hot entry has all its hits counted already: then not even the shadows see it.
    if ((state & HITS) < HITS) {
      states[slot] = state + 1;
      if (state >= SAMPLED) this.#showShadows(this.#lists.hashes[slot]!);
    }
    return this.#entries[slot];
  }

  peek(key: string): LocalEntry | undefined {
    const slot = this.#slots.get(key);
    return slot === undefined ? undefined : this.#entries[slot];
  }

  set(key: string, entry: LocalEntry, size: number): void {
    const slot = this.#slots.get(key);
    if (slot === undefined) this.#insert(key, entry, size);
    else this.#replace(slot, key, entry, size);
  }

  delete(key: string): boolean {
    const slot = this.#slots.get(key);
    if (slot === undefined) return false;
    this.#lists.release(slot);
    this.#drop(slot, undefined);
    return true;
  }

  keys(): readonly string[] {
    return [...this.#slots.keys()];
  }

  sizeOf(key: string): number | undefined {
    const slot = this.#slots.get(key);
    // 0 where bytes do not count: a size is at least 1.
    return slot === undefined ? undefined : this.#lists.sizeOf(slot) || undefined;
  }

  clear(): void {
    this.#slots = new Map();
    this.#keys = [];
    this.#entries = [];
    const { maxEntries } = this.#bounds;
    this.#lists = new WindowAndMain(Math.min(FIRST_SLOTS, maxEntries), FIRST_SHARE, maxEntries);
    this.#duel = undefined;
    this.#sampled = 0;
  }

  #insert(key: string, entry: LocalEntry, size: number): void {
    const hash = hashOf(key, this.#seed);
    if (this.#slots.size === this.#bounds.maxEntries) this.#evict("entries", size);
    this.#makeRoom(size);
    const isSampled = this.#duel?.samples(hash) === true;
    if (isSampled) this.#showShadows(hash);
    const slot = this.#lists.admit(hash, size);
    if (isSampled) this.#mark(slot);
    this.#slots.set(key, slot);
    this.#keys[slot] = key;
    this.#entries[slot] = entry;
  }

  #replace(slot: number, key: string, entry: LocalEntry, size: number): void {
    const grownBy = size - this.#lists.sizeOf(slot);
    if (this.#lists.bytes + grownBy > this.#bounds.maxBytes) this.#lists.without(slot, () => this.#makeRoom(size));
    this.#lists.resize(slot, size);
    const old = this.#entries[slot]!;
    this.#entries[slot] = entry;
    this.#gone(old, key, undefined);
  }

  #makeRoom(size: number): void {
    while (this.#lists.bytes + size > this.#bounds.maxBytes) this.#evict("bytes", size);
  }

  #evict(bound: "entries" | "bytes", incoming: number): void {
    const capacity = Math.max(FEWEST_ENTRIES, this.#slots.size);
    // Where bytes are the bound, the number of entries may change a lot in the course of time.
    if (this.#duel === undefined || capacity > 2 * this.#duel.capacity || 4 * capacity < this.#duel.capacity)
      this.#startDuel(capacity);
    this.#drop(this.#lists.evict(bound, incoming), bound);
  }

  /** The slot is no longer in a list. */
  #drop(slot: number, evictedFor: "entries" | "bytes" | undefined): void {
    if ((this.#lists.states[slot]! & SAMPLED) !== 0) this.#sampled -= 1;
    const key = this.#keys[slot]!;
    const entry = this.#entries[slot]!;
    this.#keys[slot] = undefined;
    this.#entries[slot] = undefined;
    this.#slots.delete(key);
    this.#gone(entry, key, evictedFor);
  }

  /** Costs a walk over all entries, and is done when their number has at least doubled, or fallen to a quarter. */
  #startDuel(capacity: number): void {
    const lists = this.#lists;
    const duel = new Duel(capacity);
    this.#sampled = 0;
    lists.forget(capacity);
    for (const slot of lists.slots()) {
      lists.states[slot]! &= ~SAMPLED;
      if (!duel.samples(lists.hashes[slot]!)) continue;
      this.#mark(slot);
      duel.access(lists.hashes[slot]!, this.#sampled);
    }
    duel.fit(this.#sampled);
    lists.share = duel.share;
    this.#duel = duel;
  }

  #mark(slot: number): void {
    this.#lists.states[slot]! |= SAMPLED;
    this.#sampled += 1;
  }

  #showShadows(hash: number): void {
    const duel = this.#duel!;
    if (duel.access(hash, this.#sampled) && duel.share !== this.#lists.share) this.#lists.share = duel.share;
  }
}

/** Spreads keys over 32 bits: FNV-1a, and the last steps of MurmurHash3 for the low bits. */
function hashOf(key: string, seed: number): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let i = 0; i < key.length; i += 1) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
