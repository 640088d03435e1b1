import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "lock: a release wakes all waiters of a process",
    promises: ["A64"],
    rule: "if (waiter.mayTry) return waiter.rouse();",
    broken: "if (waiter.mayTry) waiter.rouse();",
  },
  {
    name: "lock: a waiter tries as often as it is woken",
    promises: ["A64"],
    rule: "this.#mayTryAt = this.#clock.now() + PAUSE_MS;",
    broken: "this.#mayTryAt = this.#clock.now();",
  },
];
