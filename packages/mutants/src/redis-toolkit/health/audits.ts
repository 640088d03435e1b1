import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: an audit gives every key of its pattern a new end",
    promises: ["A91"],
    rule: 'const immortal = keys.filter((_, i) => lives[i] === "none");',
    broken: "const immortal = keys;",
  },
  {
    name: "toolkit: a sample of keys has no end",
    promises: ["A91"],
    rule: "if (window.length < WINDOW && taken < most) continue;",
    broken: "if (window.length < WINDOW) continue;",
  },
];
