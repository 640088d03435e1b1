import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "limits: a refusal stands for smaller calls",
    promises: ["A77"],
    rule: "cost < refusal.cost ? undefined :",
    broken: "cost < 0 ? undefined :",
  },
  {
    name: "limits: a refusal is remembered beyond its end",
    promises: ["A77"],
    rule: "if (now >= refusal.endsAt) {",
    broken: "if (now >= refusal.endsAt + 1_000) {",
  },
];
