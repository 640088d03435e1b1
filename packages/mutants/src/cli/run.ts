import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "cli: a change without an answer is said to have failed",
    promises: ["C385"],
    rule: 'isMaybeChanged(error, given) ? MAYBE_CHANGED : ""',
    broken: '""',
  },
];
