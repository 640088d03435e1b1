import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "hotset: shipped formats are read beside a configured one",
    promises: ["C140"],
    rule: "own.RedisBackend.builder(SHIPPED)",
    broken: "own.RedisBackend.builder(SHIPPED).alsoReads(...SHIPPED.formats)",
  },
];
