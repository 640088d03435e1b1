import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: a view waits for a connection beyond its deadline",
    promises: ["C261"],
    rule: "const cancel = clock.schedule(() => waiting.abort(tooLate(deadlineMs)), deadlineMs);",
    broken: "const cancel = clock.schedule(() => undefined, deadlineMs);",
  },
  {
    name: "toolkit: what got its connection too late is sent all the same",
    promises: ["C261"],
    rule: "    waiting.signal.throwIfAborted();\n",
    broken: "",
  },
];
