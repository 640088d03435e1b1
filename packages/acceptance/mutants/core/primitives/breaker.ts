import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "backend: an open breaker probes as often as at first",
    promises: ["C97"],
    rule: "this.#waitMs * 2)",
    broken: "this.#waitMs)",
  },
  {
    name: "backend: the breaker never opens",
    promises: ["C97"],
    rule: "const THRESHOLD = 5;",
    broken: "const THRESHOLD = Infinity;",
  },
  {
    name: "backend: an open breaker lets several calls probe",
    promises: ["C97"],
    rule: "if (this.#isProbing || this",
    broken: "if (this",
  },
  {
    name: "backend: an open breaker lets calls through at once",
    promises: ["C97"],
    rule: " || this.#clock.now() < this.#probeAt",
    broken: "",
  },
  {
    name: "backend: an answer does not close the breaker",
    promises: ["C97"],
    rule: "this.#failures = 0;\n    this",
    broken: "this",
  },
];
