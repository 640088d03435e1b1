import type { EngineContext, KeySpace } from "@hotset/core/internal";

/** One of so many hits is noted, on average. */
const EVERY = 64;

/**
 * Which keys are hit, from one of about 64 hits: a hit costs one subtraction. The distance to the next one is random,
 * since calls may come in a rhythm. Bounded: when there are too many keys, the counts of all are halved, and those of 0
 * go.
 */
export class Sampler {
  readonly #localKey: (space: KeySpace, key: string) => string;
  readonly #limit: number;
  readonly #counts = new Map<string, number>();
  #left = 1;

  constructor(localKey: (space: KeySpace, key: string) => string, limit: number) {
    this.#localKey = localKey;
    this.#limit = limit;
  }

  readonly onHit: NonNullable<EngineContext["onHit"]> = (space, key) => {
    this.#left -= 1;
    if (this.#left > 0) return;
    this.#left = 1 + Math.floor(Math.random() * (2 * EVERY - 1));
    const local = this.#localKey(space, key);
    this.#counts.set(local, (this.#counts.get(local) ?? 0) + 1);
    if (this.#counts.size > this.#limit) this.#halve();
  };

  /** An estimate, from the samples. */
  hitsOf(localKey: string): number {
    return (this.#counts.get(localKey) ?? 0) * EVERY;
  }

  #halve(): void {
    for (const [key, count] of this.#counts)
      if (count === 1) this.#counts.delete(key);
      else this.#counts.set(key, count >> 1);
  }
}
