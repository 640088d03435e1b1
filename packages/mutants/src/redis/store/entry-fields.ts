import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a life that is over is read as one without an end",
    promises: ["A40"],
    rule: "if (data === null || ttlMs === 0 || ttlMs < -1) return undefined;",
    broken: "if (data === null) return undefined;\n  if (ttlMs <= 0) ttlMs = -1;",
  },
  {
    name: "redis: a life that is read back is rounded up",
    promises: ["C23"],
    rule: "ttlMs === -1 ? Infinity : ttlMs - 1;",
    broken: "ttlMs === -1 ? Infinity : ttlMs;",
  },
  {
    name: "redis: freshness lasts to the end of the life",
    promises: ["A41"],
    rule: "const staleInMs = expiresInMs - windowMs;",
    broken: "const staleInMs = expiresInMs;",
  },
];
