import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "metrics: every name of a command is a label",
    promises: ["C264"],
    rule: "recorders.size < MAX_OPERATIONS ? name : OTHER",
    broken: "name",
  },
  {
    name: "metrics: bytes that were received are those that were sent",
    promises: ["C288"],
    rule: "redis.stats().connection.bytesReceived",
    broken: "redis.stats().connection.bytesSent",
  },
];
