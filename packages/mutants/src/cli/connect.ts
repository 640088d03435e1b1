import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "cli: a missing password is found out by the first command",
    promises: ["C378"],
    rule: "|| isLoginMissing(error)) break",
    broken: ") break",
  },
  {
    name: "cli: Ctrl-C waits until a connection is open",
    promises: ["C275"],
    rule: 'io.signal.addEventListener("abort", interrupt);',
    broken: "",
  },
];
