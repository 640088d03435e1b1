import type { Entry } from "../entry/entry.ts";
import { canServeOnError, judge, type Windows } from "../entry/freshness.ts";
import { hit, stale, type Answer } from "./answers.ts";

/**
 * Where a call is when an entry is offered to it:
 *
 * - `found`: the entry is the best that there is; a load may follow
 * - `backing-off`: as `found`, and the last load failed a moment ago
 * - `error`: its load has failed
 * - `timeout`: its load failed by a timeout, or its own time is over
 */
export type Situation = "found" | "backing-off" | "error" | "timeout";

/** An entry, and the label of the tier that has it. */
export interface Offer {
  readonly entry: Entry | undefined;
  readonly tier: string;
}

/**
 * The answer that a call gets for an entry, or `undefined`: then it waits for a load, or gets the error. This is the
 * one place that decides it, for the copy of a tier, for an entry that was read, and for the flight that a call joins.
 */
export function answerFor(
  { entry, tier }: Offer,
  windows: Windows,
  now: number,
  situation: Situation,
): Answer | undefined {
  if (entry === undefined) return undefined;
  if (situation === "error" || situation === "timeout")
    return canServeOnError(entry, now, windows) ? stale(entry, tier, situation) : undefined;
  switch (judge(entry, now, windows)) {
    case "fresh":
    case "ahead":
      return hit(entry, tier);
    case "revalidate":
      return stale(entry, tier, situation === "found" ? "revalidating" : "error");
    case "fallback":
      return situation === "backing-off" && canServeOnError(entry, now, windows)
        ? stale(entry, tier, "error")
        : undefined;
    case "absent":
      return undefined;
  }
}
