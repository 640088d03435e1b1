import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "duration: a finite one may be longer than 100 years",
    promises: ["C461"],
    rule: "Math.min(ms, HUNDRED_YEARS_MS)",
    broken: "ms",
  },
  {
    name: "errors: text that may be a key is quoted",
    promises: ["C464"],
    rule: '`text of ${given.length} ${given.length === 1 ? "character" : "characters"}`',
    broken: "given",
  },
];
