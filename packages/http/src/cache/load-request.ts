import { HOP_BY_HOP, type FieldLine } from "../semantics/fields.ts";
import { withQueryOfKey } from "../semantics/target.ts";
import { CONDITIONAL_FIELDS } from "../semantics/validators.ts";
import type { PlainRequest } from "./messages.ts";
import type { Plan } from "./options.ts";
import { cookiesIn } from "./rules.ts";
import type { Visit } from "./visit.ts";

/** A field of the request, as a load for all clients has it. */
type Sight =
  /** The field shapes no page: it asks something of the cache itself, or it ends with the connection. */
  | "nothing"
  /** The load has the value that the key has. */
  | "of the key"
  /** The load is made without the field, so its response may differ from the one that this client would get. */
  | "withheld";

/** Fields of which a load has the same, and what that is. */
interface Rule {
  readonly fields: ReadonlySet<string>;
  readonly sight: Sight;
}

const HOST: Rule = { fields: new Set(["host"]), sight: "of the key" };
const CONDITIONS: Rule = { fields: CONDITIONAL_FIELDS, sight: "nothing" };
const CONNECTION: Rule = { fields: HOP_BY_HOP, sight: "nothing" };
const FORWARDED: ReadonlySet<string> = new Set(["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"]);
/** All others are withheld. */
const RULES: readonly Rule[] = [HOST, CONDITIONS, CONNECTION];

/** The parts of a request, and how much a load sees of each: the guide has these rows as they stand here. */
export const PARTS: readonly { readonly brings: string; readonly sees: string; readonly rule?: Rule }[] = [
  { brings: "method, body", sees: "`GET`, none" },
  { brings: "path", sees: "as sent" },
  { brings: "query", sees: "the parameters that are in the key" },
  { brings: "`Host`, `:authority`", sees: "the host of `base` or `hosts`", rule: HOST },
  {
    brings: "`If-None-Match`, `If-Modified-Since`, `Range` and the like",
    sees: "nothing: the cache answers them",
    rule: CONDITIONS,
  },
  { brings: "headers in `key.header` or `safeHeaders`, and those that `Vary` named", sees: "as sent" },
  { brings: "cookies in `key.cookie`", sees: "as sent" },
  {
    brings: "`X-Forwarded-Proto`, `-Host`, `-For`",
    sees: "with `trustProxy` the scheme and the host of the key, and no address; else nothing",
    rule: { fields: FORWARDED, sight: "withheld" },
  },
  { brings: "`Connection`, `Keep-Alive`, `TE` and the like", sees: "nothing", rule: CONNECTION },
  {
    brings: "`Accept-Encoding`",
    sees: "as sent if nothing is stored; a coded answer, or an error, must name it in `Vary`, or the handler runs without it",
  },
  {
    brings: "every other header: `Cookie`, `Authorization`, `Accept`, `Accept-Language`, `User-Agent` ...",
    sees: "nothing, until a `Vary` of the URL names it",
  },
  {
    brings: "the connection",
    sees: "the scheme of the key, and its host as the TLS server name; no address, port, cipher or certificate",
  },
  {
    brings: "the async context: what an `AsyncLocalStorage` in front of the cache holds",
    sees: "nothing, but for [`ofOneClient`](#trace-a-load)",
  },
];

const sights = new Map(RULES.flatMap(({ fields, sight }) => [...fields].map((name) => [name, sight] as const)));
const sightOf = (name: string, { trustsProxy }: Named): Sight =>
  trustsProxy && name !== "x-forwarded-for" && FORWARDED.has(name) ? "of the key" : (sights.get(name) ?? "withheld");

type Asked = Pick<Visit, "request" | "index" | "rule" | "search">;
type Named = Pick<Plan, "safe" | "trustsProxy">;

/** Whether a load has this field as its client sent it: conditions and the host apart. */
const isNamed = ({ index, rule }: Asked, { safe }: Named, name: string): boolean =>
  safe!.has(name) || rule.headers.includes(name) || index?.selecting.includes(name) === true;

/** A request as the handler of a shared load gets it. */
export interface LoadRequest {
  readonly request: PlainRequest;
  /** Names that the handler does not see although the client sent them. */
  readonly withheld: ReadonlySet<string>;
  /** Names that it sees although they do not select yet: what it gives may be stored only if its Vary names them. */
  readonly lent: ReadonlySet<string>;
  /** Whether it differs from that of its client in anything that may shape a page. */
  readonly isShaped: boolean;
}

/**
 * The request of a load: by {@link PARTS}, so that no page is shaped by a client and served to all. Without `safe` all
 * of it, but for conditions.
 *
 * @param lends further names, which select by the Vary of this response or of one next to it.
 */
export function loadRequest(visit: Asked, plan: Named, lends: readonly string[] = []): LoadRequest {
  const { request, rule } = visit;
  const withheld = new Set<string>();
  const lent = new Set<string>();
  const fields: FieldLine[] = request.fields.filter(([name]) => {
    if (plan.safe === undefined) return !CONDITIONAL_FIELDS.has(name);
    if (sightOf(name, plan) !== "withheld") return false;
    if (isNamed(visit, plan, name)) return true;
    const isLent = lends.includes(name);
    (isLent ? lent : withheld).add(name);
    return isLent;
  });
  if (plan.safe === undefined)
    return { request: { ...request, method: "GET", fields }, withheld, lent, isShaped: false };
  const inKey = withheld.has("cookie") ? cookiesIn(request.fields, rule.cookies) : [];
  if (inKey.length > 0) fields.push(["cookie", inKey.join("; ")]);
  // The authority of the key: a handler makes links of it.
  const { host, protocol } = new URL(request.url);
  fields.push(["host", host]);
  if (plan.trustsProxy) fields.push(["x-forwarded-host", host], ["x-forwarded-proto", protocol.slice(0, -1)]);
  const url = urlInKey(visit);
  return {
    request: { ...request, method: "GET", url, fields },
    withheld,
    lent,
    isShaped: request.hasConnection === true || withheld.size > 0 || url !== request.url,
  };
}

const urlInKey = ({ request, rule, search }: Asked): string =>
  withQueryOfKey(
    request.url,
    search === undefined ? rule.search : { ignores: search.ignores, sorts: search.ignoresOrder },
  );

/** Whether a load is made without something that this client sent. */
export const isShaped = (visit: Asked, plan: Named): boolean =>
  plan.safe !== undefined &&
  (visit.request.hasConnection === true ||
    visit.request.fields.some(([name]) => sightOf(name, plan) === "withheld" && !isNamed(visit, plan, name)) ||
    urlInKey(visit) !== visit.request.url);

/** Whether a load has fields that its client chose, and that are not in the key: it may fail for that client alone. */
export const carriesOwn = ({ request, rule }: Asked, { safe }: Named): boolean =>
  rule.partition === undefined && request.fields.some(([name]) => safe!.has(name) && !rule.headers.includes(name));
