import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "otel: values are still read when the observation has ended",
    promises: ["C285"],
    rule: "for (const remove of this.#removals) remove();",
    broken: "",
  },
  {
    name: "otel: a histogram has the buckets of the SDK",
    promises: ["C285"],
    rule: "const advice = { explicitBucketBoundaries: [...buckets] };",
    broken: "const advice = {};",
  },
];
