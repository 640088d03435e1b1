import type { Served } from "hotset";

/**
 * How the cache answered, as the two HTTP headers for it.
 *
 * A stale answer is a hit whose `ttl` is negative. `detail` names the tier.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9211#section-2
 * @see https://www.rfc-editor.org/rfc/rfc9111#section-5.1
 */
export function cacheHeaders({
  status,
  tier,
  ageMs,
  freshForMs,
  coalesced,
}: Served): Readonly<Record<"age" | "cache-status", string>> {
  const how =
    status === "miss"
      ? `fwd=miss${coalesced ? "; collapsed" : ""}`
      : `hit; ttl=${Math.floor(freshForMs / 1_000)}; detail=${tier}`;
  return { age: String(Math.floor(ageMs / 1_000)), "cache-status": `hotset; ${how}` };
}

/**
 * How one answer was produced, as a client reads it from `Cache-Status`: `miss`, `stale`, or a fresh hit of memory or
 * of the store below it.
 */
export type Outcome = "miss" | "stale" | "memory" | "store";

/** @throws {Error} for a header that {@link cacheHeaders} did not write. */
export function outcomeOf(cacheStatus: string | undefined): Outcome {
  const match = /^hotset; (?:(fwd=miss)|hit; ttl=(-?\d+); detail=(memory|redis|sqlite)$)/.exec(cacheStatus ?? "");
  if (match === null) throw new Error(`Cache-Status is ${JSON.stringify(cacheStatus)}`);
  const [, miss, ttl, tier] = match;
  if (miss !== undefined) return "miss";
  if (Number(ttl) < 0) return "stale";
  return tier === "memory" ? "memory" : "store";
}
