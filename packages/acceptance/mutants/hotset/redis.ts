import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "hotset: shipped formats are read beside a configured one",
    promises: ["C140"],
    rule: "BackendOfRedis.builder(SHIPPED)",
    broken: "BackendOfRedis.builder(SHIPPED).alsoReads(...SHIPPED.formats)",
  },
];
