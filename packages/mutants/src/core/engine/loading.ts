import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "joining: async work left behind by a loader counts as the loader",
    promises: ["C50"],
    rule: "while (running?.isOver === true) running",
    broken: "while (false) running",
  },
  {
    name: "joining: a load keeps all loads that began one another before it",
    promises: ["C51"],
    rule: "for (let each = mine.outer; each !== undefined;) each = outerOf(each);",
    broken: "",
  },
];
