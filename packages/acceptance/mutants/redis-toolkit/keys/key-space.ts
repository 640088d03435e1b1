import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: a colon in the id of a tenant leads into the keys of another",
    promises: ["A36"],
    rule: "/[A-Za-z0-9_.-]/",
    broken: "/[A-Za-z0-9_.:-]/",
  },
];
