import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: the primary is reached where a sentinel says",
    promises: ["C147"],
    rule: '"a sentinel", resolveAddress)',
    broken: '"a sentinel", undefined)',
  },
];
