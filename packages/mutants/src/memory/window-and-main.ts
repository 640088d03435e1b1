import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "adaptive memory: candidates as frequent as the victim are admitted",
    promises: ["C178"],
    rule: "if (frequency > this.#sketch.estimate(this.hashes[victim]!)) return true;",
    broken: "if (frequency >= this.#sketch.estimate(this.hashes[victim]!)) return true;",
  },
  {
    name: "adaptive memory: a free slot is lost",
    promises: ["C179"],
    rule: "this.#free = slot;",
    broken: "",
  },
];
