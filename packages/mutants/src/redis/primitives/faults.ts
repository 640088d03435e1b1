import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: errors of a client of the user quote the arguments of commands",
    promises: ["C145"],
    rule: "  conceal(reason);\n",
    broken: "",
  },
  {
    name: "redis: the message of a lost command does not say that it may have been executed",
    promises: ["C373"],
    rule: 'maybeExecuted ? "; it may have been executed" : ""',
    broken: '""',
  },
];
