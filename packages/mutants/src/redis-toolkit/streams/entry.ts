import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "streams: equal names of fields collapse",
    promises: ["C226"],
    rule: "  return { id, fields: Object.fromEntries(pairs) as T, pairs };",
    broken: "  return { id, fields: Object.fromEntries(pairs) as T, pairs: [...new Map(pairs)] };",
  },
];
