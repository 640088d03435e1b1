import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "cli: a key of another program is given the counts of a queue",
    promises: ["C280"],
    rule: "isOwn ? queueOver(view, name).counts() : NOT_READABLE",
    broken: "queueOver(view, name).counts()",
  },
  {
    name: "cli: a misspelt queue is shown as an empty one",
    promises: ["C378"],
    rule: "isUsed === false && ",
    broken: "isUsed === NOT_READABLE && ",
  },
];
