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
  /** That began under this fence and have not stored yet. */
  renders: number;
  isUsed: boolean;
}

/** Next reads, renders, and then writes: a value that was invalidated in between is not stored. */
export class Fences {
  readonly #cache: Cache;
  /** By key, each with the oldest first: those of renders that failed stay for a while. */
  readonly #taken = new Map<string, Taken[]>();

  constructor(cache: Cache) {
    this.#cache = cache;
  }

  /** Before the value is computed. */
  async begin(key: string): Promise<void> {
    const now = Date.now();
    const open = (this.#taken.get(key) ?? []).filter(({ at }) => now - at <= STANDS_MS);
    let taken = open.at(-1);
    if (taken === undefined || taken.isUsed) {
      // Without a fence, the value is stored as of its write.
      taken = { at: now, fence: this.#cache.fence(key).catch(() => undefined), renders: 0, isUsed: false };
      open.push(taken);
    }
    taken.renders += 1;
    this.#taken.delete(key);
    this.#taken.set(key, open);
    if (this.#taken.size > MOST) this.#taken.delete(this.#taken.keys().next().value!);
    await soon(taken.fence, BEGIN_MS);
  }

  /**
   * Stores the value, unless it was invalidated since {@link begin}. Which render writes is not known, so it counts as
   * the oldest; of several under one fence the first is stored.
   */
  async store(key: string, value: {} | null, options: SetOptions): Promise<void> {
    const taken = this.#taken.get(key)?.[0];
    if (taken !== undefined) this.#end(key, taken);
    if (taken?.isUsed === true) return;
    if (taken !== undefined) taken.isUsed = true;
    const since = await taken?.fence;
    await soon(this.#cache.set(key, value, { ...options, since }), STORE_MS);
  }

  #end(key: string, taken: Taken): void {
    taken.renders -= 1;
    if (taken.renders > 0) return;
    const open = this.#taken.get(key)!;
    open.shift();
    if (open.length === 0) this.#taken.delete(key);
  }
}

async function soon(done: Promise<unknown>, withinMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise((resolve) => {
    timer = setTimeout(resolve, withinMs);
  });
  await Promise.race([done, patience]).finally(() => clearTimeout(timer));
}
