import { joinedOf, isValidField, type FieldLines, type Head } from "../semantics/fields.ts";
import { DEFAULT_SETTINGS, type Settings } from "../semantics/settings.ts";
import type { SearchSettings } from "../semantics/target.ts";
import { listAt, namesAt, objectAt, refusal, textsAt, windowsOf, type HttpWindows } from "./checks.ts";
import { decided, decidedBy } from "./decisions.ts";
import {
  namesStatus,
  parametersOf,
  requestTest,
  responseTest,
  type PathParameters,
  type RequestMatch,
  type ResponseMatch,
} from "./matching.ts";
import type { PlainRequest } from "./messages.ts";

/** Parts of the key, which is the URL where nothing is said. */
export interface KeyRule {
  /**
   * Query parameters in the key: all, none, these, or all but these. `*` at the end of a name stands for any rest.
   *
   * @default 'all'
   */
  readonly query?: "all" | "none" | readonly string[] | { readonly except: readonly string[] } | undefined;
  /** Whether the order of query parameters does not count. @default false */
  readonly sortQuery?: boolean | undefined;
  /** Fields of the request. @default [] */
  readonly header?: readonly string[] | undefined;
  /** Cookies of the request. The handler of a shared load sees no others. @default [] */
  readonly cookie?: readonly string[] | undefined;
}

/** How responses are stored. A rule replaces what the options of the cache say. */
export interface RuleOptions {
  readonly key?: KeyRule | undefined;
  /**
   * The tenant or user whose responses these are: part of the key. Where it throws or gives `undefined` the request is
   * forwarded. Name the fields that it reads in `safeHeaders`, so that the handler sees them.
   */
  readonly partition?: ((request: PlainRequest) => string | undefined) | undefined;
  /**
   * Which responses may be stored, of those that say so. Asked with the head. An error (5xx, 401, 403, 407, 429, or a
   * handler that failed) is stored only if `status` of a match names it. A function that throws, or is async, allows
   * none. @default all but errors
   */
  readonly store?: ResponseMatch | ((response: Head) => boolean) | undefined;
  /** Lifetimes where the response says nothing. */
  readonly defaults?: HttpWindows | undefined;
  /** Lifetimes in place of those of the response, unless it says `no-store` or `private`, or has Set-Cookie. */
  readonly override?: HttpWindows | undefined;
  /** Further tags of its responses; `{name}` is a parameter of the path. */
  readonly tags?: readonly string[] | undefined;
  /** Cache-Control of stored responses as clients get it; `null` removes it. @default that of the origin */
  readonly clientCacheControl?: string | null | undefined;
}

/** A rule for requests that match. But for functions it is plain data, which may come from a file. */
export interface HttpRule extends RuleOptions {
  /** Name of the rule in events. */
  readonly name?: string | undefined;
  /** A request for which a function throws, or that it gives a promise for, is forwarded. @default all requests */
  readonly match?: RequestMatch | ((request: PlainRequest) => boolean) | undefined;
  /** Whether matching requests are forwarded, and never cached. @default false */
  readonly pass?: boolean | undefined;
}

/** A rule, ready for use. */
export interface Rule {
  readonly name: string | undefined;
  /** @throws what a function that is its `match` throws. */
  readonly matches: (request: PlainRequest) => PathParameters | undefined;
  readonly passes: boolean;
  readonly partition: ((request: PlainRequest) => string | undefined) | undefined;
  readonly search: SearchSettings;
  /** In lower case. */
  readonly headers: readonly string[];
  readonly cookies: readonly string[];
  readonly tagsFor: (parameters: PathParameters) => readonly string[];
  readonly settings: Settings;
}

/**
 * Rules from parsed JSON or YAML: a list of them.
 *
 * @throws {ConfigurationError} that names the place: `rules[2].match.path`.
 */
export function readRules(parsed: unknown): readonly HttpRule[] {
  compileRules(parsed, {}, DEFAULT_SETTINGS);
  return parsed as readonly HttpRule[];
}

/** @throws {ConfigurationError} that names the place. */
export const compileRules = (given: unknown, options: RuleOptions, settings: Settings): readonly Rule[] =>
  given === undefined
    ? [ruleOf("options", options, settings)]
    : listAt("rules", given).map((each, i) => {
        const rule = objectAt(`rules[${i}]`, each, [...RULE_OPTIONS, "name", "match", "pass"]) as HttpRule;
        const own = Object.fromEntries(Object.entries(rule).filter(([, value]) => value !== undefined));
        return ruleOf(`rules[${i}]`, { ...options, ...own }, settings);
      });

function ruleOf(at: string, rule: HttpRule, settings: Settings): Rule {
  const { name, match = {}, pass = false, partition, store, clientCacheControl } = rule;
  if (name !== undefined && typeof name !== "string") throw refusal(`${at}.name must be a string`);
  if (typeof pass !== "boolean") throw refusal(`${at}.pass must be true or false`);
  if (partition !== undefined && typeof partition !== "function") throw refusal(`${at}.partition must be a function`);
  if (clientCacheControl !== undefined && clientCacheControl !== null && !isFieldValue(clientCacheControl))
    throw refusal(`${at}.clientCacheControl must be the value of a field, or null`);
  const key = objectAt(`${at}.key`, rule.key ?? {}, ["query", "sortQuery", "header", "cookie"]) as KeyRule;
  if (key.sortQuery !== undefined && typeof key.sortQuery !== "boolean")
    throw refusal(`${at}.key.sortQuery must be true or false`);
  const headers = namesAt(`${at}.key.header`, key.header ?? [])!;
  return {
    name,
    matches:
      typeof match === "function"
        ? (request) => (decided(match(request)) ? {} : undefined)
        : requestTest(`${at}.match`, match),
    passes: pass,
    partition,
    search: { ignores: ignoredBy(`${at}.key.query`, key.query), sorts: key.sortQuery ?? false },
    headers,
    cookies: textsAt(`${at}.key.cookie`, key.cookie ?? []),
    tagsFor: tagMaker(`${at}.tags`, rule.tags ?? [], typeof match === "function" ? [] : parametersOf(match)),
    settings: {
      ...settings,
      stores: store === undefined ? undefined : storeTest(`${at}.store`, store),
      namesStatus: typeof store === "object" ? (status) => namesStatus(store, status) : undefined,
      clientCacheControl,
      sharesCookies: settings.sharesCookies || partition !== undefined || headers.includes("cookie"),
      defaults: windowsOf(`${at}.defaults`, rule.defaults),
      override: windowsOf(`${at}.override`, rule.override),
    },
  };
}

const storeTest = (at: string, store: NonNullable<HttpRule["store"]>): NonNullable<Settings["stores"]> =>
  typeof store === "function" ? decidedBy(store, false) : responseTest(at, store);

function ignoredBy(at: string, given: KeyRule["query"]): ((parameter: string) => boolean) | undefined {
  if (given === undefined || given === "all") return undefined;
  if (given === "none") return () => true;
  const isList = Array.isArray(given);
  const named = isList ? textsAt(at, given) : textsAt(`${at}.except`, objectAt(at, given, ["except"])["except"]);
  return (parameter) => named.some((pattern) => isNamedBy(pattern, parameter)) !== isList;
}

const isNamedBy = (pattern: string, name: string): boolean =>
  pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;

function tagMaker(at: string, given: unknown, known: readonly string[]): Rule["tagsFor"] {
  const tags = textsAt(at, given);
  for (const [i, tag] of tags.entries())
    for (const [, name] of tag.matchAll(PARAMETER))
      if (!known.includes(name!)) throw refusal(`${at}[${i}]: {${name}} is not a parameter of the path in match`);
  return (parameters) => {
    const namesKnown = (tag: string): boolean =>
      [...tag.matchAll(PARAMETER)].every(([, name]) => Object.hasOwn(parameters, name!));
    return tags.filter(namesKnown).map((tag) => tag.replace(PARAMETER, (_, name: string) => parameters[name]!));
  };
}

const isFieldValue = (text: unknown): boolean => typeof text === "string" && isValidField(["cache-control", text]);

/** The parts of the key beyond the URL, and the partition, as one text; empty where there are none. */
export function partsOf({ headers, cookies }: Rule, partition: string | undefined, fields: FieldLines): string {
  if (headers.length === 0 && cookies.length === 0 && partition === undefined) return "";
  return JSON.stringify([
    partition ?? null,
    ...headers.map((name) => joinedOf(fields, name) ?? null),
    ...cookiesIn(fields, cookies),
  ]);
}

/** The cookies of these names, as they were sent. */
export const cookiesIn = (fields: FieldLines, names: readonly string[]): readonly string[] =>
  names.length === 0 ? [] : [...pairsOf(joinedOf(fields, "cookie") ?? "")].filter((pair) => isOf(names, pair));

/** Whether this Cookie field has no cookies but those of these names. */
export function hasOnlyCookies(field: string, names: readonly string[]): boolean {
  for (const pair of pairsOf(field)) if (!isOf(names, pair)) return false;
  return true;
}

/** The pairs of a Cookie field, one by one: a client may send tens of thousands of separators. */
function* pairsOf(field: string): Generator<string, void> {
  for (let begin = 0, at = 0; at <= field.length; at++) {
    const char = at === field.length ? SEMICOLON : field.charCodeAt(at);
    if (char !== SEMICOLON && char !== COMMA) continue;
    if (at > begin) {
      const pair = field.slice(begin, at).trim();
      if (pair !== "") yield pair;
    }
    begin = at + 1;
  }
}

const isOf = (names: readonly string[], pair: string): boolean =>
  names.some(
    (name) => pair.startsWith(name) && (pair.length === name.length || pair.charCodeAt(name.length) === EQUALS),
  );
const EQUALS = 0x3d;
const SEMICOLON = 0x3b;
const COMMA = 0x2c;

const PARAMETER = /\{(\w+)\}/g;
const RULE_OPTIONS = ["key", "partition", "store", "defaults", "override", "tags", "clientCacheControl"] as const;
