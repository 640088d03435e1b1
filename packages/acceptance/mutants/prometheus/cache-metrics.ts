import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "metrics: calls of other caches count",
    promises: ["C263"],
    rule: "if (names.has(cache)) calls",
    broken: "calls",
  },
  {
    name: "metrics: they stay when the observation ends",
    promises: ["C263"],
    rule: "    metrics.remove();\n",
    broken: "",
  },
];
