import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: a replica is ready",
    promises: ["A87"],
    rule: 'role === "replica" ? failed("a replica, which takes no writes")',
    broken: 'role === "replica" ? passed("a replica, which takes no writes")',
  },
  {
    name: "toolkit: one dead primary of three ends the service",
    promises: ["A87"],
    rule: 'ready === servers.length ? "ready" : "degraded"',
    broken: 'ready === servers.length ? "ready" : "unready"',
  },
  {
    name: "toolkit: a server that evicts is short of memory",
    promises: ["A87"],
    rule: 'maxMemoryPolicy === "noeviction" && usedMemory',
    broken: "usedMemory",
  },
];
