import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "limits: hits of express-rate-limit have no end",
    promises: ["C239"],
    rule: "redis.call('SET', KEYS[1], 1, 'PX', ARGV[1])",
    broken: "redis.call('SET', KEYS[1], 1)",
  },
  {
    name: "express store: a hit that could not be taken back ends the process",
    promises: ["C256"],
    rule: "if (error instanceof InvalidArgumentError) throw error;",
    broken: "throw error;",
  },
  {
    name: "express store: a hit that could not be taken back is not reported",
    promises: ["C256"],
    rule: "reportTrouble(this.#module, error);",
    broken: "",
  },
];
