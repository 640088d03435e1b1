import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "limits: each process allows the whole limit while Redis is away",
    promises: ["A76"],
    rule: "Math.floor(rule.capacity / this.#processes)",
    broken: "rule.capacity",
  },
  {
    name: "limits: counts while Redis is away have no bound",
    promises: ["A76"],
    rule: "if (this.#counts.size >= this.#maxKeys) this.#counts.delete(this.#counts.keys().next().value!);",
    broken: "",
  },
  {
    name: "limits: in memory a slot that has ended is held until it is removed",
    promises: ["C417"],
    rule: "this.#dropEnded(now);\n    const left",
    broken: "const left",
  },
];
