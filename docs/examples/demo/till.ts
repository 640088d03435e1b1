import type { Price } from "./catalogue.ts";

/** How long another process may lag behind an acknowledged change: the default of `maxStaleness`. */
export const MAX_STALENESS_MS = 2_000;

/** A change that was acknowledged to its caller. */
interface Done {
  /** Infinity for a product that was removed: no version is new enough. */
  readonly version: number;
  /** Index of the process it was made through. */
  readonly through: number;
  /** `performance.now()` of the answer. */
  readonly at: number;
  /** When all other processes must show it; `Infinity` while it is pending. */
  bindsOthersAt: number;
}

/** The requests to the shop, and whether each answer was allowed. */
export class Till {
  /** Requests, by process. */
  readonly answers: number[];
  failed = 0;
  /** The first few reasons. */
  readonly failures: string[] = [];
  /** Answers with a price after the process had to know that the product was removed. */
  servedDeleted = 0;
  /** Answers with a price older than the process had to know. */
  servedOlder = 0;
  readonly #durations: number[] = [];
  #longestMs = 0;
  readonly #done = new Map<string, Done[]>();
  readonly #leaving = new Set<string>();

  constructor(processes: number) {
    this.answers = Array.from({ length: processes }, () => 0);
  }

  get requests(): number {
    return this.failed + this.answers.reduce((sum, count) => sum + count, 0);
  }

  /** The time within which this share of requests was answered, in milliseconds. */
  percentile(share: number): number {
    const sorted = [...this.#durations].sort((one, other) => one - other);
    return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? NaN;
  }

  /** @returns the longest time that an answer took since the last call, in milliseconds. */
  watch(): number {
    const longestMs = this.#longestMs;
    this.#longestMs = 0;
    return longestMs;
  }

  /** The product is about to be removed: from now on an answer without it is allowed. */
  leaves(product: string): void {
    this.#leaving.add(product);
  }

  /** A caller got the acknowledgement of this change. @param version `undefined` if the product was removed. */
  done(product: string, version: number | undefined, through: number, isPending: boolean): void {
    const at = performance.now();
    const known = this.#done.get(product) ?? [];
    known.push({
      version: version ?? Infinity,
      through,
      at,
      bindsOthersAt: isPending ? Infinity : at + MAX_STALENESS_MS,
    });
    this.#done.set(product, known);
  }

  /** Pending changes have reached Redis. */
  settled(): void {
    const now = performance.now();
    for (const all of this.#done.values())
      for (const each of all) each.bindsOthersAt = Math.min(each.bindsOthersAt, now + MAX_STALENESS_MS);
  }

  /** An answer of one process to a request sent at `askedAt`: `undefined` for a product that is not sold. */
  answered(process: number, product: string, price: Price | undefined, askedAt: number): void {
    this.answers[process]! += 1;
    const tookMs = performance.now() - askedAt;
    this.#durations.push(tookMs);
    this.#longestMs = Math.max(this.#longestMs, tookMs);
    const done = this.#done.get(product) ?? [];
    if (price === undefined) {
      if (!this.#leaving.has(product)) this.failedWith(`${product}: was not found, though it is sold`);
      return;
    }
    const mustKnow = done.filter(
      ({ through, at, bindsOthersAt }) => askedAt > (through === process ? at : bindsOthersAt),
    );
    if (mustKnow.some(({ version }) => version === Infinity)) this.servedDeleted += 1;
    else if (mustKnow.some(({ version }) => version > price.version)) this.servedOlder += 1;
  }

  failedWith(reason: string): void {
    this.failed += 1;
    if (this.failures.length < MAX_REASONS) this.failures.push(reason);
  }
}

const MAX_REASONS = 5;
