import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "keyOf: a part may become any length while it is written",
    promises: ["R1-20"],
    rule: "if (part.left < 0) throw tooLong(part.where);",
    broken: "",
  },
];
