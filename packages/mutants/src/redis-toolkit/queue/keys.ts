import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "queue: keys have no tag",
    promises: ["A35"],
    rule: "`queue:${tag}:${part}`",
    broken: "`queue:${tag.slice(1, -1)}:${part}`",
  },
];
