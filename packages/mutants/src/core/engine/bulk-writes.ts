import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "many keys: a later change of a key is overwritten when its turn comes",
    promises: ["C162"],
    rule: "this.#overtake(localKey, Infinity, change);",
    broken: "",
  },
  {
    name: "many keys: the turn of a key in a later call leaves that of an earlier call to come",
    promises: ["C162", "C345"],
    rule: "this.#overtake(item.key.local, call, written);",
    broken: "",
  },
  {
    name: "many keys: a call ends before the later write that won a key of it",
    promises: ["C345"],
    rule: "if (await hasSucceeded(change)) {",
    broken: "if (change !== undefined) {",
  },
  {
    name: "many keys: each change of a key looks at every call of many that is under way",
    promises: ["C395"],
    rule: "this.#turns.remove(turn);\n      const written = write(item);",
    broken: "const written = write(item);",
  },
  {
    name: "many keys: a key that was left to a later call counts as one whose turn is to come",
    promises: ["C162"],
    rule: "this.#turns.remove(turn);\n          return overtaken;",
    broken: "return overtaken;",
  },
];
