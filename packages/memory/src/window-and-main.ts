import { FrequencySketch } from "./frequency-sketch.ts";

/** The state of a slot, in one byte. */
export const HITS = 0b0000_1111;
const LIFE = 0b0001_0000;
const LIVES = 0b0011_0000;
const IN_MAIN = 0b0100_0000;
export const SAMPLED = 0b1000_0000;
const MOST_LIVES = 3;

/** The heads of both lists are slots, too, which hold nothing. */
const WINDOW = 0;
const MAIN = 1;
const FIRST_SLOT = 2;
const NONE = 0;

/** Entries with hits that are passed over to find one to evict: 10 to 20 microseconds. */
const MOST_STEPS = 1_000;
/** Entries that change lists with one admission, after the share has changed. */
const MOST_MOVES = 16;
/** A candidate of this frequency that loses is admitted all the same, once in 128 times. */
const WARM = 6;

/**
 * Decides which slot is evicted: W-TinyLFU, with two clocks in place of its three lists.
 *
 *                 admit ──▶ ┌──────── window ────────┐ candidate  ┌───────── main ─────────┐
 *                           │ at most `share` of all │ ─────────▶ │ the rest               │ ──▶ victim
 *                           └────────────────────────┘   only if  └────────────────────────┘
 *                            ◀── a life: to the tail    more often    ◀── a life: to the tail
 *                                                     used than victim
 *
 * Invariants, after each call:
 *
 * - A slot is free, in the window or in main: in exactly one of the three. `windowCount`, `count` and the bytes of both
 *   are those of the slots in the lists.
 * - `admit` evicts nothing: room is made before it, so a new entry is never its own victim.
 * - A hit changes one byte, `states[slot]`, and nothing else. Hits are counted there up to 15, and looked at when the
 *   slot comes to the head of its list: then they go into the frequency sketch and become lives.
 * - A slot with lives is not evicted, but goes to the tail: in the window with none left, in main with one less, of at
 *   most three. With `share` 1 all slots are in the window, and this is LRU by second chance (CLOCK).
 * - No call takes more than a bounded number of steps: `MOST_STEPS`, `MOST_MOVES`.
 *
 * Why no list is touched by a hit: on ten real traces a clock is at worst 0.6 points of hit ratio below true LRU.
 *
 * @see F. J. Corbató, A Paging Experiment with the Multics System (1968), for the clock
 * @see G. Einziger, R. Friedman and B. Manes, TinyLFU: A Highly Efficient Cache Admission Policy (2017), for W-TinyLFU
 * @see J. Yang et al., FIFO Queues are All You Need for Cache Eviction (2023), for counting hits and not moving
 */
export class WindowAndMain {
  /** One byte for each slot: 4 bits of hits since the last look, 2 of lives, `IN_MAIN`, `SAMPLED`. */
  declare states: Uint8Array;
  declare hashes: Uint32Array;
  #next: Uint32Array;
  #previous: Uint32Array;
  #sizes: Float64Array;
  #sketch: FrequencySketch;
  #share: number;
  /** Whether the share was raised, and slots of main are still to be moved into the window. */
  #isWidening = false;
  /** The bound that was met last: in its measure the window has its share. */
  #bound: "entries" | "bytes" = "entries";
  #count = 0;
  #windowCount = 0;
  #bytes = 0;
  #windowBytes = 0;
  /** Slots below this one were used; those that are free form a list from `#free`, linked by `#next`. */
  #end = FIRST_SLOT;
  #free = NONE;
  #random = 1;

  readonly #most: number;

  /**
   * @param capacity slots to begin with, and keys that the frequency sketch distinguishes. @param most slots that are
   *   ever needed.
   */
  constructor(capacity: number, share: number, most: number = Infinity) {
    this.#most = most + FIRST_SLOT;
    const slots = capacity + FIRST_SLOT;
    this.states = new Uint8Array(slots);
    this.hashes = new Uint32Array(slots);
    this.#next = new Uint32Array(slots);
    this.#previous = new Uint32Array(slots);
    this.#sizes = new Float64Array(slots);
    for (const head of [WINDOW, MAIN]) this.#next[head] = this.#previous[head] = head;
    this.#sketch = new FrequencySketch(capacity);
    this.#share = share;
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get windowCount(): number {
    return this.#windowCount;
  }

  get share(): number {
    return this.#share;
  }

  /** From 0 to 1: the part of the entries, or of their bytes, that the window may hold. Evicts nothing. */
  set share(share: number) {
    this.#isWidening = share > this.#share;
    this.#share = share;
  }

  /** Takes a free slot, and puts it at the tail of the window. */
  admit(hash: number, size: number): number {
    const slot = this.#take();
    this.hashes[slot] = hash;
    this.states[slot] = 0;
    this.#sizes[slot] = size;
    this.#sketch.add(hash, 1);
    this.#link(slot);
    this.#settle();
    return slot;
  }

  /** Frees a slot; its state stays readable until the next `admit`. */
  release(slot: number): void {
    this.#unlink(slot);
    this.#next[slot] = this.#free;
    this.#free = slot;
  }

  /**
   * Frees the slot that is least worth keeping, and returns it. There must be one.
   *
   * @param bound that is exceeded otherwise. @param incoming the size of the entry that needs the room.
   */
  evict(bound: "entries" | "bytes", incoming: number): number {
    this.#bound = bound;
    const victim = this.#victim(incoming);
    this.release(victim);
    return victim;
  }

  sizeOf(slot: number): number {
    return this.#sizes[slot]!;
  }

  /** Changes the size of a slot, which keeps its place. */
  resize(slot: number, size: number): void {
    const by = size - this.#sizes[slot]!;
    this.#sizes[slot] = size;
    this.#bytes += by;
    if ((this.states[slot]! & IN_MAIN) === 0) this.#windowBytes += by;
  }

  /** Runs `change` while `slot` is in no list, so it is not evicted. Then it is at the tail of the list it was in. */
  without(slot: number, change: () => void): void {
    this.#unlink(slot);
    change();
    this.#link(slot);
  }

  /** Forgets frequencies, and distinguishes `capacity` keys from now on. Each present one counts as added once. */
  forget(capacity: number): void {
    this.#sketch = new FrequencySketch(capacity);
    for (const slot of this.slots()) this.#sketch.add(this.hashes[slot]!, 1);
  }

  /** From the one that was admitted first. */
  *slots(): Generator<number, void> {
    for (const head of [MAIN, WINDOW])
      for (let slot = this.#next[head]!; slot !== head; slot = this.#next[slot]!) yield slot;
  }

  #victim(incoming: number): number {
    const isWindowFull =
      this.#windowCount > 0 &&
      (this.#bound === "bytes"
        ? this.#windowBytes + incoming > this.#share * (this.#bytes + incoming)
        : this.#windowCount >= Math.max(1, Math.round(this.#share * this.#count)));
    if (!isWindowFull && this.#count > this.#windowCount) return this.#oldestOfMain();
    const candidate = this.#oldestOfWindow();
    if (this.#count === this.#windowCount) return candidate;
    const victim = this.#oldestOfMain();
    if (!this.#isAdmitted(candidate, victim)) return candidate;
    this.#move(candidate);
    return victim;
  }

  /** Equal frequencies lose: admitting them would let a scan through. */
  #isAdmitted(candidate: number, victim: number): boolean {
    const frequency = this.#sketch.estimate(this.hashes[candidate]!);
    if (frequency > this.#sketch.estimate(this.hashes[victim]!)) return true;
    // Else keys that collide with a hot one could hold their places forever.
    return frequency >= WARM && this.#isOneIn128();
  }

  #isOneIn128(): boolean {
    this.#random = (Math.imul(this.#random, 1_103_515_245) + 12_345) | 0;
    return ((this.#random >>> 16) & 127) === 0;
  }

  #oldestOfWindow(): number {
    for (let step = 0; step < MOST_STEPS; step += 1) {
      const slot = this.#next[WINDOW]!;
      if (this.#lives(slot) === 0) return slot;
      this.states[slot]! &= ~LIVES;
      this.#toTail(slot);
    }
    return this.#next[WINDOW]!;
  }

  #oldestOfMain(): number {
    for (let step = 0; step < MOST_STEPS; step += 1) {
      const slot = this.#next[MAIN]!;
      if (this.#lives(slot) === 0) return slot;
      this.states[slot]! -= LIFE;
      this.#toTail(slot);
    }
    return this.#next[MAIN]!;
  }

  /** Makes hits since the last look count, in the sketch and as lives. Returns the lives, not 0 if there are any. */
  #lives(slot: number): number {
    const state = this.states[slot]!;
    const hits = state & HITS;
    if (hits === 0) return state & LIVES;
    this.#sketch.add(this.hashes[slot]!, hits);
    const lives = Math.min(MOST_LIVES, (state & LIVES) / LIFE + hits) * LIFE;
    this.states[slot] = (state & (IN_MAIN | SAMPLED)) | lives;
    return lives;
  }

  /** Moves slots between the lists until the window has its share, some with each admission. */
  #settle(): void {
    for (let moves = 0; moves < MOST_MOVES; moves += 1) {
      const oldest = this.#next[WINDOW]!;
      if (this.#isTooMuch(oldest)) this.#move(oldest);
      else if (this.#isWidening && this.#count > this.#windowCount && !this.#hasItsShare())
        this.#move(this.#next[MAIN]!);
      else {
        this.#isWidening = false;
        return;
      }
    }
  }

  /** Whether the window has its share also without `slot`. */
  #isTooMuch(slot: number): boolean {
    return this.#bound === "bytes"
      ? this.#windowCount > 1 && this.#windowBytes - this.#sizes[slot]! >= this.#share * this.#bytes
      : this.#windowCount > Math.max(1, Math.round(this.#share * this.#count));
  }

  #hasItsShare(): boolean {
    return this.#bound === "bytes"
      ? this.#windowBytes >= this.#share * this.#bytes
      : this.#windowCount >= Math.round(this.#share * this.#count);
  }

  /** To the tail of the other list. */
  #move(slot: number): void {
    this.#unlink(slot);
    this.states[slot]! ^= IN_MAIN;
    this.#link(slot);
  }

  #toTail(slot: number): void {
    this.#unlink(slot);
    this.#link(slot);
  }

  #link(slot: number): void {
    const head = (this.states[slot]! & IN_MAIN) === 0 ? WINDOW : MAIN;
    const last = this.#previous[head]!;
    this.#next[last] = slot;
    this.#previous[slot] = last;
    this.#next[slot] = head;
    this.#previous[head] = slot;
    this.#tally(slot, 1);
  }

  #unlink(slot: number): void {
    const before = this.#previous[slot]!;
    const after = this.#next[slot]!;
    this.#next[before] = after;
    this.#previous[after] = before;
    this.#tally(slot, -1);
  }

  #tally(slot: number, sign: 1 | -1): void {
    const bytes = sign * this.#sizes[slot]!;
    this.#count += sign;
    this.#bytes += bytes;
    if ((this.states[slot]! & IN_MAIN) !== 0) return;
    this.#windowCount += sign;
    this.#windowBytes += bytes;
  }

  #take(): number {
    const free = this.#free;
    if (free !== NONE) {
      this.#free = this.#next[free]!;
      return free;
    }
    if (this.#end === this.states.length) this.#grow(Math.min(2 * this.states.length, this.#most));
    this.#end += 1;
    return this.#end - 1;
  }

  #grow(slots: number): void {
    this.states = copied(new Uint8Array(slots), this.states);
    this.hashes = copied(new Uint32Array(slots), this.hashes);
    this.#next = copied(new Uint32Array(slots), this.#next);
    this.#previous = copied(new Uint32Array(slots), this.#previous);
    this.#sizes = copied(new Float64Array(slots), this.#sizes);
  }
}

function copied<T extends Uint8Array | Uint32Array | Float64Array>(to: T, from: T): T {
  to.set(from);
  return to;
}
