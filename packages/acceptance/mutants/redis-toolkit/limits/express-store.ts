import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "limits: hits of express-rate-limit have no end",
    promises: ["C239"],
    rule: "redis.call('SET', KEYS[1], 1, 'PX', ARGV[1])",
    broken: "redis.call('SET', KEYS[1], 1)",
  },
];
