import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: an ended life is read as an endless one",
    promises: ["A40"],
    rule: "if (data === null || ttlMs === 0 || ttlMs < -1) return undefined;",
    broken: "if (data === null) return undefined;\n  if (ttlMs <= 0) ttlMs = -1;",
  },
  {
    name: "redis: freshness lasts to the end of the life",
    promises: ["A41"],
    rule: "const staleInMs = expiresInMs - windowMs;",
    broken: "const staleInMs = expiresInMs;",
  },
  {
    name: "redis: a key that looks like a hashed one is kept as it is",
    promises: ["C108", "C110", "R1-07"],
    rule: "/[{}]|^#|%(?=",
    broken: "/[{}]|%(?=",
  },
  {
    name: "redis: braces in a key are kept, and break its slot",
    promises: ["C108", "C110", "R1-07"],
    rule: "if (!hasHashTag(key)) return key.replace",
    broken: "if (false) return key.replace",
  },
];
