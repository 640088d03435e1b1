import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "limits: a part of a key is on a list",
    promises: ["A75"],
    rule: "!allow.has(key)",
    broken: "![...allow].some((one) => key.includes(one))",
  },
  {
    name: "limits: a reward is not seen by its own process",
    promises: ["A77"],
    rule: 'lease: "" });\n    this.#refusals.forget(key);',
    broken: 'lease: "" });',
  },
  {
    name: "rate limit: slots that could not be given back behind a response are not reported",
    promises: ["C256"],
    rule: "reportTrouble(modules.get(limit), error)",
    broken: "void error",
  },
];
