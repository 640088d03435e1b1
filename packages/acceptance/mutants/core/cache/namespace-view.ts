import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "life: a closed cache takes calls",
    promises: ["C117"],
    rule: "if (context.lifecycle.isClosed)\n      throw",
    broken: "if (false) throw",
  },
];
