import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "warm: all loads begin at once",
    promises: ["C208"],
    rule: "fetch, concurrency)",
    broken: "fetch, entries.length)",
  },
];
