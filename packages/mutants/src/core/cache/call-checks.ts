import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "tags: what is beside a list of tags is ignored",
    promises: ["C439"],
    rule: "if (given.length !== 1)",
    broken: "if (false)",
  },
];
