import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a batch that is read in parts returns nothing before its deadline",
    promises: ["C132"],
    rule: "if (this.#pending < count) this.#settle();",
    broken: "",
  },
];
