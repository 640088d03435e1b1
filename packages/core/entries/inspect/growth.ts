import type { GrowingValue } from "./inspection.ts";

/** Smaller values are no burden. */
const LEAST_BYTES = 100_000;
const MOST_KEYS = 100;
const FEWEST_STORES = 5;
const TIMES = 2;

interface Size {
  readonly namespace: readonly string[];
  readonly key: string;
  readonly firstBytes: number;
  readonly firstAt: number;
  bytes: number;
  at: number;
  stores: number;
  /** Stores that were larger than the one before. */
  grown: number;
}

/** Sizes of large values, by key: a list to which each store adds is not larger than others at any one time. */
export class Growth {
  readonly #sizes = new Map<string, Size>();

  stored({ namespace, key }: Pick<Size, "namespace" | "key">, bytes: number, now: number): void {
    if (bytes < LEAST_BYTES) return;
    const id = JSON.stringify([namespace, key]);
    const known = this.#sizes.get(id);
    // A value that shrinks is begun again: what grows after that is something else.
    if (known === undefined || bytes < known.bytes / 2) {
      this.#sizes.set(id, { namespace, key, firstBytes: bytes, firstAt: now, bytes, at: now, stores: 1, grown: 0 });
      if (this.#sizes.size > MOST_KEYS) this.#forgetSmallest();
      return;
    }
    known.stores += 1;
    if (bytes > known.bytes) known.grown += 1;
    known.bytes = bytes;
    known.at = now;
  }

  /** The largest that grows with nearly every store, among those stored since then. */
  growing(since: number): { readonly growing?: GrowingValue } {
    const [largest] = [...this.#sizes.values()]
      .filter(({ at, stores, grown, bytes, firstBytes }) => {
        const isSteady = stores >= FEWEST_STORES && grown >= 0.8 * (stores - 1);
        return at >= since && isSteady && bytes >= TIMES * firstBytes;
      })
      .toSorted((one, other) => other.bytes - one.bytes);
    if (largest === undefined) return {};
    const { namespace, key, bytes, at, firstBytes, firstAt, stores } = largest;
    return { growing: { namespace, key, bytes, at, before: firstBytes, since: firstAt, stores } };
  }

  #forgetSmallest(): void {
    const [id] = [...this.#sizes].reduce((least, each) => (each[1].bytes < least[1].bytes ? each : least));
    this.#sizes.delete(id);
  }
}
