import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "metrics: the unit is missing in names for Prometheus",
    promises: ["C285"],
    rule: 'ENDINGS[unit] ?? ""',
    broken: '""',
  },
];
