import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "otel: histograms of the producer are of seconds without a sum",
    promises: ["C285"],
    rule: "counts: [...counts] }, sum, count }",
    broken: "counts: [...counts] }, sum: 0, count }",
  },
  {
    name: "otel: histograms that begin again have the start of those before",
    promises: ["C285"],
    rule: "{ instrument, startTime: now(), series",
    broken: "{ instrument, startTime: [1, 0], series",
  },
];
