import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "many keys: a later change of a key is overwritten when its turn comes",
    promises: ["C162"],
    rule: "for (const keys of this.#underWay) keys.delete(localKey);",
    broken: "",
  },
];
