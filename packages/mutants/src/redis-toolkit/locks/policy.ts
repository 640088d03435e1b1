import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "lock: clocks do not differ",
    promises: ["A65"],
    rule: "Math.ceil(ttlMs / 100) + 2",
    broken: "ttlMs - ttlMs",
  },
];
