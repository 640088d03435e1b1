import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: null takes the default of an option",
    promises: ["C363"],
    rule: "const { max = 10, waitMs = 5_000, idleMs = 30_000 } = given;",
    broken: "const { waitMs = 5_000, idleMs = 30_000 } = given;\n  const max = given.max ?? 10;",
  },
  {
    name: "redis: anything passes for a clock",
    promises: ["C363"],
    rule: 'clock: clockOf("clock", clock),',
    broken: "clock,",
  },
];
