import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "deadlines: time in which the event loop stood still counts",
    promises: ["C130"],
    rule: "if (lateMs <= 0) return;",
    broken: "if (lateMs !== -1) return;",
  },
  {
    name: "deadlines: what began while the event loop stood still has more than its length",
    promises: ["C130"],
    rule: "Math.min(each.dueAt + lateMs, latest)",
    broken: "each.dueAt + lateMs + 0 * latest",
  },
  {
    name: "async context: a timer that serves many calls runs in that of the first",
    promises: ["C393", "C394"],
    rule: "inNoCall(() => this.#clock.schedule(() => this.#expire(expectedAt), delayMs));",
    broken: "this.#clock.schedule(() => this.#expire(expectedAt), delayMs);",
  },
];
