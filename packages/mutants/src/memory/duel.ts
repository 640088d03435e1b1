import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "adaptive memory: the smallest window always wins",
    promises: ["C178"],
    rule: "if (hits[best]! > hits[this.#best]! * MARGIN) this.#best = best;",
    broken: "if (best >= 0) this.#best = 0;",
  },
  {
    name: "adaptive memory: LRU always wins",
    promises: ["C178"],
    rule: "if (hits[best]! > hits[this.#best]! * MARGIN) this.#best = best;",
    broken: "if (best < 0) this.#best = best;",
  },
];
