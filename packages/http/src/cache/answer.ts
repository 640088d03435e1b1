import { memberOf, withMember, type CacheStatus } from "../semantics/cache-status.ts";
import { endToEnd, firstOf, joinedOf, type FieldLine, type FieldLines } from "../semantics/fields.ts";
import { rangeOf } from "../semantics/ranges.ts";
import type { Settings } from "../semantics/settings.ts";
import { holdsIfRange, isUnmodified } from "../semantics/validators.ts";
import type { PlainRequest, PlainResponse } from "./messages.ts";
import type { StoredResponse } from "./stored.ts";

type Sized = Pick<StoredResponse, "status" | "statusText" | "fields" | "bodyBytes">;

/** Which part of a complete stored response answers a request. */
export type Part =
  | { readonly kind: "unmodified" }
  | { readonly kind: "unsatisfiable" }
  | { readonly kind: "range"; readonly from: number; readonly to: number }
  | { readonly kind: "head" }
  | { readonly kind: "whole" };

/** RFC 9110, section 13.2.2: conditions first, then ranges. Only a stored 200 answers either. */
export function partFor(request: PlainRequest, stored: Omit<Sized, "statusText">, nowMs: number): Part {
  if (stored.status === 200) {
    if (isUnmodified(request.fields, stored.fields, nowMs)) return { kind: "unmodified" };
    const range = request.method === "GET" ? joinedOf(request.fields, "range") : undefined;
    if (range !== undefined && holdsIfRange(firstOf(request.fields, "if-range"), stored.fields, nowMs)) {
      const found = rangeOf(range, stored.bodyBytes);
      if (found === "unsatisfiable") return { kind: "unsatisfiable" };
      if (found !== undefined) return { kind: "range", ...found };
    }
  }
  return request.method === "HEAD" ? { kind: "head" } : { kind: "whole" };
}

/** The part as a response. `bytes` are those of the whole body, needed for a range and for the whole. */
export function responseOf(part: Part, stored: Sized, bytes: Uint8Array | undefined): PlainResponse {
  const { status, statusText, fields, bodyBytes } = stored;
  const whole = `${bodyBytes}`;
  switch (part.kind) {
    case "unmodified":
      return { status: 304, statusText: "Not Modified", fields: withoutBody(fields), body: null };
    case "unsatisfiable":
      return {
        status: 416,
        statusText: "Range Not Satisfiable",
        fields: [...withoutBody(fields), ["content-range", `bytes */${whole}`], ["content-length", "0"]],
        body: null,
      };
    case "range":
      return {
        status: 206,
        statusText: "Partial Content",
        fields: [
          ...without(fields, "content-length"),
          ["content-range", `bytes ${part.from}-${part.to - 1}/${whole}`],
          ["content-length", `${part.to - part.from}`],
        ],
        body: bytes!.subarray(part.from, part.to),
      };
    case "head":
      return { status, statusText, fields: withLength(fields, whole), body: null };
    case "whole":
      return { status, statusText, fields: withLength(fields, whole), body: bytes ?? null };
  }
}

const without = (fields: FieldLines, name: string): FieldLines => fields.filter((line) => line[0] !== name);

/** A client that has the body has these, too; they say nothing about a body that is not there. */
const OF_BODY: ReadonlySet<string> = new Set(["content-encoding", "content-length", "content-range", "content-type"]);
const withoutBody = (fields: FieldLines): FieldLines => fields.filter(([name]) => !OF_BODY.has(name));

/** A response that was sent in pieces has a length once it is stored. 204 has no body, and says nothing of one. */
const withLength = (fields: FieldLines, length: string): FieldLines =>
  length === "0" || firstOf(fields, "content-length") !== undefined ? fields : [...fields, ["content-length", length]];

/** The client of an answer, and how answers look. */
export interface Addressee {
  readonly request: PlainRequest;
  readonly rule: { readonly settings: Settings };
  readonly key?: string | undefined;
  /** Tags that a rule gives. */
  readonly tags?: readonly string[] | undefined;
  /** When its request came. */
  readonly startedAt?: number | undefined;
}

/** The fields of an answer to a client: with Age and Cache-Status, without the tags and those of the connection. */
export function outgoing(
  { request, rule, key, tags, startedAt }: Addressee,
  fields: FieldLines,
  ageMs: number | undefined,
  status: CacheStatus,
): FieldLines {
  const { tagFields, clientCacheControl, name, showsStatus, showsKey, cdn } = rule.settings;
  const isStored = status.hit === true || status.stored === true || status.collapsed === true;
  const replaces = isStored && clientCacheControl !== undefined;
  const lines: FieldLine[] = [];
  for (const line of fields) {
    if (tagFields.has(line[0]) || (ageMs !== undefined && line[0] === "age")) continue;
    if (!replaces || !OF_FRESHNESS.has(line[0])) lines.push(line);
  }
  if (replaces && clientCacheControl !== null) lines.push(["cache-control", clientCacheControl]);
  if (ageMs !== undefined) lines.push(["age", `${Math.floor(ageMs / 1_000)}`]);
  const sent =
    cdn === undefined
      ? lines
      : cdn.labelled(lines, {
          method: request.method,
          url: request.url,
          fields,
          settings: rule.settings,
          tags,
          startedAt,
          isStored,
          isStale: status.hit === true && status.detail !== undefined,
        });
  if (!showsStatus(request)) return sent;
  return withMember(sent, memberOf(name, showsKey && key !== undefined ? { ...status, key } : status));
}

const OF_FRESHNESS: ReadonlySet<string> = new Set(["cache-control", "expires"]);

/** A response of the origin, for the caller whose load it is. It has an Age when it is older than a second. */
export const forwarded = (
  to: Addressee,
  response: PlainResponse,
  ageMs: number,
  status: CacheStatus,
): PlainResponse => ({
  ...response,
  fields: outgoing(to, endToEnd(response.fields), ageMs < 1_000 ? undefined : ageMs, status),
});
