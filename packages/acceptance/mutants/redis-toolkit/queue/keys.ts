import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "queue: keys have no tag",
    promises: ["A35"],
    rule: "`queue:${hashTagged(name)}:${part}`",
    broken: "`queue:${hashTagged(name).slice(1, -1)}:${part}`",
  },
];
