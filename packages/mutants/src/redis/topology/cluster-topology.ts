import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: nodes of a cluster are reached where they say",
    promises: ["C147"],
    rule: 'namedAddress(address, "CLUSTER SLOTS", resolveAddress)',
    broken: 'namedAddress(address, "CLUSTER SLOTS", undefined)',
  },
];
