import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "lock: a fence of a quorum is known to one server alone",
    promises: ["C237"],
    rule: "const isKnown = await this.extend(holder, ttlMs, fence);",
    broken: "const isKnown = true;",
  },
  {
    name: "lock: a server that does not answer counts as one that refuses",
    promises: ["C237"],
    rule: "else if (errors.length > most) reject(away(errors, asked.length));",
    broken: "else if (errors.length > most) resolve(undefined);",
  },
  {
    name: "lock: a lock counts before its replicas have it",
    promises: ["C236"],
    rule: "if (Number(reached) >= count) return reply;",
    broken: "if (Number(reached) >= 0) return reply;",
  },
  {
    name: "lock: an attempt whose reply was lost is not sent again",
    promises: ["A66"],
    rule: "if (!isLostReply(error)) throw error;",
    broken: "throw error;",
  },
  {
    name: "lock: a wait does not bound the attempt",
    promises: ["C500"],
    rule: "{ deadlineMs: Math.max(leftMs, LEAST_MS) }",
    broken: "{}",
  },
  {
    name: "lock: a wait does not bound the wait for a connection of the pool",
    promises: ["C500"],
    rule: "{ key, signal: waiting }",
    broken: "{ key, ...(signal && { signal }) }",
  },
];
