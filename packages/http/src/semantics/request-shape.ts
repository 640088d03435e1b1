import type { FieldLimits, FieldLines } from "./fields.ts";

/** A request as it came. */
export interface RequestShape {
  readonly method: string;
  readonly url: string;
  readonly fields: FieldLines;
  readonly hasBody: boolean;
}

/** Fields that make some handlers treat a request as one of another method or another URL. */
const OVERRIDES: readonly string[] = [
  "x-http-method",
  "x-http-method-override",
  "x-method-override",
  "x-original-url",
  "x-rewrite-url",
];

/** Fields by which it is decided whether a request is cached. */
const TELLING: ReadonlySet<string> = new Set([
  ...["accept", "authorization", "content-length", "host", "transfer-encoding", "upgrade"],
  ...OVERRIDES,
]);

/**
 * Why a request is forwarded and never cached, if it is: two servers could read it differently, so its response could
 * answer another request. `authorization`: unless loads may have that field.
 */
export function refusalOfRequest(
  request: RequestShape,
  { maxFields, maxFieldBytes }: FieldLimits,
): "method" | "limits" | "host" | "ambiguous" | "stream" | "authorization" | undefined {
  const { method, url, fields, hasBody } = request;
  if (method !== "GET" && method !== "HEAD") return "method";
  if (url.length > LONGEST_URL || fields.length > maxFields) return "limits";
  let bytes = 0;
  let hosts = 0;
  let lengths = 0;
  let isAmbiguous = hasBody;
  let isStream = false;
  let isOfUser = false;
  // Every request comes here: one pass.
  for (const [name, value] of fields) {
    bytes += name.length + value.length;
    if (!TELLING.has(name)) continue;
    if (name === "host") hosts++;
    // It never ends, and others must not wait for it.
    else if (name === "authorization") isOfUser = true;
    else if (name === "accept") isStream ||= EVENT_STREAM.test(value);
    else if (name !== "content-length" || ++lengths > 1 || value.trim() !== "0") isAmbiguous = true;
  }
  if (bytes > maxFieldBytes) return "limits";
  if (hosts > 1) return "host";
  return isAmbiguous ? "ambiguous" : isStream ? "stream" : isOfUser ? "authorization" : undefined;
}

const EVENT_STREAM = /^\s*text\/event-stream\b/i;

/** Whether a key can be made of this URL; nothing is stored of another. */
export const canBeKey = (url: string): boolean => url.length <= LONGEST_KEY && url.isWellFormed() && URL.canParse(url);

const LONGEST_URL = 8_192;
/** With an authority that is longer than the one that the client named. */
const LONGEST_KEY = 2 * LONGEST_URL;
