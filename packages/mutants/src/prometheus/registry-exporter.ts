import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "prometheus: an observation that is refused takes away the metrics of another",
    promises: ["C381"],
    rule: "if (this.#register.getSingleMetric(name) !== undefined)",
    broken: 'if (name === "")',
  },
];
