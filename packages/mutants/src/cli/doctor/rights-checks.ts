import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "cli: a user is blamed for modules of other services",
    promises: ["C277"],
    rule: 'granted === "all" || (granted === "none" && reason === "found")',
    broken: 'granted === "all"',
  },
];
