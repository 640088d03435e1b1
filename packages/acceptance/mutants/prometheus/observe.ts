import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "metrics: they stay when the observation ends",
    promises: ["C263"],
    rule: "      exporter.remove();\n",
    broken: "",
  },
];
