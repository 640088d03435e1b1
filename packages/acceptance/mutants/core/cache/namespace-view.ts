import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "life: a closed cache takes calls",
    promises: ["C117"],
    rule: "if (core.isClosed)\n      throw",
    broken: "if (false) throw",
  },
  {
    name: "life: a closed cache answers from memory",
    promises: ["C117"],
    rule: "isPlainHit(space.policy, options) &&\n        !core.isClosed",
    broken: "isPlainHit(space.policy, options)",
  },
];
