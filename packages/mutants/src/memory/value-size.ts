import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "memory: an object for which none is left counts as nothing",
    promises: ["C390"],
    rule: "if (all === 0) return LEFT_OUT;",
    broken: "if (all === 0) return 0;",
  },
  {
    name: "memory: the first children use up the objects",
    promises: ["C390"],
    rule: "Math.min(all, Math.max(FEWEST_OBJECTS, Math.ceil(all / siblings)))",
    broken: "all",
  },
];
