import type { Cache, EntryOptions } from "hotset";

/** Longer than a render. */
const FLIGHT_MS = 60_000;
/** Next waits for the write before it answers, */
const PATIENCE_MS = 300;
/** and for the read before it renders. */
const BEGIN_MS = 50;

interface Flight {
  readonly give: (value: unknown, options: EntryOptions) => void;
  readonly done: Promise<unknown>;
}

/**
 * Next reads, renders, and then writes. A value that was invalidated in between must not be stored: the read begins a
 * load of the cache, and the write ends it.
 */
export class Fence {
  readonly #cache: Cache;
  readonly #flights = new Map<string, Flight>();

  constructor(cache: Cache) {
    this.#cache = cache;
  }

  /** Before the value is computed. @param isRefresh whether an older value is there. */
  async begin(key: string, isRefresh: boolean): Promise<void> {
    if (this.#flights.has(key)) return;
    const begun = Promise.withResolvers<void>();
    const given = Promise.withResolvers<{ value: unknown; options: EntryOptions } | undefined>();
    const timer = setTimeout(() => given.resolve(undefined), FLIGHT_MS - 1_000).unref();
    const load = this.#cache.getOrSet<unknown>(
      key,
      async (ctx) => {
        begun.resolve();
        ctx.signal.addEventListener("abort", () => given.resolve(undefined));
        const found = await given.promise;
        if (found === undefined) return undefined;
        ctx.setOptions(found.options);
        return found.value;
      },
      { forceRefresh: isRefresh, staleWhileRevalidate: 0, staleIfError: 0, loadTimeout: FLIGHT_MS, errorBackoff: 1 },
    );
    const flight: Flight = {
      give(value, options) {
        clearTimeout(timer);
        given.resolve({ value, options });
      },
      done: load
        .catch(() => undefined) // reported by the cache
        .finally(() => {
          if (this.#flights.get(key) === flight) this.#flights.delete(key);
        }),
    };
    this.#flights.set(key, flight);
    // Where another process has the lease, this load has not begun.
    await soon(Promise.race([begun.promise, flight.done]), BEGIN_MS);
  }

  /** Stores the value, unless it was invalidated since {@link begin}. */
  async store(key: string, value: {} | null, options: EntryOptions): Promise<void> {
    const flight = this.#flights.get(key);
    if (flight === undefined) return void (await this.#cache.set(key, value, options));
    this.#flights.delete(key);
    flight.give(value, options);
    // Another process has the lease, and its render may have failed.
    if (!(await soon(flight.done, PATIENCE_MS))) await this.#cache.set(key, value, options);
  }
}

async function soon(done: Promise<unknown>, withinMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, withinMs, false);
  });
  const isDone = await Promise.race([done.then(() => true), patience]);
  clearTimeout(timer);
  return isDone;
}
