import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a pool forgets watched keys",
    promises: ["C224"],
    rule: "this.#isWatching = true;",
    broken: "this.#isWatching = false;",
  },
];
