import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "limits: the other items of a batch wait for a slot that the outer load holds",
    promises: ["C50"],
    rule: "this.#abandon?.();\n    this.#grant();",
    broken: "",
  },
  {
    name: "limits: a load that was let run without a slot frees one",
    promises: ["C38"],
    rule: "if (this.#holders === 0 && !this.#isExempt) this.#slots.free();",
    broken: "if (this.#holders === 0) this.#slots.free();",
  },
];
