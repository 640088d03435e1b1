import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "inherit: what is loaded, or read from the backend, counts for no load",
    promises: ["C454", "C455"],
    rule: "if (entry !== undefined || loaded !== undefined)",
    broken: "if (call.key === undefined)",
  },
];
