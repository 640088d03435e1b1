/**
 * Whether the next read of a namespace is taken to find nothing, as most of late have: then the lease is asked for
 * without it. A guess that is right spares two commands and a trip; one that is wrong costs six commands.
 *
 * Right guesses that use the whole window double it. A wrong one ends guessing until more reads have found nothing: so
 * a burst of hits after misses costs a few guesses, and not one for each of them.
 */
export class Guesses {
  /** How many reads in a row have found nothing, about. */
  #score = 0;
  /** How many guesses may be under way, and are. */
  #window = 1;
  #open = 0;

  /** Whether to guess now. */
  get isLikely(): boolean {
    return this.#score >= EXPECTED && this.#open < this.#window;
  }

  /** To be followed by {@link ended}. */
  begins(): void {
    this.#open += 1;
  }

  /** @param isRight `undefined` where that is not known. A guess that failed was wrong. */
  ended(isRight: boolean | undefined): void {
    if (isRight === true && this.#open === this.#window) this.#window *= 2;
    this.#open -= 1;
    if (isRight !== undefined) this.read(isRight);
    if (isRight === false) {
      this.#window = 1;
      this.#score = Math.min(this.#score, EXPECTED - FOUND);
    }
  }

  /** A read was answered. */
  read(isMissing: boolean): void {
    this.#score = isMissing ? Math.min(this.#score + 1, SURE) : Math.max(this.#score - FOUND, 0);
  }
}

/** From here on a miss is expected: guesses pay where fewer than one read in six finds an entry. */
const EXPECTED = 12;
const SURE = 16;
const FOUND = 4;
