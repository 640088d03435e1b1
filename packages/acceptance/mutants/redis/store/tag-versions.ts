import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: every parsed tag version is kept",
    promises: ["C80"],
    rule: "const MAX_PARSED = 1_000;",
    broken: "const MAX_PARSED = Infinity;",
  },
  {
    name: "redis: a user who may not pin does not watch the issuer",
    promises: ["C196"],
    rule: "if (isRefusal(error)) await",
    broken: "if (false) await",
  },
];
