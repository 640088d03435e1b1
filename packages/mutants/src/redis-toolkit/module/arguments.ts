import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: text passes for a flag",
    promises: ["C363"],
    rule: '  if (given !== undefined && typeof given !== "boolean")\n',
    broken: "  if (given === null)\n",
  },
  {
    name: "toolkit: anything passes for a signal",
    promises: ["C364"],
    rule: "given !== undefined && !(given instanceof AbortSignal)",
    broken: "false",
  },
  {
    name: "toolkit: anything passes for a schema",
    promises: ["C363"],
    rule: 'given !== undefined && typeof schema?.["~standard"]?.validate !== "function"',
    broken: "false",
  },
  {
    name: "toolkit: anything passes for a view",
    promises: ["C364"],
    rule: 'if (typeof view?.runScript === "function") return given;',
    broken: "return given;",
  },
  {
    name: "toolkit: half of a surrogate pair passes in a name",
    promises: ["C364"],
    rule: "if (given.isWellFormed()) return given;",
    broken: "return given;",
  },
  {
    name: "toolkit: an object without a prototype is an error of the error",
    promises: ["C364"],
    rule: "      ? `${given}`\n      : kindOf(given);",
    broken: "      ? `${given}`\n      : String(given);",
  },
];
