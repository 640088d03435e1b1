import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "strings: a placeholder counts as taken, also where another lies beside it",
    promises: ["C315"],
    rule: "return isTaken && refreshes === 0 ?",
    broken: "return isTaken ?",
  },
  {
    name: "strings: a store counts without a look at what is there",
    promises: ["C313"],
    rule: "if (versionIn(head as Buffer) === version) return true;",
    broken: "return true;",
  },
  {
    name: "strings: each refusal counts as a server without IFEQ",
    promises: ["C314"],
    rule: 'if (replaced instanceof Error && replaced.message.includes("syntax")) this.#commands.noteNoIfeq(key);',
    broken: "if (replaced instanceof Error) this.#commands.noteNoIfeq(key);",
  },
  {
    name: "strings: an entry that is over by its own end is loaded over",
    promises: ["C316"],
    rule: 'new Further([token, life, answer, "0", "1"])',
    broken: 'new Further([token, life, answer, "0", "0"])',
  },
];
