import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "metrics: every name of a command is a label",
    promises: ["C264"],
    rule: 'known.has(name) ? name : "other"',
    broken: "name",
  },
];
