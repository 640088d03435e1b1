import type { Entry } from "../entry/entry.ts";
import type { NotGranted } from "../tiers/entry-tier.ts";
import type { LocalCopies } from "../tiers/local-copies.ts";
import type { Flight } from "./flight.ts";

// The sentences of `explain`: one function for each kind of decision. They are called only where a log is kept.

/** @param isHidden whether a pending invalidation of this process covers `entry`. */
export function describeRead(flight: Flight, entry: Entry | undefined, isHidden: boolean, now: number): string {
  const version = flight.seen === "" ? "" : `, version ${flight.seen}`;
  const change = flight.isTainted ? "; changed meanwhile: no copy is kept" : "";
  return `${describeState(flight, entry, isHidden, now)}${version}${change}`;
}

function describeState(flight: Flight, entry: Entry | undefined, isHidden: boolean, now: number): string {
  if (isHidden) return "hidden: an invalidation of it is pending";
  if (entry?.terms.placeholder !== undefined) return `a placeholder: ${entry.terms.placeholder}`;
  if (entry === undefined) return flight.seen === "" ? "nothing" : "an entry that is not valid";
  return now < entry.staleAt ? "fresh" : "stale";
}

/** @param copy the local copy that is served as fallback. */
export const describeUnreachable = (copy: Entry | undefined): string =>
  copy === undefined ? "unreachable" : "unreachable: the local copy is served as fallback";

export function describeLease(flight: Flight, refusal?: NotGranted): string {
  if (refusal?.kind === "held") return `held elsewhere, for ${Math.round(refusal.heldForMs)} ms at most`;
  if (refusal !== undefined) return `stored elsewhere since, version ${refusal.seen}`;
  const { lease, isUnleased, isUnreachable } = flight.climb;
  if (lease !== undefined) return `granted, ${lease.token}`;
  if (isUnleased) return "none: the last value was not shared, or not stored";
  return isUnreachable ? "none: the backend is unreachable" : "none";
}

export const describeLoad = ({ reason, isAwaited }: Flight, durationMs: number): string =>
  `${reason}${isAwaited ? "" : ", in the background"}, ${Math.round(durationMs)} ms`;

export const describeFailure = (error: unknown): string =>
  `failed: ${error instanceof Error ? error.name : typeof error}`;

export function describeStore(flight: Flight, result: string, local: LocalCopies | undefined): string {
  const { fencedBy, key, climb } = flight;
  if (result === "stored" && local?.hasLocalOnly(key.local) === true)
    return "stored in memory alone: the backend does not have the value";
  const fence = fencedBy === undefined ? "" : ` by ${fencedBy}`;
  const version = result === "stored" && climb.lease !== undefined ? `, version ${climb.lease.token}` : "";
  return `${result}${fence}${version}`;
}

/** @param tags empty for a whole namespace. */
export function describeInvalidation(tags: readonly string[], mode: "hard" | "soft"): string {
  if (tags.length === 0) return mode === "hard" ? "cleared here" : "all marked stale here";
  return `tags ${tags.join(", ")} ${mode === "hard" ? "invalidated" : "marked stale"} here`;
}
