import { exceedsLimits, joinedOf, type FieldLines, type FieldLimits } from "./fields.ts";

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

/**
 * Why a request is forwarded and never cached, if it is: two servers could read it differently, so its response could
 * answer another request.
 */
export function refusalOfRequest(
  request: RequestShape,
  limits: FieldLimits,
): "method" | "limits" | "host" | "ambiguous" | undefined {
  const { method, url, fields, hasBody } = request;
  if (method !== "GET" && method !== "HEAD") return "method";
  if (url.length > LONGEST_URL || exceedsLimits(fields, limits)) return "limits";
  let hosts = 0;
  for (const [name] of fields) {
    if (name === "host") hosts++;
    if (name === "transfer-encoding" || name === "upgrade" || OVERRIDES.includes(name)) return "ambiguous";
  }
  if (hosts > 1) return "host";
  const length = joinedOf(fields, "content-length");
  return hasBody || (length !== undefined && length.trim() !== "0") ? "ambiguous" : undefined;
}

/** Whether a key can be made of this URL; nothing is stored of another. */
export const canBeKey = (url: string): boolean => url.length <= LONGEST_KEY && url.isWellFormed() && URL.canParse(url);

const LONGEST_URL = 8_192;
/** With an authority that is longer than the one that the client named. */
const LONGEST_KEY = 2 * LONGEST_URL;
