import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "cli: a URL with a password is accepted",
    promises: ["C275"],
    rule: "if (given.some((word) => URL_WITH_PASSWORD.test(word)))",
    broken: "if (given.length < 0)",
  },
];
