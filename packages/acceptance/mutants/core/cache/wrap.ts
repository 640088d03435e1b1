import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "arguments: tags of a wrapped function that are no list are dropped",
    promises: ["C10"],
    rule: 'if (tags !== undefined && typeof tags !== "function") checkTags(tags);',
    broken: "",
  },
  {
    name: "wrap: a key of another type is written as it is",
    promises: ["C365"],
    rule: 'if (typeof part === "string") return part;',
    broken: "return part as string;",
  },
];
