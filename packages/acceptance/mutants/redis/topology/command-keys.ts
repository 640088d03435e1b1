import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a command of strings goes to any node of a cluster",
    promises: ["C310"],
    rule: 'case "EXISTS":',
    broken: 'case "EXISTS?":',
  },
];
