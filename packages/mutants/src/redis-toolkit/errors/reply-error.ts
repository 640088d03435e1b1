import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: a server whose disk is gone refuses for no known reason",
    promises: ["C260"],
    rule: '  MISCONF: "PERSISTENCE_FAILED",\n',
    broken: "",
  },
];
