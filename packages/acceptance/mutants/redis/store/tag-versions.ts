import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: every parsed tag version is kept",
    promises: ["C80"],
    rule: "const MAX_PARSED = 1_000;",
    broken: "const MAX_PARSED = Infinity;",
  },
];
