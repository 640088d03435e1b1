import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "meters: a namespace counts its own calls alone",
    promises: ["C180"],
    rule: "path.every((name, i) => each.path[i] === name)",
    broken: "each.path.join() === path.join()",
  },
  {
    name: "meters: further namespaces are counted nowhere",
    promises: ["C180"],
    rule: "return this.of(path.slice(0, -1));",
    broken: "return new Meter();",
  },
];
