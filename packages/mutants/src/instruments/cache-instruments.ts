import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "metrics: calls of other caches count",
    promises: ["C263"],
    rule: "    if (recorders === undefined) return;\n",
    broken: "    if (recorders === undefined) return void series({ cache, tier, op })(seconds);\n",
  },
];
