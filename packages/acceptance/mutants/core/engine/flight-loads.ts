import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "storing: a loader in the background is not given the stale value",
    promises: ["C17"],
    rule: "stale: this.#waiters.fallbackOf(flight),",
    broken: "stale: flight.isBackground ? undefined : this.#waiters.fallbackOf(flight),",
  },
];
