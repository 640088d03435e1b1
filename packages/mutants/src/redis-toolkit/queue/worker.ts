import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "queue: a worker without room keeps the wake",
    promises: ["C233"],
    rule: "else this.#hasSpareWake ||= isWoken;",
    broken: "",
  },
  {
    name: "queue: a wake that comes before the reply of an exchange is forgotten",
    promises: ["C233"],
    rule: "this.#wasWoken || delivered.length",
    broken: "delivered.length",
  },
  {
    name: "queue: a wake that comes while an exchange fills the worker is kept",
    promises: ["C233"],
    rule: "if (this.#wasWoken && this.#free === 0) this.#hasSpareWake = true;",
    broken: "",
  },
  {
    name: "queue: a worker that has stopped goes on reporting",
    promises: ["C233"],
    rule: ' || this.#phase === "stopped") return;',
    broken: ") return;",
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
  {
    name: "queue: after some repeats a worker does not look for others that are due",
    promises: ["C387"],
    rule: "    if (fired > 0) this.#mayHaveJobs = true;\n",
    broken: "",
  },
  {
    name: "queue: options that differ are not reported",
    promises: ["C486"],
    rule: "this.#compareOptions(reply.delivered);",
    broken: "",
  },
];
