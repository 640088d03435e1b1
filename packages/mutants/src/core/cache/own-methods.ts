import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "methods: one that was taken off its cache runs",
    promises: ["C472"],
    rule: "if (isInstance(this)) return",
    broken: "return",
  },
];
