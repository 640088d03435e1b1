import type { CacheStats } from "hotset";
import type { Outcome } from "./cache-status.ts";
import type { PackageFacts } from "./package-facts.ts";

export interface Latencies {
  readonly count: number;
  /** `NaN` without any. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** The answers that the clients got, and the counts of the caches meanwhile. */
export class Ledger {
  /** The first few, in words. */
  readonly failures: string[] = [];
  failed = 0;
  readonly #durations: Readonly<Record<Outcome, number[]>> = { memory: [], store: [], stale: [], miss: [] };
  readonly #hits = new Map<string, number>();
  readonly #loads = new Map<string, { count: number; totalMs: number }>();
  readonly #digests = new Map<string, string>();
  readonly #counted = { hits: 0, staleHits: 0, misses: 0, loads: 0 };

  /**
   * An answer with status 200, as it arrived after `durationMs`. Two answers of one name and version must be the same.
   */
  answered(name: string, facts: PackageFacts, outcome: Outcome, durationMs: number): void {
    const id = `${name}@${facts.version}`;
    const known = this.#digests.get(id);
    if (known !== undefined && known !== facts.sha256) {
      this.failedWith(`${id}: has been answered with two different sets of facts`);
      return;
    }
    this.#digests.set(id, facts.sha256);
    this.#durations[outcome].push(durationMs);
    if (outcome === "memory" || outcome === "store") this.#hits.set(name, (this.#hits.get(name) ?? 0) + 1);
  }

  failedWith(reason: string): void {
    this.failed += 1;
    if (this.failures.length < MAX_REASONS) this.failures.push(reason);
  }

  /** One load of a cache, as its `load` event reports it. */
  loaded(name: string, durationMs: number): void {
    const load = this.#loads.get(name) ?? { count: 0, totalMs: 0 };
    this.#loads.set(name, { count: load.count + 1, totalMs: load.totalMs + durationMs });
  }

  /** The counts of a cache that has ended. */
  closed({ hits, staleHits, misses, loads }: CacheStats): void {
    this.#counted.hits += hits;
    this.#counted.staleHits += staleHits;
    this.#counted.misses += misses;
    this.#counted.loads += loads;
  }

  get requests(): number {
    return this.failed + Object.values(this.#durations).reduce((sum, { length }) => sum + length, 0);
  }

  /** Fresh answers of either tier among all requests, in [0, 1]. */
  get hitRatio(): number {
    return (this.count("memory") + this.count("store")) / this.requests;
  }

  count(outcome: Outcome): number {
    return this.#durations[outcome].length;
  }

  /** Loads that the cache events have reported so far. */
  get loadsSoFar(): number {
    return [...this.#loads.values()].reduce((sum, { count }) => sum + count, 0);
  }

  /** The caches' own counts. */
  get counted(): Readonly<Record<"hits" | "staleHits" | "misses" | "loads", number>> {
    return this.#counted;
  }

  /** Names that were loaded at least once. */
  get keys(): number {
    return this.#loads.size;
  }

  get meanLoadMs(): number {
    return [...this.#loads.values()].reduce((sum, { totalMs }) => sum + totalMs, 0) / this.loadsSoFar;
  }

  /** How long the callers of all fresh hits would have waited for a load: hits times the mean load of the same name. */
  get savedMs(): number {
    return [...this.#hits].reduce((sum, [name, hits]) => {
      const load = this.#loads.get(name);
      return load === undefined ? sum : sum + hits * (load.totalMs / load.count);
    }, 0);
  }

  latencies(...outcomes: readonly Outcome[]): Latencies {
    const sorted = outcomes.flatMap((outcome) => this.#durations[outcome]).sort((one, other) => one - other);
    const rank = (share: number): number => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? NaN;
    return { count: sorted.length, p50Ms: rank(0.5), p99Ms: rank(0.99) };
  }
}

const MAX_REASONS = 5;
