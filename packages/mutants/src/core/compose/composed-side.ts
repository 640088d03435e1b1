import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "compose: a side that has not answered a write yet is read",
    promises: ["C123"],
    rule: "this.late.has(key.backend) || ",
    broken: "",
  },
  {
    name: "compose: a side that missed a write is read",
    promises: ["C123"],
    rule: " || this.recovery.coversTagged(key, [])",
    broken: "",
  },
  {
    name: "compose: a read does not retry the removal of an older entry",
    promises: ["C123"],
    rule: "if (isHidden.includes(true)) void this.recovery.replay();",
    broken: "",
  },
  {
    name: "compose: near is not bounded by its own deadline",
    promises: ["C122"],
    rule: "Math.min(budgetMs, this.tier.deadlineMs)",
    broken: "budgetMs",
  },
];
