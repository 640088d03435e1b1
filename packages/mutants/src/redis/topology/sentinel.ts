import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: each socket asks all sentinels",
    promises: ["C325"],
    rule: "if (known !== undefined) {",
    broken: "if (false as boolean) {",
  },
];
