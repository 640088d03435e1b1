import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "cli: a sample has as many keys as SCAN gives",
    promises: ["C278"],
    rule: "names.slice(0, Math.max(0, bounds.keys - found.size))",
    broken: "names",
  },
  {
    name: "cli: keys whose bytes are no text are one key",
    promises: ["C280"],
    rule: 'page[i]!.toString("latin1")',
    broken: "page[i]!.toString()",
  },
];
