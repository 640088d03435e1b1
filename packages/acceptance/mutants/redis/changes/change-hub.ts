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
    rule: "        listener.lost(error, part);\n",
    broken: "",
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
    rule: "if (!groups.some((group) => group.part === part)) refusedBy.delete(part);",
    broken: "if (groups.length === 0) refusedBy.delete(part);",
  },
  {
    name: "redis: the refusal of a topic of another listener is a loss for all",
    promises: ["C366"],
    rule: " || wasAttaching || this.#isAttaching) return;",
    broken: ") return;",
  },
];
