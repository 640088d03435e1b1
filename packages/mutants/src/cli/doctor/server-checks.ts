import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "cli: doctor passes over a primary that does not answer",
    promises: ["C384"],
    rule: "if (isUnanswered(roundTripMs))",
    broken: 'if (address === "")',
  },
];
