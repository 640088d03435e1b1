import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "cli: colours are in pipes, too",
    promises: ["C275"],
    rule: "if (!isTerminal || noColour",
    broken: "if (noColour",
  },
];
