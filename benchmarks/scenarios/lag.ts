import { forkScript } from "@hotset/test-servers";
import type { CacheProcess } from "../processes/cache-process.ts";
import { inShort, percentile, type Conditions, type Figure, type Trial } from "../trial.ts";

const CACHE_PROCESS = new URL("../processes/cache-process.ts", import.meta.url);
const DELETES = 3_000;
const MAX_STALENESS_MS = 2_000;

/** From the call of `delete` in one process until the copy of another is gone, on idle processes. */
export const lagOfDeletes = ({ url }: Conditions): Trial => ({
  name: "lag of a delete",
  async run() {
    const figures: Figure[] = [];
    for (const coherence of ["tracking", "pubsub"] as const) {
      await using deleter = forkScript<CacheProcess>(CACHE_PROCESS);
      await using holder = forkScript<CacheProcess>(CACHE_PROCESS);
      await Promise.all(
        [deleter, holder].map((each) => each.call("open", { url, name: `lag-${coherence}`, coherence })),
      );
      await deleter.call("fill", "k", 0, DELETES + 200);
      await holder.call("hold", "k", 0, DELETES + 200);
      await holder.call("watch");
      // Warms up.
      await deleter.call("deleteEach", "k", DELETES, DELETES + 200, 1);
      const deleted = await deleter.call("deleteEach", "k", 0, DELETES, 1);
      const goneAt = await holder.call("invalidated");
      await Promise.all([deleter, holder].map((each) => each.call("close")));
      const lags = deleted.map(({ key, calledAt }) => (goneAt.get(key) ?? Infinity) - calledAt);
      const late = deleted.map(({ key, doneAt }) => (goneAt.get(key) ?? Infinity) - doneAt);
      const isDefault = coherence === "tracking";
      figures.push(
        {
          what: `${coherence}, p50`,
          unit: " ms",
          value: percentile(lags, 0.5),
          ...(isDefault && { atMost: 1 }),
          remark: `${DELETES} deletes; ${inShort(percentile(late, 0.5))} ms after the acknowledgement`,
        },
        { what: `${coherence}, p90`, unit: " ms", value: percentile(lags, 0.9) },
        { what: `${coherence}, p99`, unit: " ms", value: percentile(lags, 0.99), ...(isDefault && { atMost: 5 }) },
        {
          what: `${coherence}, longest`,
          unit: " ms",
          value: Math.max(...lags),
          atMost: MAX_STALENESS_MS,
          remark: histogram(lags),
        },
      );
    }
    return figures;
  },
});

const STEPS_MS = [0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 100, 1_000, Infinity];

function histogram(values: readonly number[]): string {
  return STEPS_MS.map(
    (step, i) =>
      [step, values.filter((value) => value < step && value >= (STEPS_MS[i - 1] ?? -Infinity)).length] as const,
  )
    .filter(([, count]) => count !== 0)
    .map(([step, count]) => `${step === Infinity ? "above" : `below ${step}`}: ${count}`)
    .join(", ");
}
