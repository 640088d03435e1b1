import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "joining: what a loader left behind is taken for the loader",
    promises: ["C50"],
    rule: "!each.isOver &&\n      each.owner",
    broken: "each.owner",
  },
];
