import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "broken tiers: names of parts that throw end the call",
    promises: ["C348"],
    rule: "threw(error);\n        return [];",
    broken: "throw error;",
  },
  {
    name: "broken tiers: the part of a key that throws ends the call",
    promises: ["C348"],
    rule: 'threw(error);\n        return "";',
    broken: "throw error;",
  },
];
