import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "terms: each entry has its own",
    promises: ["C334"],
    rule: "  space.lastTerms = {",
    broken: "  return {",
  },
  {
    name: "terms: entries with other windows share them",
    promises: ["C334"],
    rule: "last !== undefined && haveEqualLimits(last, limits)",
    broken: "last !== undefined",
  },
  {
    name: "terms: entries with other tags share them",
    promises: ["C334"],
    rule: "haveEqualItems(some.tags, others.tags)",
    broken: "some.tags.length === others.tags.length",
  },
];
