import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "strings: a placeholder counts as taken, also where another lies beside it",
    promises: ["C315"],
    rule: "return isTaken && refreshes === 0 ?",
    broken: "return isTaken ?",
  },
  {
    name: "strings: a store counts without a look at what is there",
    promises: ["C313"],
    rule: "if (versionIn(head) === version) return true;",
    broken: "return true;",
  },
];
