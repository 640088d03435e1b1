import type { FieldLine, FieldLines } from "../semantics/fields.ts";
import { CONDITIONAL_FIELDS } from "../semantics/validators.ts";
import { cookiesIn } from "./rules.ts";
import type { Visit } from "./visit.ts";

/** Fields that shape no page, or that a handler answers with a Vary. */
export const HARMLESS: readonly string[] = [
  ...["accept", "accept-charset", "accept-encoding", "accept-language", "authorization", "via"],
  ...["traceparent", "tracestate", "x-request-id", "x-correlation-id"],
];

/** The fields of a request as the handler of a shared load gets them. */
export interface SharedFields {
  readonly fields: FieldLines;
  /** Names that the handler does not see although the client sent them. */
  readonly withheld: ReadonlySet<string>;
}

/**
 * Without the conditions of one client and, with `safe`, without all that is neither in the key nor harmless: a page
 * that they shaped would be served to all. Authorization stays: RFC 9111, section 3.5, says when that may be shared.
 *
 * @param seen further names that select, by the Vary of the response.
 */
export function sharedFields(
  visit: Pick<Visit, "request" | "index" | "rule">,
  safe: ReadonlySet<string> | undefined,
  seen: readonly string[] = [],
): SharedFields {
  const { headers, cookies } = visit.rule;
  const withheld = new Set<string>();
  const fields: FieldLine[] = visit.request.fields.filter(([name]) => {
    if (CONDITIONAL_FIELDS.has(name)) return false;
    if (safe === undefined || safe.has(name) || seen.includes(name)) return true;
    if (visit.index?.selecting.includes(name) === true || headers.includes(name)) return true;
    if (name !== "host") withheld.add(name);
    return false;
  });
  const inKey = withheld.has("cookie") ? cookiesIn(visit.request.fields, cookies) : [];
  if (inKey.length > 0) fields.push(["cookie", inKey.join("; ")]);
  return safe === undefined ? { fields, withheld } : { fields: [...fields, ["host", authorityOf(visit)]], withheld };
}

/** Whether the handler saw fields of this request that may shape no stored response. */
export const isShapedByClient = (
  visit: Pick<Visit, "request" | "index" | "rule">,
  safe: ReadonlySet<string> | undefined,
): boolean => sharedFields(visit, safe).withheld.size > 0;

/** The authority of the key: a handler makes links of it. */
const authorityOf = ({ request }: Pick<Visit, "request">): string => new URL(request.url).host;
