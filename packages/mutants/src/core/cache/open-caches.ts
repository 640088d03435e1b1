import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "open caches: those that were closed count",
    promises: ["C460"],
    rule: "    count.open -= 1;\n",
    broken: "",
  },
  {
    name: "open caches: each further one is a warning",
    promises: ["C460"],
    rule: "    count.isWarned = true;\n",
    broken: "",
  },
];
