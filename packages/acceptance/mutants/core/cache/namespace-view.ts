import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "life: a closed cache takes calls",
    promises: ["C117"],
    rule: "if (context.lifecycle.isClosed)\n      throw",
    broken: "if (false) throw",
  },
  {
    name: "events: a listener of a namespace receives all",
    promises: ["C207"],
    rule: "path.every((name, i) => namespace[i] === name)",
    broken: "path.every((name, i) => namespace[i] === name || true)",
  },
];
