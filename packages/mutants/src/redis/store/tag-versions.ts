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
  {
    name: "redis: a script takes all tags of a call",
    promises: ["C439"],
    rule: "const MOST_KEYS = 64;",
    broken: "const MOST_KEYS = Infinity;",
  },
  {
    name: "redis: late tags are compared with the last of several pins",
    promises: ["C439"],
    rule: "String(replies[0]![0])",
    broken: "String(replies.at(-1)![0])",
  },
];
