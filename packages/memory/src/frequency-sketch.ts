const COUNTER_BITS = 4;
const MOST = 15;
const WORDS_PER_BLOCK = 16;
/** Additions between two ageings, for each key of the capacity. */
const ADDITIONS_PER_KEY = 10;
/** Words that one addition ages: half a microsecond. */
const AGED_AT_ONCE = 1_024;

/**
 * Estimates how often each hash was added of late, from 0 to 15: a count-min sketch of 4-bit counters.
 *
 * - An estimate is never less than the additions since the last ageing (at most 15); other keys may raise it.
 * - The four counters of a key lie in one block of 64 bytes, so an estimate touches one line of the processor's cache.
 * - After ten additions for each key of the capacity all counters are halved, so what was popular once is forgotten. A
 *   large table is halved in slices, one with each of the following additions, and not in one pause.
 * - Takes 8 to 16 bytes for each key of the capacity, however much is added.
 *
 * @see G. Cormode and S. Muthukrishnan, An Improved Data Stream Summary: The Count-Min Sketch (2005)
 * @see G. Einziger, R. Friedman and B. Manes, TinyLFU (2017), for the ageing
 * @see Caffeine, FrequencySketch, for the blocks
 */
export class FrequencySketch {
  readonly #words: Int32Array;
  readonly #blockMask: number;
  readonly #additionsPerAge: number;
  #additions = 0;
  /** The next word to be aged; the length of the table while none is. */
  #agedTo: number;

  /** @param capacity the number of keys to distinguish. */
  constructor(capacity: number) {
    const words = Math.max(WORDS_PER_BLOCK, 2 * 2 ** Math.ceil(Math.log2(capacity)));
    this.#words = new Int32Array(words);
    this.#blockMask = words / WORDS_PER_BLOCK - 1;
    this.#additionsPerAge = Math.max(80, ADDITIONS_PER_KEY * capacity);
    this.#agedTo = words;
  }

  estimate(hash: number): number {
    const block = (hash & this.#blockMask) * WORDS_PER_BLOCK;
    const mixed = mix(hash);
    let least = MOST;
    for (let row = 0; row < 4; row += 1) {
      const bits = mixed >>> (row * 8);
      const count = (this.#words[wordIn(block, row, bits)]! >>> shiftOf(bits)) & MOST;
      if (count < least) least = count;
    }
    return least;
  }

  add(hash: number, times: number): void {
    const block = (hash & this.#blockMask) * WORDS_PER_BLOCK;
    const mixed = mix(hash);
    let raised = 0;
    for (let row = 0; row < 4; row += 1) {
      const bits = mixed >>> (row * 8);
      const word = wordIn(block, row, bits);
      const shift = shiftOf(bits);
      const by = Math.min(times, MOST - ((this.#words[word]! >>> shift) & MOST));
      this.#words[word]! += by << shift;
      if (by > raised) raised = by;
    }
    this.#count(raised);
  }

  #count(raised: number): void {
    this.#additions += raised;
    if (this.#additions >= this.#additionsPerAge) {
      this.#additions = Math.floor(this.#additions / 2);
      this.#agedTo = 0;
    }
    if (this.#agedTo < this.#words.length) this.#ageSlice();
  }

  #ageSlice(): void {
    const words = this.#words;
    const end = Math.min(words.length, this.#agedTo + AGED_AT_ONCE);
    // Halves eight counters at a time: the mask drops each bit that was shifted into the counter below.
    for (let word = this.#agedTo; word < end; word += 1) words[word] = (words[word]! >>> 1) & 0x77777777;
    this.#agedTo = end;
  }
}

const mix = (hash: number): number => Math.imul(hash, 0x9e3779b1);

/** Each of the four rows has four words of the block, of eight counters each. */
const wordIn = (block: number, row: number, bits: number): number => block + row * 4 + ((bits >>> 3) & 3);

const shiftOf = (bits: number): number => (bits & 7) * COUNTER_BITS;
