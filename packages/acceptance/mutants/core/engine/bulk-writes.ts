import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "many keys: a later change of a key is overwritten when its turn comes",
    promises: ["C162"],
    rule: "for (const { later } of this.#underWay) if (later.has(localKey)) later.set(localKey, change);",
    broken: "",
  },
  {
    name: "many keys: the turn of a key in a later call leaves that of an earlier call to come",
    promises: ["C162", "C345"],
    rule: "this.#overtakeEarlier(local, call, written);",
    broken: "",
  },
  {
    name: "many keys: a call ends before the later write that won a key of it",
    promises: ["C345"],
    rule: "if (await hasSucceeded(change)) return overtaken;",
    broken: "return overtaken;",
  },
];
