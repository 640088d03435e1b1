import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "errors: a call during a back-off prolongs it",
    promises: ["C16", "C24"],
    rule: "const pause = this.#pauses.get(localKey);",
    broken:
      "const before = this.#pauses.get(localKey);\n    if (before !== undefined && now < before.until) this.#pauses.set(localKey, { ...before, until: now + 10_000 });\n    const pause = this.#pauses.get(localKey);",
  },
  {
    name: "bounds: every failed load is remembered",
    promises: ["C80"],
    rule: "const MAX_PAUSES = 10_000;",
    broken: "const MAX_PAUSES = Infinity;",
  },
];
