import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: a server that evicts is taken where none may",
    promises: ["C259"],
    rule: "if (required) throw error;\n  redis.module",
    broken: "redis.module",
  },
  {
    name: "toolkit: each module asks for the policy again",
    promises: ["C259"],
    rule: "policies.set(connection, (asked = readPolicies(connection)));",
    broken: "asked = readPolicies(connection);",
  },
];
