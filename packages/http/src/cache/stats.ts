import type { Clock } from "@hotset/core";
import { notify } from "@hotset/core/internal";
import type { NotStored } from "../semantics/storing.ts";

/** How one request was answered. */
export interface AnswerEvent {
  /** `revalidated`: the origin said 304; `collapsed`: the response of another request's load; `pass`: forwarded. */
  readonly outcome: "hit" | "stale" | "revalidated" | "miss" | "collapsed" | "pass";
  /** Status code of the answer. */
  readonly status: number;
  /** The name of the rule that matched. */
  readonly rule: string | undefined;
  /** Why the response of the origin was not stored. */
  readonly notStored?: NotStored | undefined;
  /** Until the head of the answer. */
  readonly durationMs: number;
}

/** Counts of answers since the cache was made. */
export interface HttpCacheStats {
  /** Answers from the cache, fresh. */
  readonly hits: number;
  /** Answers from the cache, stale. */
  readonly stale: number;
  /** Answers from the cache after a 304. */
  readonly revalidated: number;
  /** Answers of the origin that were stored. */
  readonly misses: number;
  /** Answers by the load of another request. */
  readonly collapsed: number;
  /** Answers of the origin that were not stored, by reason. */
  readonly passed: Readonly<Partial<Record<NotStored | "request", number>>>;
  /** Bytes of bodies. */
  readonly bytesFromCache: number;
  /** Bytes of bodies. */
  readonly bytesFromOrigin: number;
}

/** Counts answers, and reports them. */
export class Meter {
  readonly #counts = { hit: 0, stale: 0, revalidated: 0, miss: 0, collapsed: 0, pass: 0 };
  readonly #passed: Partial<Record<NotStored | "request", number>> = {};
  readonly #listeners = new Set<(event: AnswerEvent) => void>();
  readonly #clock: Clock;
  bytesFromCache = 0;
  bytesFromOrigin = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A request that came at `startedAt` has its answer. */
  answered(
    outcome: AnswerEvent["outcome"],
    { rule, startedAt }: { readonly rule: { readonly name?: string | undefined }; readonly startedAt: number },
    status: number,
    notStored?: NotStored,
  ): void {
    const event = { outcome, status, rule: rule.name, durationMs: this.#clock.now() - startedAt, notStored };
    this.#counts[outcome] += 1;
    if (notStored !== undefined || outcome === "pass") {
      const reason = notStored ?? "request";
      this.#passed[reason] = (this.#passed[reason] ?? 0) + 1;
    }
    for (const listener of this.#listeners) notify(listener, event);
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
