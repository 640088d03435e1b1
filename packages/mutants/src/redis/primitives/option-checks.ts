import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a list passes for options",
    promises: ["C363"],
    rule: 'typeof given === "object" && given !== null && !Array.isArray(given);',
    broken: 'typeof given === "object" && given !== null;',
  },
  {
    name: "redis: text passes for a factor",
    promises: ["C363"],
    rule: 'typeof given === "number" && given >= 1 && given < Infinity',
    broken: "given >= 1 && given < Infinity",
  },
  {
    name: "redis: text passes for a flag",
    promises: ["C363"],
    rule: 'typeof given === "boolean" ? given',
    broken: "given !== null ? given",
  },
  {
    name: "redis: text passes for the milliseconds of one call",
    promises: ["C364"],
    rule: '(typeof given === "number" && given >= atLeast && given <= MAX_TIMER_MS)) return;',
    broken: '(given >= atLeast && given <= MAX_TIMER_MS) || typeof given === "string") return;',
  },
];
