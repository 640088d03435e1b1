import { parseDirectives, parseSeconds } from "./directives.ts";
import { joinedOf, type FieldLines } from "./fields.ts";
import { isExplicit, type Freshness } from "./freshness.ts";

/** The demands in the Cache-Control of a request (RFC 9111, section 5.2.1). */
export interface Demands {
  readonly noCache: boolean;
  readonly noStore: boolean;
  readonly onlyIfCached: boolean;
  readonly maxAgeMs: number | undefined;
  readonly minFreshMs: number;
  /** `Infinity`: any staleness. */
  readonly maxStaleMs: number;
}

/** The demands of most requests, and of all where clients are not obeyed. */
export const NO_DEMANDS: Demands = Object.freeze({
  noCache: false,
  noStore: false,
  onlyIfCached: false,
  maxAgeMs: undefined,
  minFreshMs: 0,
  maxStaleMs: 0,
});

export function demandsOf(request: FieldLines): Demands {
  const text = joinedOf(request, "cache-control");
  if (text === undefined) {
    const pragma = joinedOf(request, "pragma");
    return pragma !== undefined && /\bno-cache\b/i.test(pragma) ? { ...NO_DEMANDS, noCache: true } : NO_DEMANDS;
  }
  const directives = parseDirectives(text);
  const msOf = (name: string): number | undefined => {
    const argument = directives.get(name);
    const seconds = typeof argument === "string" ? parseSeconds(argument) : undefined;
    return seconds === undefined ? undefined : seconds * 1_000;
  };
  return {
    noCache: directives.has("no-cache"),
    noStore: directives.has("no-store"),
    onlyIfCached: directives.has("only-if-cached"),
    maxAgeMs: msOf("max-age"),
    minFreshMs: msOf("min-fresh") ?? 0,
    maxStaleMs: directives.get("max-stale") === true ? Infinity : (msOf("max-stale") ?? 0),
  };
}

/** A stored response as it is now. */
export interface Held {
  readonly freshness: Freshness;
  /** Since the origin made it. */
  readonly ageMs: number;
  /** Remaining freshness by the tier, which knows of soft purges; negative when stale. */
  readonly tierFreshForMs: number;
}

/** Remaining freshness; 0 or less when stale: a boundary instant belongs to the later state. */
export const freshForMs = ({ freshness, ageMs, tierFreshForMs }: Held): number =>
  Math.min(freshness.lifetimeMs - ageMs, tierFreshForMs);

/**
 * How a stored response may be used (RFC 9111, section 4). `serve-and-revalidate`: within stale-while-revalidate.
 *
 *   made ─fresh─▶ lifetime ─serve-and-revalidate─▶ +stale-while-revalidate ─revalidate─▶
 */
export type Reuse = "fresh" | "max-stale" | "serve-and-revalidate" | "revalidate";

export function decideReuse(demands: Demands, held: Held): Reuse {
  const { freshness, ageMs } = held;
  if (demands.noCache || freshness.mustValidate) return "revalidate";
  const remainingMs = freshForMs(held);
  const beyondMaxAgeMs = demands.maxAgeMs === undefined ? -Infinity : ageMs - demands.maxAgeMs;
  const stalenessMs = Math.max(-remainingMs, beyondMaxAgeMs);
  if (stalenessMs < 0) return remainingMs >= demands.minFreshMs ? "fresh" : "revalidate";
  if (demands.minFreshMs > 0 || freshness.mustRevalidate) return "revalidate";
  if (demands.maxStaleMs > 0 && stalenessMs <= demands.maxStaleMs) return "max-stale";
  const isInWindow = -remainingMs < freshness.staleWhileRevalidateMs;
  return isInWindow && beyondMaxAgeMs < 0 ? "serve-and-revalidate" : "revalidate";
}

/**
 * Whether others that wait for a response may have it with the one whose load it is: as a stored copy, without a
 * validation (RFC 9111, sections 4 and 5.2.2.4).
 */
export const answersOthers = (freshness: Freshness): boolean =>
  isExplicit(freshness) && !freshness.mustValidate && freshness.initialAgeMs < freshness.lifetimeMs;

/** How an origin failed: it answered 500, 502, 503 or 504; or it could not be reached, broke off, or was too slow. */
export type OriginFailure = "answered" | "unreachable";

/** Statuses for which a stale response may be served instead (RFC 5861, section 4). */
export const isServerFailure = (status: number): boolean =>
  status === 500 || status === 502 || status === 503 || status === 504;

/**
 * How long after its freshness a response may answer in place of this failure.
 *
 * @param whenDisconnectedMs where it is not given, 100 times the lifetime, at least a minute and at most a day: what is
 *   fresh for a second is not worth a day in a store.
 */
export const fallbackWindowMs = (
  { lifetimeMs, mustRevalidate, staleIfErrorMs }: Freshness,
  failure: OriginFailure,
  whenDisconnectedMs: number = Math.min(86_400_000, Math.max(60_000, 100 * lifetimeMs)),
): number =>
  mustRevalidate ? 0 : failure === "unreachable" ? Math.max(staleIfErrorMs, whenDisconnectedMs) : staleIfErrorMs;

/** Whether a stored response may answer although the origin failed to validate it. */
export function mayFallBack(
  demands: Demands,
  held: Held,
  failure: OriginFailure,
  whenDisconnectedMs: number | undefined,
): boolean {
  if (demands.noCache || held.freshness.mustRevalidate) return false;
  return -freshForMs(held) < fallbackWindowMs(held.freshness, failure, whenDisconnectedMs);
}
