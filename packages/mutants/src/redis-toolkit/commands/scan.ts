import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: a purge leaves keys whose names are not UTF-8",
    promises: ["A38"],
    rule: 'undefined, "bytes")',
    broken: 'undefined, "text")',
  },
];
