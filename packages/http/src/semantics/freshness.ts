import { parseDate } from "./dates.ts";
import { parseSeconds, permits, secondsOf, type Directives } from "./directives.ts";
import { firstOf, joinedOf, type FieldLines, type Head } from "./fields.ts";
import type { Settings } from "./settings.ts";
import { hasValidator } from "./validators.ts";

/** When the request was sent, and when the head of its response came: milliseconds since 1970, of one machine. */
export interface Exchange {
  readonly sentAt: number;
  readonly receivedAt: number;
}

/** How long a response may be reused. */
export interface Freshness {
  readonly lifetimeMs: number;
  /** Age of the response when it was received (RFC 9111, section 4.2.3). */
  readonly initialAgeMs: number;
  /** Window after the lifetime (RFC 5861). 0 where the response forbids stale answers. */
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  /** Whether the response may not be served stale, for no reason and to no client. */
  readonly mustRevalidate: boolean;
  /** Whether each use needs a validation first: an unqualified `no-cache`. */
  readonly mustValidate: boolean;
  readonly source: "targeted" | "s-maxage" | "max-age" | "expires" | "heuristic" | "default" | "override" | "none";
}

/** Statuses that are cacheable without explicit freshness (RFC 9110, section 15.1), without 206. */
export const HEURISTICALLY_CACHEABLE: ReadonlySet<number> = new Set([
  200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501,
]);

/** How long a response may be reused, by the directives that govern this cache. */
export function freshnessUnder(
  { directives, isTargeted }: { readonly directives: Directives; readonly isTargeted: boolean },
  head: Head,
  exchange: Exchange,
  settings: Settings,
): Freshness {
  const { isShared, defaults, override } = settings;
  const { lifetimeMs, source } =
    override.ttlMs === undefined
      ? lifetimeOf(directives, isTargeted, head, { exchange, settings })
      : { lifetimeMs: override.ttlMs, source: "override" as const };
  const mustValidate = source !== "override" && needsValidation(directives, head.fields, source);
  const mustRevalidate =
    mustValidate ||
    directives.has("must-revalidate") ||
    (isShared && (directives.has("proxy-revalidate") || directives.has("s-maxage")));
  const windowMs = (name: string, given: number | undefined, otherwise: number | undefined): number =>
    mustRevalidate ? 0 : (given ?? msOf(secondsOf(directives, name)) ?? otherwise ?? 0);
  return {
    lifetimeMs,
    initialAgeMs: initialAgeMs(head.fields, exchange),
    staleWhileRevalidateMs: windowMs(
      "stale-while-revalidate",
      override.staleWhileRevalidateMs,
      defaults.staleWhileRevalidateMs,
    ),
    staleIfErrorMs: windowMs("stale-if-error", override.staleIfErrorMs, defaults.staleIfErrorMs),
    mustRevalidate,
    mustValidate,
    source,
  };
}

type Lifetime = Pick<Freshness, "lifetimeMs" | "source">;

/** RFC 9111, section 4.2.1. A targeted field replaces Cache-Control and Expires wholly. */
function lifetimeOf(
  directives: Directives,
  isTargeted: boolean,
  head: Head,
  { exchange, settings }: { readonly exchange: Exchange; readonly settings: Settings },
): Lifetime {
  const { receivedAt } = exchange;
  const sharedMs = settings.isShared ? msOf(secondsOf(directives, "s-maxage")) : undefined;
  const maxAgeMs = sharedMs ?? msOf(secondsOf(directives, "max-age"));
  if (maxAgeMs !== undefined) {
    const source = isTargeted ? "targeted" : sharedMs === undefined ? "max-age" : "s-maxage";
    return { lifetimeMs: maxAgeMs, source };
  }
  const date = dateOf(head.fields, receivedAt);
  const expires = isTargeted ? undefined : joinedOf(head.fields, "expires");
  // Anything but one date is in the past (RFC 9111, section 5.3).
  if (expires !== undefined)
    return { lifetimeMs: Math.max(0, (parseDate(expires, receivedAt) ?? 0) - date), source: "expires" };
  if (!HEURISTICALLY_CACHEABLE.has(head.status) && !permits(directives, "public"))
    return { lifetimeMs: 0, source: "none" };
  const { heuristic, defaults } = settings;
  if (defaults.ttlMs !== undefined) return { lifetimeMs: defaults.ttlMs, source: "default" };
  const modified = parseDate(firstOf(head.fields, "last-modified"), receivedAt);
  if (heuristic === undefined || modified === undefined || modified > date) return { lifetimeMs: 0, source: "none" };
  return { lifetimeMs: Math.min((date - modified) * heuristic.fraction, heuristic.maxMs), source: "heuristic" };
}

/** `Pragma: no-cache` of a response counts where nothing else says how long it is fresh. */
const needsValidation = (directives: Directives, fields: FieldLines, source: Freshness["source"]): boolean =>
  directives.get("no-cache") === true ||
  (directives.size === 0 && source !== "expires" && /\bno-cache\b/i.test(joinedOf(fields, "pragma") ?? ""));

/** RFC 9111, section 4.2.3, without the time in the cache: that is counted by the clock of the tier. */
export function initialAgeMs(fields: FieldLines, { sentAt, receivedAt }: Exchange): number {
  // Date has whole seconds, so a second of the difference may be its rounding.
  const apparentMs = receivedAt - dateOf(fields, receivedAt) - 1_000;
  return Math.max(0, apparentMs, parseAge(joinedOf(fields, "age")) * 1_000 + (receivedAt - sentAt));
}

const dateOf = (fields: FieldLines, receivedAt: number): number =>
  parseDate(firstOf(fields, "date"), receivedAt) ?? receivedAt;

/** Seconds of the first member of an Age field; parameters, and anything but a number of seconds, are ignored. */
export function parseAge(text: string | undefined): number {
  if (text === undefined) return 0;
  const [first = ""] = text.split(",", 1);
  const [digits = ""] = first.split(";", 1);
  return parseSeconds(digits.trim()) ?? 0;
}

/** Whether the response says how long it is fresh, or a rule does. */
export const isExplicit = ({ source }: Freshness): boolean => source !== "heuristic" && source !== "none";

/** Whether the response says that it answers further requests for some time, without a validation. */
export const isReusedAtFirst = (freshness: Freshness): boolean =>
  isExplicit(freshness) &&
  !freshness.mustValidate &&
  (freshness.lifetimeMs > 0 || freshness.staleWhileRevalidateMs > 0);

/** Whether keeping it can save anything: it is fresh for some time, or can be validated. */
export const isWorthKeeping = (freshness: Freshness, fields: FieldLines): boolean =>
  hasValidator(fields) || (!freshness.mustValidate && (freshness.lifetimeMs > 0 || isExplicit(freshness)));

const msOf = (seconds: number | undefined): number | undefined => (seconds === undefined ? undefined : seconds * 1_000);
