import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "cli: keys of tenants are those of another program",
    promises: ["C276"],
    rule: 'const TENANT = "^(?:[\\\\w.%-]+:)?";',
    broken: 'const TENANT = "^";',
  },
];
