import type { NotStored } from "../semantics/storing.ts";

/** How one request was answered. */
export interface AnswerEvent {
  readonly outcome: "hit" | "stale" | "revalidated" | "miss" | "collapsed" | "pass";
  readonly status: number;
  /** The name of the rule that matched. */
  readonly rule: string | undefined;
  /** Why the response of the origin was not stored. */
  readonly notStored?: NotStored | undefined;
  readonly durationMs: number;
}

/** Counts of answers since the cache was made. */
export interface HttpCacheStats {
  readonly hits: number;
  readonly stale: number;
  readonly revalidated: number;
  readonly misses: number;
  readonly collapsed: number;
  /** Answers of the origin that were not stored, by reason. */
  readonly passed: Readonly<Partial<Record<NotStored | "request", number>>>;
  readonly bytesFromCache: number;
  readonly bytesFromOrigin: number;
}

/** Counts answers, and reports them. */
export class Meter {
  readonly #counts = { hit: 0, stale: 0, revalidated: 0, miss: 0, collapsed: 0, pass: 0 };
  readonly #passed: Partial<Record<NotStored | "request", number>> = {};
  readonly #listeners = new Set<(event: AnswerEvent) => void>();
  bytesFromCache = 0;
  bytesFromOrigin = 0;

  report(event: AnswerEvent): void {
    this.#counts[event.outcome] += 1;
    if (event.notStored !== undefined || event.outcome === "pass") {
      const reason = event.notStored ?? "request";
      this.#passed[reason] = (this.#passed[reason] ?? 0) + 1;
    }
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch {
        // A listener that fails changes no answer.
      }
    }
  }

  on(listener: (event: AnswerEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  stats(): HttpCacheStats {
    const { hit, stale, revalidated, miss, collapsed } = this.#counts;
    return {
      hits: hit,
      stale,
      revalidated,
      misses: miss,
      collapsed,
      passed: { ...this.#passed },
      bytesFromCache: this.bytesFromCache,
      bytesFromOrigin: this.bytesFromOrigin,
    };
  }
}
