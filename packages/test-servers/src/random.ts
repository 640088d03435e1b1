/** mulberry32: the same seed gives the same numbers everywhere. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number in [0, bound). */
  below(bound: number): number {
    return Math.floor(this.fraction() * bound);
  }

  /** In [0, 1). */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  one<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  /** True once in `times`. */
  oneIn(times: number): boolean {
    return this.below(times) === 0;
  }

  /** The wait until the next of events that come every `meanMs` on average, independently of one another. */
  gap(meanMs: number): number {
    return -Math.log(1 - this.fraction()) * meanMs;
  }

  /**
   * Another sequence, which draws nothing from this one: an addition to one part of a plan leaves the others as they
   * are.
   */
  fork(salt: number): Random {
    return new Random(Math.imul(this.#state ^ (salt * 0x9e3779b9), 0x85ebca6b) ^ salt);
  }
}
