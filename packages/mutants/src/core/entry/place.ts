import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "place: it is looked for in a value that is nested too deep",
    promises: ["C205"],
    rule: "if (isTooDeep(value)) return undefined;",
    broken: "",
  },
];
