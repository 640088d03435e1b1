import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a connection that is being opened is kept, although it is no longer trusted",
    promises: ["A44"],
    rule: "if (!this.#isAttemptTrusted) {",
    broken: "if (this.#closing.signal.aborted) {",
  },
  {
    name: "redis: each refused write leaves a replica",
    promises: ["C183"],
    rule: "if (now - this.#leftReplicaAt < REPLICA_MS) return;",
    broken: "",
  },
];
