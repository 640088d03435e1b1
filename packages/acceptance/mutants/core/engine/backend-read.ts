import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "refusals: while an invalidation is refused its key is not read, so no change of it is reported",
    promises: ["C438"],
    rule: " && recovery?.isRefused !== true",
    broken: "",
  },
];
