import { keyOf } from "@hotset/core";
import { DIRECTIVES } from "../semantics/cache-modes.ts";
import { joinedOf, type FieldLines } from "../semantics/fields.ts";
import { parseSearchRule, type SearchRule } from "../semantics/no-vary-search.ts";
import { canBeKey, refusalOfRequest } from "../semantics/request-shape.ts";
import { demandsOf, NO_DEMANDS, type Demands } from "../semantics/reuse.ts";
import type { NotStored } from "../semantics/storing.ts";
import { originOf, targetOf, targetUnder } from "../semantics/target.ts";
import { refusal } from "./checks.ts";
import { decided } from "./decisions.ts";
import type { AnswerOptions, PlainOrigin, PlainRequest } from "./messages.ts";
import type { Plan } from "./options.ts";
import { partsOf, type Rule } from "./rules.ts";
import type { Visit } from "./visit.ts";

/** Where the response to a request is: the rule that matches, and the key that it gives. */
export class Places {
  readonly #plan: Plan;
  #rules: readonly Rule[];
  /** By path: the No-Vary-Search of its latest response. */
  readonly #searches = new Map<string, SearchRule>();

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#rules = plan.rulesOf(plan.rules);
  }

  /** Requests under way keep the rule that they matched. */
  use(rules: readonly Rule[]): void {
    this.#rules = rules;
  }

  /** The request on its way through the cache, or why it is forwarded. */
  visitOf(request: PlainRequest, origin: PlainOrigin, call: AnswerOptions): Visit | NotStored {
    const refusal = refusalOfRequest(request, this.#plan.settings);
    if (refusal !== undefined && refusal !== "authorization") return refusal;
    const url = this.urlOf(request);
    if (url === undefined) return "host";
    if (!canBeKey(url)) return "ambiguous";
    if (url.split("&", MOST_PARAMETERS + 1).length > MOST_PARAMETERS) return "limits";
    const named = url === request.url ? request : { ...request, url };
    const found = this.#ruleOf(named);
    if (found === undefined) return "rule";
    const { rule, partition, tags } = found;
    if (refusal !== undefined && !this.#maySee(refusal, rule)) return refusal;
    const search = this.#plan.obeysSearch ? this.#searches.get(pathOf(url)) : undefined;
    const { credentials } = request;
    const own = partsOf(rule, partition, request.fields);
    if (own.length > LONGEST_PARTS) return "limits";
    const parts = credentials === undefined ? own : `${apartBy(credentials)}${own}`;
    const place = search === undefined ? targetOf(url, rule.search) : targetUnder(url, search);
    const target = parts === "" ? place : `${parts} ${place}`;
    const primary = keyAt(target);
    return {
      request: named,
      origin,
      rule,
      demands: this.#demandsOf(request),
      target,
      search,
      tags,
      family: search !== undefined ? familyOf(url) : isOfUrl(rule) ? undefined : place,
      primary,
      startedAt: this.#plan.clock.now(),
      call,
      key: primary,
      index: undefined,
      selects: "",
      ignoresStored: false,
    };
  }

  /** Whether a load may have this field: one that names a user, and that nothing allows, keeps its request apart. */
  #maySee(name: string, { headers, settings }: Rule): boolean {
    const { safe } = this.#plan;
    return safe === undefined || safe.has(name) || headers.includes(name) || settings.varyOn.includes(name);
  }

  #demandsOf({ fields, cache }: PlainRequest): Demands {
    const { obeysRequests } = this.#plan;
    if (cache === undefined) return obeysRequests ? demandsOf(fields) : NO_DEMANDS;
    return demandsOf([...(obeysRequests ? fields : []), ["cache-control", DIRECTIVES[cache]]]);
  }

  /** With the authority under which this server caches; `undefined` for a Host that is not listed, and for no URL. */
  urlOf({ url, fields }: Pick<PlainRequest, "url" | "fields">): string | undefined {
    const { base, hosts, trustsProxy } = this.#plan;
    if (base === undefined && hosts.size === 0) return url;
    const parts = /^(https?):\/\/[^/?#]*(.*)/is.exec(url);
    if (parts === null) return undefined;
    const [, scheme = "", rest = ""] = parts;
    if (base !== undefined) return `${base}${rest}`;
    const found = originOf(fields, scheme.toLowerCase() === "https" ? "https" : "http", {
      origins: hosts,
      trustProxy: trustsProxy,
    });
    return found === undefined ? undefined : `${found}${rest}`;
  }

  /**
   * The URL that an unsafe request changes. A server must take a whole URL in its place, too, whose authority counts, and
   * not Host (RFC 9112, section 3.2.2).
   */
  urlChangedBy(request: PlainRequest): string | undefined {
    const [, whole, authority = ""] = /^\/\/(https?:\/\/([^/?#]*).*)/is.exec(request.url) ?? [];
    const fields = request.fields.filter(([name]) => name !== "host");
    const named = whole === undefined ? request : { url: whole, fields: [...fields, ["host", authority] as const] };
    const url = this.urlOf(named);
    return url !== undefined && URL.canParse(url) ? url : undefined;
  }

  /**
   * The URLs of this cache that a URL to be purged names, or a request: of a host in `hosts` with any scheme.
   *
   * @throws {ConfigurationError} for a URL that is not absolute, or not of this server.
   */
  purgeable(target: string | URL | PlainRequest): readonly string[] {
    const isRequest = typeof target === "object" && "fields" in target;
    const given = isRequest ? (this.urlOf(target) ?? target.url) : escaped(String(target));
    const [, authority = "", rest = ""] = /^(https?:\/\/[^/?#]+)(.*)/is.exec(given) ?? [];
    const { base, hosts } = this.#plan;
    const origins = base === undefined ? [...hosts] : [base];
    const origin = URL.canParse(authority) ? new URL(authority).origin : undefined;
    const isServer = origins.length > 0;
    const named = origins.filter((each) => each === origin || (base === undefined && hostOf(each) === hostOf(origin)));
    if (origin === undefined || (isServer && named.length === 0)) {
      const accepted = isServer ? `a URL of ${origins.join(" or ")}` : 'a URL such as "https://shop.example/books"';
      throw refusal(`purge takes ${accepted}, got ${JSON.stringify(given.slice(0, 100))}`);
    }
    return (isServer ? named : [origin]).map((each) => `${each}${rest}`);
  }

  /** Keys and families of all responses of these URLs, by all rules, in all partitions. */
  namesOf(...urls: readonly string[]): { readonly keys: readonly string[]; readonly families: readonly string[] } {
    const places = [...new Set(urls.flatMap((url) => this.#rules.map(({ search }) => targetOf(url, search))))];
    const areShared = this.#rules.every((rule) => isOfUrl(rule));
    const { base, hosts } = this.#plan;
    const ofClient = base === undefined && hosts.size === 0 ? CREDENTIALS : [];
    const apart = ofClient.flatMap((mode) => places.map((place) => `${apartBy(mode)} ${place}`));
    return {
      keys: [...places, ...apart].map(keyAt),
      families: [...(areShared ? [] : places), ...(this.#plan.obeysSearch ? urls.map(familyOf) : [])],
    };
  }

  /**
   * Notes the No-Vary-Search of a response. `false` where the key of its request was made by another one: then it must
   * not be stored there, and the next request finds its place.
   */
  agrees({ request, search }: Visit, response: FieldLines): boolean {
    if (!this.#plan.obeysSearch) return true;
    const rule = parseSearchRule(joinedOf(response, "no-vary-search"));
    const path = pathOf(request.url);
    this.#searches.delete(path);
    if (rule !== undefined) this.#searches.set(path, rule);
    if (this.#searches.size > MOST_PATHS) this.#searches.delete(this.#searches.keys().next().value!);
    return rule?.text === search?.text;
  }

  /** `undefined` for a request that is forwarded, as is one for which a function of a rule fails. */
  #ruleOf(request: PlainRequest): { rule: Rule; partition: string | undefined; tags: readonly string[] } | undefined {
    try {
      for (const rule of this.#rules) {
        const parameters = rule.matches(request);
        if (parameters === undefined) continue;
        if (rule.passes) return undefined;
        const partition: unknown = decided(rule.partition?.(request));
        if (rule.partition !== undefined && typeof partition !== "string") return undefined;
        return { rule, partition: partition as string | undefined, tags: rule.tagsFor(parameters) };
      }
    } catch {
      // Which rule it has is not known.
    }
    return undefined;
  }
}

/** A URL is its own key: no other key begins as one does. */
const keyAt = (target: string): string => (/^https?:/.test(target) ? target : keyOf("url", target));

/** Whether keys of this rule are URLs alone. */
const isOfUrl = ({ partition, headers, cookies }: Rule): boolean =>
  partition === undefined && headers.length === 0 && cookies.length === 0;

/** A URL with the characters escaped that clients escape. */
const escaped = (url: string): string => url.toWellFormed().replace(/[^!-~]+/g, encodeURI);

const hostOf = (origin: string | undefined): string | undefined => origin?.replace(/^https?:\/\//, "");

const CREDENTIALS = ["omit", "include"] as const;
const apartBy = (credentials: string): string => `{${credentials}}`;

const pathOf = (url: string): string => /^[^?#]*/.exec(url)![0];

/** All URLs of a path: which of them a stored response answers is for its No-Vary-Search to say. */
const familyOf = (url: string): string => `${pathOf(url)}?*`;

const MOST_PATHS = 10_000;
/** The most parameters in the query of a cached URL: each is looked at if a key leaves some out. */
const MOST_PARAMETERS = 1_000;
/** The most characters that fields and cookies add to a key; clients can send any length. */
const LONGEST_PARTS = 16_384;
