import type { Cache } from "@hotset/core";

/** One instant of a cache: rates since the sample before. */
export interface Sample {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly calls: number;
  /** Share of the calls that were answered with a stored value; `null` without calls. */
  readonly hitRatio: number | null;
  readonly stale: number;
  readonly loads: number;
  readonly loadErrors: number;
}

/** Between two samples. */
export const SAMPLE_MS = 2_000;
/** Ten minutes. */
const KEPT = 300;

type Counts = Record<"hits" | "stale" | "misses" | "loads" | "loadErrors", number>;

/** Rates of one cache, from its counters, so that a page that is opened during an incident shows its beginning. */
export class History {
  readonly #cache: Cache;
  readonly #samples: Sample[] = [];
  #last: { readonly at: number; readonly counts: Counts };

  constructor(cache: Cache, now: number) {
    this.#cache = cache;
    this.#last = { at: now, counts: countsOf(cache) };
  }

  /** Oldest first. */
  get samples(): readonly Sample[] {
    return this.#samples;
  }

  sample(now: number): void {
    const seconds = (now - this.#last.at) / 1_000;
    // A clock that was set back, or a process that was suspended.
    if (seconds <= 0) return;
    const counts = countsOf(this.#cache);
    const since = (name: keyof Counts): number => counts[name] - this.#last.counts[name];
    const rate = (count: number): number => Math.round((10 * count) / seconds) / 10;
    const calls = since("hits") + since("stale") + since("misses");
    this.#samples.push({
      at: now,
      calls: rate(calls),
      hitRatio: calls === 0 ? null : Math.round((1_000 * (calls - since("misses"))) / calls) / 1_000,
      stale: rate(since("stale")),
      loads: rate(since("loads")),
      loadErrors: rate(since("loadErrors")),
    });
    if (this.#samples.length > KEPT) this.#samples.shift();
    this.#last = { at: now, counts };
  }
}

function countsOf(cache: Cache): Counts {
  const { hits, staleHits: stale, misses, loads, loadErrors } = cache.stats();
  return { hits, stale, misses, loads, loadErrors };
}
