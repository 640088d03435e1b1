import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "many keys: a later change of a key is overwritten when its turn comes",
    promises: ["C162"],
    rule: "for (const keys of this.#underWay) keys.delete(localKey);",
    broken: "",
  },
  {
    name: "many keys: the turn of a key in a later call leaves that of an earlier call to come",
    promises: ["C162", "C345"],
    rule: "this.#overtakeEarlier(local, keys);\n",
    broken: "\n",
  },
  {
    name: "many keys: a call ends before the later write that won a key of it",
    promises: ["C345"],
    rule: "if (this.#writes.has(local)) await this.#writes.run(local, () => Promise.resolve());",
    broken: "",
  },
];
