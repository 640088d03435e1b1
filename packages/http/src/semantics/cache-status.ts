import { joinedOf, type FieldLines } from "./fields.ts";

/** The part of this cache in an answer, for the Cache-Status field (RFC 9211). */
export interface CacheStatus {
  readonly hit?: boolean | undefined;
  readonly forward?: "uri-miss" | "vary-miss" | "stale" | "request" | "method" | "bypass" | "partial" | undefined;
  readonly forwardStatus?: number | undefined;
  readonly stored?: boolean | undefined;
  readonly collapsed?: boolean | undefined;
  /** Remaining freshness; negative when stale. */
  readonly freshForMs?: number | undefined;
  readonly key?: string | undefined;
  readonly detail?: string | undefined;
}

/** The member of this cache. Names of caches and details are tokens where they can be, else strings. */
export function memberOf(cache: string, status: CacheStatus): string {
  const { hit, forward, forwardStatus, stored, collapsed, freshForMs, key, detail } = status;
  let member = textOf(cache);
  if (hit === true) member += "; hit";
  if (forward !== undefined) member += `; fwd=${forward}`;
  if (forwardStatus !== undefined) member += `; fwd-status=${forwardStatus}`;
  if (freshForMs !== undefined) member += `; ttl=${wholeSeconds(freshForMs)}`;
  if (stored === true) member += "; stored";
  if (collapsed === true) member += "; collapsed";
  if (key !== undefined) member += `; key=${stringOf(key)}`;
  return detail === undefined ? member : `${member}; detail=${textOf(detail)}`;
}

/** Members of caches nearer to the origin are kept, before ours. */
export function withMember(fields: FieldLines, member: string): FieldLines {
  const earlier = joinedOf(fields, "cache-status");
  const others = earlier === undefined ? fields : fields.filter(([name]) => name !== "cache-status");
  return [...others, ["cache-status", earlier === undefined ? member : `${earlier}, ${member}`]];
}

/** Within what a structured field can write. */
const wholeSeconds = (ms: number): number => Math.max(-LARGEST, Math.min(LARGEST, Math.floor(ms / 1_000)));

const textOf = (text: string): string => (TOKEN.test(text) ? text : stringOf(text));
const stringOf = (text: string): string => `"${text.replace(/[^\x20-\x7e]/g, "?").replace(/[\\"]/g, String.raw`\$&`)}"`;

const TOKEN = /^[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*$/;
const LARGEST = 999_999_999_999_999;
