/**
 * Header fields of one message, in the order in which they came: names in lower case, a line for each occurrence.
 * Values are text of one character for each byte.
 */
export type FieldLines = readonly FieldLine[];

/** The head of a response. */
export interface Head {
  readonly status: number;
  readonly fields: FieldLines;
  /**
   * Whether the handler failed, and its framework made this answer of the error: a stale response may then be served
   * instead, as when the origin cannot be reached.
   */
  readonly isFailure?: boolean | undefined;
}

/** One field: its name in lower case, and its value. */
export type FieldLine = readonly [name: string, value: string];

/** The first line of this name. */
export function firstOf(fields: FieldLines, name: string): string | undefined {
  for (const line of fields) if (line[0] === name) return line[1];
  return undefined;
}

/** All lines of this name as one (RFC 9110, section 5.3). */
export function joinedOf(fields: FieldLines, name: string): string | undefined {
  let joined: string | undefined;
  for (const line of fields) if (line[0] === name) joined = joined === undefined ? line[1] : `${joined}, ${line[1]}`;
  return joined;
}

export const without = (fields: FieldLines, names: ReadonlySet<string>): FieldLines =>
  fields.filter(([name]) => !names.has(name));

/** Index of the quote that ends the quoted string which begins at `from`; `undefined` when none does within 8 KiB. */
export function endOfQuoted(text: string, from: number): number | undefined {
  const last = Math.min(text.length, from + LONGEST_QUOTED);
  for (let at = from + 1; at < last; at++) {
    const char = text.charCodeAt(at);
    if (char === BACKSLASH) at++;
    else if (char === QUOTE) return at;
  }
  return undefined;
}

/** Names in a list field such as Connection or Vary, in lower case, each once. */
export function namesIn(list: string | undefined): readonly string[] {
  if (list === undefined) return [];
  const names = new Set<string>();
  for (const name of list.split(",")) {
    const trimmed = name.trim();
    if (trimmed !== "") names.add(trimmed.toLowerCase());
  }
  return [...names];
}

/** Fields of one connection, which no cache may store or forward (RFC 9111, section 3.1; RFC 9110, section 7.6.1). */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authentication-info",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Decided upon by a cache, so a Connection field that names one removes what others decide by. */
const DECIDING: ReadonlySet<string> = new Set([
  "age",
  "authorization",
  "cache-control",
  "content-length",
  "date",
  "etag",
  "expires",
  "set-cookie",
  "vary",
]);

/** Without the fields of the connection, and without those of HTTP/2 and later that begin with a colon. */
export function endToEnd(fields: FieldLines): FieldLines {
  const named = namesIn(joinedOf(fields, "connection"));
  return fields.filter(([name]) => !HOP_BY_HOP.has(name) && name.charCodeAt(0) !== COLON && !named.includes(name));
}

/** Whether Connection names a field by which caches decide: a response that may be forwarded, and not stored. */
export const hidesDecidingField = (fields: FieldLines): boolean =>
  namesIn(joinedOf(fields, "connection")).some((name) => DECIDING.has(name));

const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** Visible text, spaces, tabs and obs-text; no CR, LF or NUL, which would split a message (RFC 9110, section 5.5). */
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

export const isValidField = ([name, value]: FieldLine): boolean => FIELD_NAME.test(name) && FIELD_VALUE.test(value);

/** Most fields, and most bytes of names and values, of a message that is cached. */
export interface FieldLimits {
  readonly maxFields: number;
  readonly maxFieldBytes: number;
}

export function exceedsLimits(fields: FieldLines, { maxFields, maxFieldBytes }: FieldLimits): boolean {
  if (fields.length > maxFields) return true;
  let bytes = 0;
  for (const [name, value] of fields) if ((bytes += name.length + value.length) > maxFieldBytes) return true;
  return false;
}

const QUOTE = 0x22;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const LONGEST_QUOTED = 8_192;
