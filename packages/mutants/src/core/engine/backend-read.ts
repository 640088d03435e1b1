import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "refusals: while an invalidation is refused its key is not read, so no change of it is reported",
    promises: ["C438"],
    rule: " && recovery?.isRefused !== true",
    broken: "",
  },
  {
    name: "refusals: a read that was sent while its key was hidden shows the older value, once a newer call is acknowledged",
    promises: ["C438"],
    rule: "return isHidden && found !== undefined ? { ...found, tagSequence: BEFORE_ALL_CALLS } : found;",
    broken: "return found;",
  },
];
