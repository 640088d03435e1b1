import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "streams: a group that exists is an error",
    promises: ["A50"],
    rule: 'error.message.includes("BUSYGROUP")',
    broken: "false",
  },
];
