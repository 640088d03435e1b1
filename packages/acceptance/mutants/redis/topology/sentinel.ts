import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: each socket asks all sentinels",
    promises: ["C325"],
    rule: "known === undefined ? await findPrimary(settings, aborted) : [known]",
    broken: "await findPrimary(settings, aborted)",
  },
];
