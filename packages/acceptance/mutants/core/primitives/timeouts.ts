import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "timeouts: time in which the event loop stood still counts",
    promises: ["C130"],
    rule: "list.start(timeout);",
    broken: "this.#clock.schedule(() => timeout.pass(), length);",
  },
];
