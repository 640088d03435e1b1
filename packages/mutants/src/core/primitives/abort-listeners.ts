import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "signals: each call of many adds a listener to the signal that they share",
    promises: ["C396"],
    rule: "this.#bySignal.get(signal) ?? this.#listen(signal);",
    broken: "this.#listen(signal);",
  },
  {
    name: "signals: the end of one call ends the listener of the others",
    promises: ["C396"],
    rule: "if (shared.listeners.size !== 0) return;",
    broken: "",
  },
  {
    name: "signals: a listener is left behind",
    promises: ["C396"],
    rule: 'signal.removeEventListener("abort", shared.abort);',
    broken: "",
  },
];
