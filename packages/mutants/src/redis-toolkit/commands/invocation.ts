import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: anything passes for a described command",
    promises: ["C364"],
    rule: "Array.from<Partial<Invocation<unknown>> | null | undefined>(given).every(",
    broken: "given.every(",
  },
];
