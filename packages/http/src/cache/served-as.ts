import type { CacheStatus } from "../semantics/cache-status.ts";
import { freshForMs, type Held, type Reuse } from "../semantics/reuse.ts";
import type { AnswerEvent } from "./stats.ts";

/** How a stored response came to be the answer. */
export type ServedAs = Reuse | "validated" | "collapsed" | "error";

export const SERVED_AS: Readonly<Record<ServedAs, AnswerEvent["outcome"]>> = {
  fresh: "hit",
  "max-stale": "stale",
  "serve-and-revalidate": "stale",
  revalidate: "stale",
  error: "stale",
  validated: "revalidated",
  collapsed: "collapsed",
};

export function statusOf(as: ServedAs, held: Held): CacheStatus {
  const remainingMs = freshForMs(held);
  switch (as) {
    case "fresh":
      return { hit: true, freshForMs: remainingMs };
    case "collapsed":
      return { forward: "uri-miss", freshForMs: remainingMs, collapsed: true };
    case "validated":
      return { forward: "stale", forwardStatus: 304, freshForMs: remainingMs, stored: true };
    default:
      return { hit: true, freshForMs: remainingMs, detail: as === "serve-and-revalidate" ? "revalidating" : as };
  }
}
