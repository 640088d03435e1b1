import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: a monitor needs no word",
    promises: ["A91"],
    rule: "if (options?.iKnowItHalvesThroughput !== true)",
    broken: "if (false)",
  },
];
