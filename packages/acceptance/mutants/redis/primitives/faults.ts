import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: errors of a client of the user quote the arguments of commands",
    promises: ["C145"],
    rule: "  conceal(reason);\n",
    broken: "",
  },
];
