import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: the last write of another cache in the process counts as this cache's own",
    promises: ["C81"],
    rule: "sender === self && !this.#wasShared",
    broken: "sender === self && this.#attached.size <= 1",
  },
];
