import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a command that stages a value goes to any node of a cluster",
    promises: ["C362"],
    rule: 'case "PING":',
    broken: 'case "HSET":\n    case "PING":',
  },
  {
    name: "redis: a command of strings goes to any node of a cluster",
    promises: ["C362"],
    rule: 'case "PING":\n',
    broken: 'case "EXISTS":\n    case "PING":\n',
  },
];
