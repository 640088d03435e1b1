import { setImmediate as turn } from "node:timers/promises";

/** Durations of calls at a fixed rate. */
export interface RateRun {
  /** One for each call in milliseconds, from the moment at which it was due. */
  readonly latencies: Float64Array;
  /** Until the last answer. */
  readonly elapsedMs: number;
}

/**
 * Begins `perSecond` calls a second for `ms`, at least one, and waits for all. Each counts from the moment at which it
 * was due, also where the process was too busy to begin it: a slow answer cannot hide the ones behind it.
 *
 * Nothing is kept of a call but its latency. To move 100,000 promises takes the collector milliseconds, which would
 * count as the latency of calls.
 *
 * @throws the first error of a call.
 */
export async function atRate(perSecond: number, ms: number, call: (i: number) => Promise<unknown>): Promise<RateRun> {
  const count = Math.max(1, Math.round((perSecond * ms) / 1_000));
  const latencies = new Float64Array(count);
  const { promise: all, resolve, reject } = Promise.withResolvers<void>();
  let answered = 0;
  const timed = async (i: number, dueAt: number): Promise<void> => {
    await call(i);
    latencies[answered++] = performance.now() - dueAt;
    if (answered === count) resolve();
  };
  const startedAt = performance.now();
  for (let i = 0; i < count; await turn()) {
    const due = Math.min(count, Math.floor(((performance.now() - startedAt) * perSecond) / 1_000));
    for (; i < due; i += 1) timed(i, startedAt + (i * 1_000) / perSecond).catch(reject);
  }
  await all;
  return { latencies, elapsedMs: performance.now() - startedAt };
}
