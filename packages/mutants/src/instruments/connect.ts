import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "metrics: they stay when the observation ends",
    promises: ["C263"],
    rule: "const ends = [() => exporter.remove()];",
    broken: "const ends: (() => void)[] = [];",
  },
  {
    name: "metrics: a client is taken for a cache",
    promises: ["C381"],
    rule: '["getOrSet", "name"]',
    broken: '["stats"]',
  },
  {
    name: "metrics: an observation that failed goes on",
    promises: ["C381"],
    rule: "end();\n    throw error;",
    broken: "throw error;",
  },
  {
    name: "metrics: text passes for a flag",
    promises: ["C363"],
    rule: 'if (typeof flag !== "boolean")',
    broken: "if (flag === null)",
  },
  {
    name: "metrics: anything passes for a queue",
    promises: ["C363"],
    rule: 'if (typeof each?.[method] !== "function")',
    broken: "if (each === undefined)",
  },
];
