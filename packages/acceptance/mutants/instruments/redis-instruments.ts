import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "metrics: every name of a command is a label",
    promises: ["C264"],
    rule: "recorders.size < MAX_OPERATIONS ? name : OTHER",
    broken: "name",
  },
];
