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
  {
    name: "redis: a batch names the server of its last command where that of a key is not known",
    promises: ["C420"],
    rule: 'return silent.size === 0 ? this.#queue.server?.() : [...silent].join(", ");',
    broken: 'return silent.size === 0 ? super.server : [...silent].join(", ");',
  },
];
