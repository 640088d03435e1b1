import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "backend: an open breaker probes as often as at first",
    promises: ["C97"],
    rule: "this.#waitMs * 2)",
    broken: "this.#waitMs)",
  },
  {
    name: "backend: the breaker never opens",
    promises: ["C97"],
    rule: "failures: 5,",
    broken: "failures: Infinity,",
  },
  {
    name: "backend: an open breaker lets several calls probe",
    promises: ["C97"],
    rule: "if (this.#isProbing || this",
    broken: "if (this",
  },
  {
    name: "backend: a probe admits one call, and refuses the other half of a set",
    promises: ["C131"],
    rule: 'this.#companion = kind === "tags" ? "entries" : "tags";',
    broken: "",
  },
  {
    name: "backend: a probe admits all calls of its tick",
    promises: ["C131"],
    rule: "if (kind === this.#companion) {\n      this.#companion = undefined;",
    broken: "if (this.#companion !== undefined) {",
  },
  {
    name: "backend: an open breaker lets calls through at once",
    promises: ["C97"],
    rule: " || this.#clock.now() < this.#probeAt",
    broken: "",
  },
  {
    name: "backend: every breaker is of the default",
    promises: ["C266"],
    rule: "this.#policy = policy;",
    broken: "this.#policy = DEFAULT_POLICY;",
  },
  {
    name: "core: a heartbeat that was sent before the last failure closes the breaker",
    promises: ["C328"],
    rule: "sentAt >= this.#failedAt && ",
    broken: "",
  },
  {
    name: "core: a heartbeat that was slower than a call may be closes the breaker",
    promises: ["C328"],
    rule: " && this.#clock.now() - sentAt < deadlineMs;",
    broken: ";",
  },
];
