import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "queue: a worker without room keeps the wake",
    promises: ["C233"],
    rule: "else this.#hasSpareWake = !this.#isStopping;",
    broken: "else this.#hasSpareWake = false;",
  },
  {
    name: "queue: leases of long handlers are not extended",
    promises: ["A58"],
    rule: "if (settings.isAuto) this.#beatLater();",
    broken: "",
  },
  {
    name: "queue: a worker asks again and again while the rate allows nothing",
    promises: ["A60"],
    rule: ' || this.#pause !== "none") return;',
    broken: ") return;",
  },
  {
    name: "queue: reports are dropped when Redis is away",
    promises: ["A56"],
    rule: "      this.#outcomes.unshift(...outcomes);\n",
    broken: "",
  },
];
