import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: a hit ratio before the first read",
    promises: ["A88"],
    rule: "hits === undefined || reads === 0 ? null",
    broken: "hits === undefined ? null",
  },
];
