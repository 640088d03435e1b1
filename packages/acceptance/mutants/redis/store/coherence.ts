import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: what a cache beside this one did last counts as one's own",
    promises: ["C81"],
    rule: "sender === self && !this.#wasShared",
    broken: "sender === self && this.#detachers.size <= 1",
  },
];
