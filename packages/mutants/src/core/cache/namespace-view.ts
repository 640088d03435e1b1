import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "life: a closed cache takes calls",
    promises: ["C117"],
    rule: "if (context.lifecycle.isClosed)\n      throw",
    broken: "if (false) throw",
  },
  {
    name: "events: a listener of a namespace receives all",
    promises: ["C207"],
    rule: "path.every((name, i) => namespace[i] === name)",
    broken: "path.every((name, i) => namespace[i] === name || true)",
  },
  {
    name: "tags: a load takes the list of its caller",
    promises: ["C405"],
    rule: "options?.tags === undefined ? NO_TAGS : [...options.tags]",
    broken: "options?.tags ?? NO_TAGS",
  },
  {
    name: "setMany: the last keys have the options of the next call",
    promises: ["C405"],
    rule: "options && ownOptions(options)",
    broken: "options",
  },
];
