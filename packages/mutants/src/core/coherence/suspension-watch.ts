import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "core: a suspended machine goes on serving its copies",
    promises: ["C250"],
    rule: "if (this.#ahead - before > TOLERANCE_MS) this.#suspended(now);",
    broken: "",
  },
  {
    name: "core: each correction of the wall clock ends the trust",
    promises: ["C250"],
    rule: "this.#ahead - before > TOLERANCE_MS",
    broken: "this.#ahead !== before",
  },
];
