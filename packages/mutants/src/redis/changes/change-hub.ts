import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: each listener that attaches subscribes anew",
    promises: ["C359"],
    rule: "(this.#nextAttempt ??= this.#whenReachable()",
    broken: "(this.#nextAttempt = this.#whenReachable()",
  },
  {
    name: "redis: a later listener joins an attempt that was sent",
    promises: ["C359"],
    rule: "        this.#nextAttempt = undefined;\n",
    broken: "",
  },
  {
    name: "redis: a primary that refuses to report changes later is not reported",
    promises: ["C366"],
    rule: "refusedBy.add(part);\n        listener.lost(error, part);\n",
    broken: "refusedBy.add(part);\n",
  },
  {
    name: "redis: a refusal of a primary is reported with each heartbeat",
    promises: ["C366"],
    rule: "        refusedBy.add(part);\n",
    broken: "",
  },
  {
    name: "redis: a primary that was gone and refuses again is not reported",
    promises: ["C366"],
    rule: "        refusedBy.delete(part);\n        listener.lost",
    broken: "        listener.lost",
  },
  {
    name: "redis: the refusal of a topic of another listener is a loss for all",
    promises: ["C366"],
    rule: " || wasAttaching || this.#isAttaching) return;",
    broken: ") return;",
  },
];
