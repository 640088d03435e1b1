import { parseDate } from "./dates.ts";
import { firstOf, joinedOf, type FieldLine, type FieldLines } from "./fields.ts";

/** Whether a response can be validated: it has an ETag or a Last-Modified. */
export const hasValidator = (fields: FieldLines): boolean =>
  firstOf(fields, "etag") !== undefined || firstOf(fields, "last-modified") !== undefined;

/** Conditions and ranges of a client: they concern its own copy, and do not go along with a load for all. */
export const CONDITIONAL_FIELDS: ReadonlySet<string> = new Set([
  "if-match",
  "if-modified-since",
  "if-none-match",
  "if-range",
  "if-unmodified-since",
  "range",
]);

/** The conditions that ask whether `stored` is still current (RFC 9111, section 4.3.1). */
export function conditionsOf(stored: FieldLines): FieldLines {
  const conditions: FieldLine[] = [];
  const etag = firstOf(stored, "etag");
  const lastModified = firstOf(stored, "last-modified");
  if (etag !== undefined) conditions.push(["if-none-match", etag]);
  if (lastModified !== undefined) conditions.push(["if-modified-since", lastModified]);
  return conditions;
}

/**
 * Whether the client's copy is the stored response, so that 304 answers it (RFC 9110, section 13.2.2). If-None-Match
 * goes before If-Modified-Since.
 */
export function isUnmodified(request: FieldLines, stored: FieldLines, nowMs: number): boolean {
  const ifNoneMatch = joinedOf(request, "if-none-match");
  if (ifNoneMatch !== undefined) return matchesWeakly(ifNoneMatch, firstOf(stored, "etag"));
  const since = parseDate(firstOf(request, "if-modified-since"), nowMs);
  const modified = parseDate(firstOf(stored, "last-modified"), nowMs);
  return since !== undefined && modified !== undefined && modified <= since;
}

/** Whether a list of entity tags, or `*`, has this one by the weak comparison (RFC 9110, section 8.8.3.2). */
export function matchesWeakly(list: string, etag: string | undefined): boolean {
  if (etag === undefined) return false;
  if (list.trim() === "*") return true;
  const wanted = opaqueOf(etag.trim());
  return (list.match(TAGS) ?? []).some((tag) => opaqueOf(tag) === wanted);
}

/** Whether a range of the stored response is what the client lacks (RFC 9110, section 13.1.5): equal, and strong. */
export function holdsIfRange(ifRange: string | undefined, stored: FieldLines, nowMs: number): boolean {
  if (ifRange === undefined) return true;
  if (ifRange.startsWith('"')) return ifRange === firstOf(stored, "etag");
  const lastModified = firstOf(stored, "last-modified");
  if (parseDate(ifRange, nowMs) === undefined || ifRange !== lastModified) return false;
  // A Last-Modified is strong when the response was made at least a second later (RFC 9110, section 8.8.2.2).
  const date = parseDate(firstOf(stored, "date"), nowMs);
  return date !== undefined && date - parseDate(lastModified, nowMs)! >= 1_000;
}

export const isStrong = (etag: string): boolean => !/^W\//i.test(etag.trim());

/** Without `W/`, and quoted: some servers leave the quotes out. */
function opaqueOf(tag: string): string {
  const opaque = isStrong(tag) ? tag : tag.slice(2);
  return opaque.startsWith('"') ? opaque : `"${opaque}"`;
}

/** A quoted tag, or one without quotes, each with `W/` or not. */
const TAGS = /(?:W\/)?"[^"]*"|[^\s,"]+/gi;
