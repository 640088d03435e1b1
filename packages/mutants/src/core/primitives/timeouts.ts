import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "timeouts: time in which the event loop stood still counts",
    promises: ["C130"],
    rule: "list.start(timeout);",
    broken: "this.#clock.schedule(() => timeout.pass(), length);",
  },
  {
    name: "timers: a process ends while a backend call waits for its deadline",
    promises: ["C443"],
    rule: "if (this.#running === 0) this.#release = holdProcess(this.#clock);",
    broken: "",
  },
];
