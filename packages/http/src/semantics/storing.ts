import {
  announcedBytes,
  fieldsNamedBy,
  governingDirectives,
  parseSeconds,
  permits,
  type Directives,
} from "./directives.ts";
import {
  endToEnd,
  exceedsLimits,
  firstOf,
  hidesDecidingField,
  isValidField,
  without,
  type FieldLines,
  type Head,
} from "./fields.ts";
import {
  freshnessUnder,
  HEURISTICALLY_CACHEABLE,
  isExplicit,
  isReusedAtFirst,
  isWorthKeeping,
  type Exchange,
  type Freshness,
} from "./freshness.ts";
import type { Settings } from "./settings.ts";
import { tagsOf } from "./tags.ts";
import { hasKnownCodings, selectingFields } from "./vary.ts";

/** Why a response is not stored. The list is closed. */
export type NotStored =
  | "method"
  | "status"
  | "no-store"
  | "request-no-store"
  | "private"
  | "authorization"
  | "cookie"
  | "set-cookie"
  | "vary-star"
  | "vary-unlisted"
  | "no-freshness"
  | "failed"
  | "too-large"
  | "incomplete"
  | "slow"
  | "connection-field"
  | "rule"
  | "host"
  | "ambiguous"
  | "limits"
  | "tags"
  | "stream"
  | "fenced"
  | "overloaded";

/** The parts of a request that decide whether its response is stored. */
export interface StoredRequest {
  readonly method: string;
  /** Absolute, without a fragment. */
  readonly url: string;
  /** Fields of the request as the origin saw them, without cookies that are part of the key. */
  readonly fields: FieldLines;
  /** Whether the request says `no-store`, and that counts here. */
  readonly saysNoStore: boolean;
  /** Tags beyond those that the response gives. */
  readonly tags?: readonly string[] | undefined;
}

export type StoreDecision = {
  /** Whether the response says itself that it may be shared, stored or not: by freshness, `public`, or a rule. */
  readonly isForAll: boolean;
  readonly freshness: Freshness;
} & (
  | {
      readonly store: true;
      /** Fields of the response as they are stored. */
      readonly fields: FieldLines;
      /** Sorted. */
      readonly selecting: readonly string[];
      readonly tags: readonly string[];
    }
  | { readonly store: false; readonly reason: NotStored }
);

/** Whether this response may be stored, and how (RFC 9111, section 3). */
export function decideStore(
  request: StoredRequest,
  response: Head,
  exchange: Exchange,
  settings: Settings,
): StoreDecision {
  const governing = governingDirectives(response.fields, settings.targetedFields);
  const freshness = freshnessUnder(governing, response, exchange, settings);
  const selecting = selectingFields(response.fields);
  const refusal =
    refusalOfMessage(response, settings) ??
    (isError(response) && settings.namesStatus?.(response.status) !== true ? "status" : undefined) ??
    refusalByDirectives(governing.directives, request, response, settings) ??
    refusalBySelection(selecting, response.fields, settings) ??
    refusalByCookies(governing.directives, request, selecting, settings) ??
    refusalByFreshness(governing.directives, request, response, freshness) ??
    (settings.stores?.(response) === false ? "rule" : undefined);
  const tags = refusal === undefined ? tagsOf(response.fields, request.url, settings, request.tags) : undefined;
  const reason = refusal ?? (tags === undefined ? "tags" : undefined);
  const isForAll = permits(governing.directives, "public") || isReusedAtFirst(freshness);
  if (reason !== undefined) return { store: false, isForAll: isForAll && IMPERSONAL.has(reason), freshness, reason };
  const fields = dated(fieldsToKeep(response.fields, governing.directives, settings), exchange);
  return { store: true, isForAll, freshness, fields, selecting: selecting!, tags: tags! };
}

/** Whether it says that something failed, for this client perhaps: it is the page of no other. */
const isError = ({ status, isFailure }: Head): boolean => isFailure === true || status >= 500 || FOR_ONE.has(status);

/** Statuses by which a server refuses one client. */
const FOR_ONE: ReadonlySet<number> = new Set([401, 403, 407, 429]);

/** For its form. */
function refusalOfMessage({ status, fields }: Head, settings: Settings): NotStored | undefined {
  if (status < 200 || status > 599 || status === 206 || status === 304) return "status";
  if (exceedsLimits(fields, settings) || !fields.every(isValidField)) return "limits";
  if (hidesDecidingField(fields)) return "connection-field";
  if (/^\s*text\/event-stream\b/i.test(firstOf(fields, "content-type") ?? "")) return "stream";
  const announced = announcedBytes(fields);
  return announced !== undefined && announced > settings.maxBodyBytes ? "too-large" : undefined;
}

function refusalByDirectives(
  directives: Directives,
  request: StoredRequest,
  { status, fields }: Head,
  { isShared, setCookie }: Settings,
): NotStored | undefined {
  if (permits(directives, "must-understand")) {
    // A cache that knows the status ignores no-store (RFC 9111, section 5.2.2.3).
    if (!UNDERSTOOD.has(status)) return "status";
  } else if (directives.has("no-store")) return "no-store";
  if (request.saysNoStore) return "request-no-store";
  if (!isShared) return undefined;
  if (directives.get("private") === true) return "private";
  if (firstOf(request.fields, "authorization") !== undefined && !allowsCredentials(directives)) return "authorization";
  return setCookie === "refuse" && firstOf(fields, "set-cookie") !== undefined ? "set-cookie" : undefined;
}

/** RFC 9111, section 3.5. */
const allowsCredentials = (directives: Directives): boolean =>
  permits(directives, "public") ||
  permits(directives, "must-revalidate") ||
  parseSeconds(String(directives.get("s-maxage"))) !== undefined;

/** A cookie names a user as Authorization does. */
function refusalByCookies(
  directives: Directives,
  { fields }: StoredRequest,
  selecting: readonly string[] | undefined,
  { isShared, sharesCookies }: Settings,
): NotStored | undefined {
  if (!isShared || sharesCookies || firstOf(fields, "cookie") === undefined) return undefined;
  return allowsCredentials(directives) || selecting?.includes("cookie") === true ? undefined : "cookie";
}

function refusalBySelection(
  selecting: readonly string[] | undefined,
  fields: FieldLines,
  { isShared, varyOn }: Settings,
): NotStored | undefined {
  if (selecting === undefined) return "vary-star";
  const isUnlisted = (name: string): boolean => CHOSEN_FREELY.has(name) && !varyOn.includes(name);
  if (isShared && selecting.some(isUnlisted)) return "vary-unlisted";
  return selecting.includes("accept-encoding") && !hasKnownCodings(fields) ? "vary-unlisted" : undefined;
}

function refusalByFreshness(
  directives: Directives,
  request: StoredRequest,
  { status, fields }: Head,
  freshness: Freshness,
): NotStored | undefined {
  if (request.method !== "GET" && request.method !== "HEAD") {
    if (request.method !== "POST") return "method";
    if (status !== 200 || !isExplicit(freshness) || !isAbout(request.url, fields)) return "method";
  }
  const isAllowed =
    isExplicit(freshness) ||
    permits(directives, "public") ||
    HEURISTICALLY_CACHEABLE.has(status) ||
    (freshness.mustValidate && isWorthKeeping(freshness, fields));
  if (!isAllowed) return "status";
  return isWorthKeeping(freshness, fields) ? undefined : "no-freshness";
}

/** Whether Content-Location says that a GET of the same URL gives this answer to a POST (RFC 9110, section 9.3.3). */
function isAbout(url: string, fields: FieldLines): boolean {
  const location = firstOf(fields, "content-location");
  return location !== undefined && URL.canParse(location, url) && new URL(location, url).href === new URL(url).href;
}

/** Without fields of the connection, those that a qualified directive names, and cookies of one client. */
function fieldsToKeep(fields: FieldLines, directives: Directives, { isShared, setCookie }: Settings): FieldLines {
  const dropped = new Set(fieldsNamedBy(directives));
  if (isShared && setCookie === "strip") dropped.add("set-cookie");
  // Each answer gets an Age that is counted from here.
  dropped.add("age");
  return without(endToEnd(fields), dropped);
}

/** A response without a Date was made when it came (RFC 9110, section 6.6.1). */
const dated = (fields: FieldLines, { receivedAt }: Exchange): FieldLines =>
  firstOf(fields, "date") === undefined ? [...fields, ["date", new Date(receivedAt).toUTCString()]] : fields;

/** Reasons that concern the store, and no client. */
const IMPERSONAL: ReadonlySet<NotStored> = new Set(["too-large", "tags", "rule"]);

/** Each client may choose its own value, so a tier would be filled by variants. */
const CHOSEN_FREELY: ReadonlySet<string> = new Set(["authorization", "cookie", "user-agent"]);

/** Statuses whose meaning this cache knows. */
const UNDERSTOOD: ReadonlySet<number> = new Set([
  ...[200, 203, 204, 300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412],
  ...[413, 414, 415, 416, 417, 421, 422, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 511],
]);

/** A decision about a response whose head came `elapsedMs` ago: tiers count its age from now on. */
export function aged<D extends StoreDecision>(decision: D, elapsedMs: number): D {
  const { freshness } = decision;
  return { ...decision, freshness: { ...freshness, initialAgeMs: freshness.initialAgeMs + elapsedMs } };
}
