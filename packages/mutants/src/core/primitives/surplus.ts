import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "input: a further argument is ignored",
    promises: ["C458"],
    rule: "if (surplus.some((given) => given !== undefined))",
    broken: "if (surplus.length > 100)",
  },
];
