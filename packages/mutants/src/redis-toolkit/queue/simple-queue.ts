import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "queue: the newest message of a list comes first",
    promises: ["A59"],
    rule: "redis.commands.lPush(",
    broken: "redis.commands.rPush(",
  },
];
