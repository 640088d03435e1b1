import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: each refused write leaves a replica",
    promises: ["C183"],
    rule: "if (now - this.#leftReplicaAt < REPLICA_MS) return;",
    broken: "",
  },
];
