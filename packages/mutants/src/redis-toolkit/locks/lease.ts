import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "lock: a process that was stopped believes its timer",
    promises: ["A65"],
    rule: 'return this.#phase === "held" ? this.#leftMs() : 0;',
    broken: 'return this.#phase === "held" ? Math.max(1, this.#validUntil - this.#ground.module.clock.now()) : 0;',
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
  {
    name: "lock: after a release that failed it counts as held",
    promises: ["A65"],
    rule: '    this.#phase = "releasing";\n',
    broken: "",
  },
];
