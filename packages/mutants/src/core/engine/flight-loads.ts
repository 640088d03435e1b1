import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "storing: a loader in the background is not given the stale value",
    promises: ["C17"],
    rule: "stale: this.#waiters.fallbackOf(flight).entry,",
    broken: "stale: flight.isAwaited ? this.#waiters.fallbackOf(flight).entry : undefined,",
  },
];
