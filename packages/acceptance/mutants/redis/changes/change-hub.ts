import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: each listener that attaches subscribes anew",
    promises: ["C359"],
    rule: "(this.#nextAttempt ??= this.#whenReachable()",
    broken: "(this.#nextAttempt = this.#whenReachable()",
  },
  {
    name: "redis: a later listener joins an attempt that was sent",
    promises: ["C359"],
    rule: "        this.#nextAttempt = undefined;\n",
    broken: "",
  },
];
