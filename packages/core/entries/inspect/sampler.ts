import type { EngineContext, KeySpace } from "@hotset/core/internal";
import type { Place } from "./place.ts";

/**
 * Which keys are hit, from one of `every` hits on average: a hit costs one subtraction. The distance to the next one is random,
 * since calls may come in a rhythm. Bounded: when there are too many keys, the counts of all are halved, and those of 0
 * go.
 */
export class Sampler {
  readonly #localKey: (space: KeySpace, key: string) => string;
  readonly #limit: number;
  readonly #every: number;
  readonly #counts = new Map<string, number>();
  #left = 1;

  constructor(localKey: (space: KeySpace, key: string) => string, limit: number, every = 64) {
    this.#every = every;
    this.#localKey = localKey;
    this.#limit = limit;
  }

  readonly onHit: NonNullable<EngineContext["onHit"]> = (space, key) => {
    this.#left -= 1;
    if (this.#left > 0) return;
    this.#left = 1 + Math.floor(Math.random() * (2 * this.#every - 1));
    const local = this.#localKey(space, key);
    this.#counts.set(local, (this.#counts.get(local) ?? 0) + 1);
    if (this.#counts.size > this.#limit) this.#halve();
  };

  /** An estimate, from the samples. */
  hitsOf(localKey: string): number {
    return (this.#counts.get(localKey) ?? 0) * this.#every;
  }

  /** The keys with most samples since they were last halved, and their hits as estimated. */
  hottest(most: number): readonly (readonly [localKey: string, hits: number])[] {
    return [...this.#counts]
      .toSorted(([, one], [, other]) => other - one)
      .slice(0, most)
      .map(([key, count]) => [key, count * this.#every]);
  }

  /** What was popular once is forgotten. */
  halve(): void {
    this.#halve();
  }

  #halve(): void {
    for (const [key, count] of this.#counts)
      if (count === 1) this.#counts.delete(key);
      else this.#counts.set(key, count >> 1);
  }
}

/** The samplers of each cache: a hit calls one function. */
const samplers = new WeakMap<object, Set<Sampler>>();

/** @returns a function that ends the samples of this one. */
export function sampling({ parts: { context } }: Place, sampler: Sampler): () => void {
  const all = samplers.get(context) ?? new Set();
  samplers.set(context, all);
  const changed = (): void => {
    const calls = Array.from(all, ({ onHit }) => onHit);
    context.onHit = calls.length < 2 ? calls[0] : (space, key) => calls.forEach((call) => call(space, key));
  };
  all.add(sampler);
  changed();
  return () => {
    all.delete(sampler);
    changed();
  };
}
