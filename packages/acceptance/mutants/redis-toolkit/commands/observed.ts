import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: values are on the channel of commands",
    promises: ["C262"],
    rule: "      ended(undefined);\n",
    broken: "      ended(String(result));\n",
  },
  {
    name: "toolkit: a command that failed has no code",
    promises: ["C262"],
    rule: 'ended(error instanceof CacheError ? error.code : "UNKNOWN");',
    broken: "ended(undefined);",
  },
];
