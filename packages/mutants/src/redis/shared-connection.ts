import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: the primary receives the credentials of the sentinels",
    promises: ["C148"],
    rule: "credentialsOf({}, settings)",
    broken: "credentialsOf(first, settings)",
  },
  {
    name: "redis: the first URL of a cluster gives the credentials",
    promises: ["C148"],
    rule: "username !== first.username || password !== first.password",
    broken: "false",
  },
];
