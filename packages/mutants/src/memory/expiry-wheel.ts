import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "memory: a clock may not be before its zero",
    promises: ["C120"],
    rule: "((second % SLOTS) + SLOTS) % SLOTS",
    broken: "second % SLOTS",
  },
  {
    name: "memory: the timer of a dropped cache keeps its entries",
    promises: ["C413"],
    rule: "const alive = wheel.deref();",
    broken: "const alive: ExpiryWheel | undefined = this;",
  },
];
