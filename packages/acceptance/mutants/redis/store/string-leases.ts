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
    name: "strings: a trip to Redis takes no time",
    promises: ["C421"],
    rule: "Math.ceil(Math.min(this.#commands.tripMs(key), MAX_TRIP_MS))",
    broken: "0",
  },
];
