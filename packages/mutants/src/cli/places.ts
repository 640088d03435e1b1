import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "cli: a change needs no --write",
    promises: ["C281"],
    rule: 'if (!given.flag("write")) throw',
    broken: 'if (action === "") throw',
  },
];
