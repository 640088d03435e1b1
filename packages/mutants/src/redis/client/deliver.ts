import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "listeners: one that throws breaks the connection",
    promises: ["C357"],
    rule: "queueMicrotask(() => {\n      throw error;\n    });",
    broken: "throw error;",
  },
  {
    name: "listeners: the error of one that throws is lost in silence",
    promises: ["C357"],
    rule: "throw error;",
    broken: "void error;",
  },
];
