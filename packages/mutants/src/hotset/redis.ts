import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "hotset: shipped formats are read beside a configured one",
    promises: ["C140"],
    rule: "BackendOfRedis.builder(shipped())",
    broken: "BackendOfRedis.builder(shipped()).alsoReads(...shipped().formats)",
  },
  {
    name: "hotset: formats are made where the package is imported",
    promises: ["C457"],
    rule: "{ builder: () => BackendOfRedis.builder(shipped()) };",
    broken: "((made) => ({ builder: () => BackendOfRedis.builder(made) }))(shipped());",
  },
];
