import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "limits: a reset of a tenant reaches keys outside of it",
    promises: ["A36"],
    rule: "const inside = keys.map((key) => space.inside(key));",
    broken: "const inside = [...keys];",
  },
];
