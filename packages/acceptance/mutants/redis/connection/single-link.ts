import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a connection that is being opened is kept, although it is no longer trusted",
    promises: ["A44"],
    rule: "if (!this.#isAttemptTrusted) {",
    broken: "if (this.#closing.signal.aborted) {",
  },
  {
    name: "redis: calls that are cut off by a reset of our own learn only that they were disconnected",
    promises: ["C327"],
    rule: "    rejectInFlight(session.client, cause);\n",
    broken: "",
  },
  {
    name: "redis: each refused write leaves a replica",
    promises: ["C183"],
    rule: "if (now - this.#leftReplicaAt < REPLICA_MS) return;",
    broken: "",
  },
];
