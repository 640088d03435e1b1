import { isHopByHop, type FieldLine } from "../semantics/fields.ts";
import { withQueryOfKey } from "../semantics/target.ts";
import { CONDITIONAL_FIELDS } from "../semantics/validators.ts";
import type { PlainRequest } from "./messages.ts";
import { cookiesIn } from "./rules.ts";
import type { Visit } from "./visit.ts";

/** Fields that shape no page, or that a handler answers with a Vary. */
export const HARMLESS: readonly string[] = [
  "accept",
  "accept-charset",
  "accept-encoding",
  "accept-language",
  "authorization",
];

/** A request as the handler of a shared load gets it. */
export interface SharedRequest {
  readonly request: PlainRequest;
  /** Names that the handler does not see although the client sent them. */
  readonly withheld: ReadonlySet<string>;
  /** Whether it differs from that of its client in anything that may shape a page. */
  readonly isShaped: boolean;
}

/**
 * Without the conditions of one client and, with `safe`, without all that is neither in the key nor harmless: a page
 * that they shaped would be served to all. Authorization stays: RFC 9111, section 3.5, says when that may be shared.
 *
 * @param seen further names that select, by the Vary of the response.
 */
export function sharedRequest(
  visit: Pick<Visit, "request" | "index" | "rule" | "search">,
  safe: ReadonlySet<string> | undefined,
  seen: readonly string[] = [],
): SharedRequest {
  const { request, rule, search } = visit;
  const withheld = new Set<string>();
  const fields: FieldLine[] = request.fields.filter(([name]) => {
    if (CONDITIONAL_FIELDS.has(name)) return false;
    if (safe === undefined || safe.has(name) || seen.includes(name)) return true;
    if (visit.index?.selecting.includes(name) === true || rule.headers.includes(name)) return true;
    if (name !== "host" && !isHopByHop(name)) withheld.add(name);
    return false;
  });
  if (safe === undefined) return { request: { ...request, method: "GET", fields }, withheld, isShaped: false };
  const inKey = withheld.has("cookie") ? cookiesIn(request.fields, rule.cookies) : [];
  if (inKey.length > 0) fields.push(["cookie", inKey.join("; ")]);
  // The authority of the key: a handler makes links of it.
  fields.push(["host", new URL(request.url).host]);
  const url = withQueryOfKey(
    request.url,
    search === undefined ? rule.search : { ignores: search.ignores, sorts: search.ignoresOrder },
  );
  return {
    request: { ...request, method: "GET", url, fields },
    withheld,
    isShaped: withheld.size > 0 || url !== request.url,
  };
}

/** Whether the handler saw of this request what may shape no stored response. */
export const isShapedByClient = (
  visit: Pick<Visit, "request" | "index" | "rule" | "search">,
  safe: ReadonlySet<string> | undefined,
): boolean => safe !== undefined && sharedRequest(visit, safe).isShaped;
