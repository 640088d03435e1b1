import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "cli: a missing password is found out by the first command",
    promises: ["C378"],
    rule: "|| isLoginMissing(error)) break",
    broken: ") break",
  },
];
