import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a batch fails as a whole at its deadline",
    promises: ["C114", "C132"],
    rule: "if (this.#pending < this.#answers.length) this.#settle();",
    broken: "if (false) {}",
  },
  {
    name: "redis: a batch without any answer at its deadline does not fail",
    promises: ["C114", "C132"],
    rule: "if (this.#pending < this.#answers.length) this.#settle();",
    broken: "if (true) this.#settle();",
  },
];
