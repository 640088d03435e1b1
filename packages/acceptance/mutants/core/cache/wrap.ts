import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "arguments: tags of a wrapped function that are no list are dropped",
    promises: ["C10"],
    rule: 'if (tags !== undefined && typeof tags !== "function") checkTags(tags);',
    broken: "",
  },
];
