import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: the rejection of a logger ends the process",
    promises: ["C258"],
    rule: "Promise.resolve(given[level](line)).catch(() => undefined);",
    broken: "void given[level](line);",
  },
];
