import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "cli: a key that there was no time to look for is absent",
    promises: ["C391"],
    rule: "if (found.length === 0) return noKey(sample);",
    broken: "if (found.length === 0) return noKey({ ...sample, isComplete: true });",
  },
];
