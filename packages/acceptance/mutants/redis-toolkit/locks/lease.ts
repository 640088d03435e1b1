import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "lock: a process that was stopped believes its timer",
    promises: ["A65"],
    rule: '    if (leftMs <= 0) this.#lose("its time is over");\n    return Math.max(0, leftMs);',
    broken: "    return Math.max(1, leftMs);",
  },
  {
    name: "lock: a lock is extended beyond maxHold",
    promises: ["A65"],
    rule: "Math.floor(Math.min(ttlMs, this.#heldUntil - startedAt))",
    broken: "Math.floor(ttlMs)",
  },
  {
    name: "lock: a released lock leaves its timer",
    promises: ["A65"],
    rule: '    this.#phase = "released";\n    this.#cancelEnd();',
    broken: '    this.#phase = "released";',
  },
  {
    name: "lock: a lost lock does not abort its task",
    promises: ["A67"],
    rule: "this.#ending.abort(lost(reason, this.resources));",
    broken: "void lost(reason, this.resources);",
  },
];
