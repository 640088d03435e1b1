import type { Cache, Fence, SetOptions } from "hotset";

/** A visitor waits for a fence before the render, and for a write behind it, for no longer than this. */
const BEGIN_MS = 100;
const STORE_MS = 300;
/** A fence of the cache stands for five minutes. */
const STANDS_MS = 240_000;
const MOST = 10_000;

interface Taken {
  readonly at: number;
  readonly fence: Promise<Fence | undefined>;
}

/** Next reads, renders, and then writes: a value that was invalidated in between is not stored. */
export class Fences {
  readonly #cache: Cache;
  /** By key, oldest first: those of renders that failed stay. */
  readonly #taken = new Map<string, Taken>();

  constructor(cache: Cache) {
    this.#cache = cache;
  }

  /** Before the value is computed. */
  async begin(key: string): Promise<void> {
    let taken = this.#taken.get(key);
    if (taken === undefined || Date.now() - taken.at > STANDS_MS) {
      // Without a fence, the value is stored as of its write.
      taken = { at: Date.now(), fence: this.#cache.fence(key).catch(() => undefined) };
      this.#taken.delete(key);
      this.#taken.set(key, taken);
      if (this.#taken.size > MOST) this.#taken.delete(this.#taken.keys().next().value!);
    }
    await soon(taken.fence, BEGIN_MS);
  }

  /** Stores the value, unless it was invalidated since {@link begin}. */
  async store(key: string, value: {} | null, options: SetOptions): Promise<void> {
    const since = await this.#taken.get(key)?.fence;
    this.#taken.delete(key);
    await soon(this.#cache.set(key, value, { ...options, since }), STORE_MS);
  }
}

async function soon(done: Promise<unknown>, withinMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise((resolve) => {
    timer = setTimeout(resolve, withinMs);
  });
  await Promise.race([done, patience]).finally(() => clearTimeout(timer));
}
