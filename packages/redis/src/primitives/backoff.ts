export interface Backoff {
  readonly baseMs: number;
  readonly factor: number;
  readonly maxMs: number;
}

/**
 * How long to wait before the next attempt: anything in [0, min(max, base * factor ** failures)],
 * so that processes that lost the same server do not come back together.
 *
 * @param failures attempts that failed in a row.
 * @param random in [0, 1).
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ "full jitter"
 */
export const backoffMs = (backoff: Backoff, failures: number, random: number): number =>
  random * Math.min(backoff.maxMs, backoff.baseMs * backoff.factor ** failures);
