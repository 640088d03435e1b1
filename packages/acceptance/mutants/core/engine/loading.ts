import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "joining: async work left behind by a loader counts as the loader",
    promises: ["C50"],
    rule: "!each.isOver &&\n      each.owner",
    broken: "each.owner",
  },
];
