import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "entry: its instants are rounded up",
    promises: ["C335"],
    rule: "=> Math.floor(now);",
    broken: "=> Math.ceil(now);",
  },
  {
    name: "entry: its instants keep fractions of a millisecond",
    promises: ["C334", "C335"],
    rule: "const staleAt = wholeInstant(now) + ttlMs;",
    broken: "const staleAt = now + ttlMs;",
  },
  {
    name: "freshness: the lifetime is that of the shorter window",
    promises: ["C21"],
    rule: "Math.max(terms.staleWhileRevalidateMs, terms.staleIfErrorMs)",
    broken: "Math.min(terms.staleWhileRevalidateMs, terms.staleIfErrorMs)",
  },
];
