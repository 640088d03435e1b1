import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "limits: every decision waits for a Redis that is away",
    promises: ["A76"],
    rule: "if (error instanceof BackendUnavailableError) breaker.open();",
    broken: "",
  },
  {
    name: "limits: a Redis that is back is not asked",
    promises: ["A76"],
    rule: "asked.then(close,",
    broken: "asked.then(() => undefined,",
  },
  {
    name: "limits: one shard that is away stands for all",
    promises: ["A76"],
    rule: "connection.isCluster ? Math.floor(hashSlot(inside) / SLOTS_OF_ONE) : 0",
    broken: "0",
  },
];
