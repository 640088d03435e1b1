import type { Entry } from "../entry/entry.ts";
import { canServeOnError, judge, type Windows } from "../entry/freshness.ts";
import type { LoadOptions } from "../entry/policy.ts";
import { toMs } from "../primitives/duration.ts";
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

/** A load that failed. */
export interface Failure {
  readonly error: unknown;
  /** Set by its loader until then. */
  readonly options?: LoadOptions | undefined;
}

/** An entry, and the label of the tier that has it. */
export interface Offer {
  readonly entry: Entry | undefined;
  readonly tier: string;
}

/**
 * The answer that a call gets for an entry, or `undefined`: then it waits for a load, or gets the error. This is the
 * one place that decides it, for the copy of a tier, for an entry that was read, and for the flight that a call joins.
 *
 * @param failure the load that failed, now or a moment ago.
 */
export function answerFor(
  { entry, tier }: Offer,
  windows: Windows,
  now: number,
  situation: Situation,
  failure?: Failure,
): Answer | undefined {
  if (entry === undefined) return undefined;
  if (situation === "error" || situation === "timeout")
    return covers(entry, windows, now, failure) ? stale(entry, tier, situation) : undefined;
  switch (judge(entry, now, windows)) {
    case "fresh":
    case "ahead":
      return hit(entry, tier);
    case "revalidate":
      return stale(entry, tier, situation === "found" ? "revalidating" : "error");
    case "fallback":
      return situation === "backing-off" && covers(entry, windows, now, failure)
        ? stale(entry, tier, "error")
        : undefined;
    case "absent":
      return undefined;
  }
}

/** Whether the entry may be served in place of the failure, for the caller and for the loader that failed. */
function covers(entry: Entry, windows: Windows, now: number, failure: Failure | undefined): boolean {
  if (!canServeOnError(entry, now, windows)) return false;
  if (failure === undefined) return true;
  const { error, options } = failure;
  const isSaidTo = (coversError: Windows["coversError"]): boolean =>
    coversError === undefined || asks(coversError, error);
  if (!isSaidTo(windows.coversError) || !isSaidTo(options?.coversError)) return false;
  const staleIfErrorMs = options?.staleIfError === undefined ? undefined : toMs("staleIfError", options.staleIfError);
  return canServeOnError(entry, now, { ...windows, staleIfErrorMs });
}

/** A predicate that throws, or returns a promise, covers nothing: the error of the load reaches the caller. */
function asks(coversError: (error: unknown) => boolean, error: unknown): boolean {
  try {
    return coversError(error) === true;
  } catch {
    return false;
  }
}
