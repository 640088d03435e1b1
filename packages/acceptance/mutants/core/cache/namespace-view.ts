import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "life: a closed cache takes calls",
    promises: ["C117"],
    rule: "if (!isOpen(context))\n      throw",
    broken: "if (false) throw",
  },
  {
    name: "life: a closed cache answers from memory",
    promises: ["C117"],
    rule: "isPlainHit(namespace.policy, options) &&\n        isOpen(context)",
    broken: "isPlainHit(namespace.policy, options)",
  },
  {
    name: "life: a load under way is refused its calls when close is called",
    promises: ["C117"],
    rule: "|| (!context.lifecycle.isOver && isLoading(context))",
    broken: "",
  },
];
