import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "cli: the commands that doctor asks about are carried out",
    promises: ["C277"],
    rule: '[["MULTI"], ...commands, ["DISCARD"]]',
    broken: '[["PING"], ...commands, ["PING"]]',
  },
];
