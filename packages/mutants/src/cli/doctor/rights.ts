import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "cli: the commands that doctor asks about are carried out",
    promises: ["C277"],
    rule: '[["MULTI"], ...commands, ["DISCARD"]]',
    broken: '[["PING"], ...commands, ["PING"]]',
  },
  {
    name: "cli: doctor asks about the rights of hashes alone",
    promises: ["C333"],
    rule: "return hasStrings ? [...commands, ...NEEDS_OF_STRINGS] : commands;",
    broken: "return commands;",
  },
  {
    name: "cli: doctor asks each cache about the rights of strings",
    promises: ["C333"],
    rule: "return hasStrings ? [...commands, ...NEEDS_OF_STRINGS] : commands;",
    broken: 'return module === "cache" ? [...commands, ...NEEDS_OF_STRINGS] : commands;',
  },
];
