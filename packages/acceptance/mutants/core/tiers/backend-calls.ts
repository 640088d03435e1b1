import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "backend: a call waits as long as the backend takes",
    promises: ["C43", "C92"],
    rule: "this.#deadlines.start(deadline, budgetMs)",
    broken: "this.#deadlines.start(deadline, Infinity)",
  },
  {
    name: "backend: the breaker counts answers",
    promises: ["C97"],
    rule: "if (isTransport) this",
    broken: "if (true) this",
  },
];
