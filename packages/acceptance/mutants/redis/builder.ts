import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a prefix lies inside another",
    promises: ["C146"],
    rule: "if (/[:~]/.test(keyPrefix))",
    broken: "if (false)",
  },
];
