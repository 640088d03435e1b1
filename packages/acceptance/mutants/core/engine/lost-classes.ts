import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "classes: a place is reported each time",
    promises: ["C190"],
    rule: "if (this.#examined.has(examined) || ",
    broken: "if (",
  },
  {
    name: "classes: what a schema restores counts as lost",
    promises: ["C190"],
    rule: "schema !== undefined || ",
    broken: "(schema === undefined && false) || ",
  },
];
