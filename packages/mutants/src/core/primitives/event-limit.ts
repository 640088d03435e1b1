import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "events: trouble is emitted without a limit",
    promises: ["C202"],
    rule: "if (this.#passed < MAX_PER_SECOND) {",
    broken: "if (this.#passed < Infinity) {",
  },
  {
    name: "events: those left out are not counted",
    promises: ["C202"],
    rule: "this.#omitted += 1;",
    broken: "",
  },
  {
    name: "async context: an event that was held back is attributed to another call",
    promises: ["C394"],
    rule: "inNoCall(() =>",
    broken: "(<T>(body: () => T): T => body())(() =>",
  },
];
