import { systemClock, type Clock, type Duration, type Namespace } from "@hotset/core";
import {
  anything,
  callback,
  checkNames,
  CLOCK,
  describe,
  duration,
  flag,
  IN_WORKER,
  oneOf,
  option,
  text,
  wholeNumber,
  type Option,
  type OptionValues,
} from "@hotset/core/internal";
import { DEFAULT_SETTINGS, type Settings } from "../semantics/settings.ts";
import type { Normaliser } from "../semantics/vary.ts";
import { CdnFront } from "./cdn-front.ts";
import type { Cdn } from "./cdn.ts";
import { namesAt, objectAt, originNamed, originsNamed, read, refusal, textsAt } from "./checks.ts";
import { decided, decidedBy } from "./decisions.ts";
import type { PlainRequest } from "./messages.ts";
import { compileRules, type HttpRule, type Rule, type RuleOptions } from "./rules.ts";

/** Options of `httpCache`. The options of a rule hold for all rules that do not say otherwise. */
export interface HttpCacheOptions extends RuleOptions {
  /**
   * Rules for requests. The first that matches counts; a request that none matches is forwarded.
   *
   * @default one rule for all
   */
  readonly rules?: readonly HttpRule[] | undefined;
  /** RFC 9111's kinds. `private`: of one user, or of one client. @default 'shared' */
  readonly mode?: "shared" | "private" | undefined;
  /** Name of this cache in Cache-Status. @default 'hotset' */
  readonly name?: string | undefined;
  /** Targeted Cache-Control fields that govern this cache, nearest first. @default ['cdn-cache-control'], if shared */
  readonly targetedFields?: readonly string[] | undefined;
  /** How a shared cache treats a response that has Set-Cookie. @default 'refuse' */
  readonly setCookie?: "refuse" | "strip" | "store" | undefined;
  /** Whether the Cache-Control of requests counts. @default false, and true if private */
  readonly requestDirectives?: boolean | undefined;
  /** Freshness of responses that give none (RFC 9111, section 4.2.2). @default { fraction: 0.1, max: '1d' } */
  readonly heuristic?:
    | false
    | { readonly fraction?: number | undefined; readonly max?: Duration | undefined }
    | undefined;
  /**
   * How long a stale response may be served while the origin cannot be reached.
   *
   * @default 100 times its lifetime, at least a minute and at most a day
   */
  readonly whenDisconnected?: Duration | undefined;
  /** How long a response with a validator is kept beyond its windows. @default '1h' */
  readonly keepForValidation?: Duration | undefined;
  /** How long after a failed load a stale response is served without another attempt. @default '10s' */
  readonly errorBackoff?: Duration | undefined;
  /**
   * The longest wait for the head of a response before another load may begin, or while a stale response may answer.
   * The late load continues for the clients that wait, and one more begins for them and those that come: the first head
   * answers. Ten late loads of one URL are the most; after them clients get 503. A head or a body that takes longer is
   * served, and not stored. @default '30s'
   */
  readonly loadTimeout?: Duration | undefined;
  /** The longest time without a byte of a body for which others wait. @default '30s' */
  readonly bodyIdleTimeout?: Duration | undefined;
  /** Larger bodies are not stored. @default 5 MiB */
  readonly maxBodyBytes?: number | undefined;
  /** Larger bodies are separate entries, so that a 304 does not write them again. @default 16 KiB */
  readonly inlineBytes?: number | undefined;
  /** The most variants of one URL. @default 64 */
  readonly maxVariants?: number | undefined;
  /** Selecting fields that are stored although clients choose them freely, such as `cookie`. @default [] */
  readonly varyOn?: readonly string[] | undefined;
  /**
   * Brings values of selecting fields into a form that is equal for equal meanings. A value for which a function throws,
   * or is async, selects as it came.
   */
  readonly normalise?: Readonly<Record<string, Normaliser>> | undefined;
  /**
   * Whether a No-Vary-Search field says which query parameters count, for all URLs of its path. Where responses of one
   * path differ in it, the latest counts. Each invalidation of a URL then invalidates those of its path.
   *
   * @default false
   */
  readonly noVarySearch?: boolean | undefined;
  /** Fields whose values are tags. @default cache-tag by ',', surrogate-key and xkey by ' ' */
  readonly tagFields?: Readonly<Record<string, "," | " ">> | undefined;
  /** Whether each response is tagged by its path, for `purgePrefix`. @default false */
  readonly pathTags?: boolean | undefined;
  /** When the last client leaves, its load continues for others, or ends. @default 'finish' */
  readonly onAbort?: "finish" | "abort" | undefined;
  /** Whether answers have a Cache-Status field, or those to which requests: to none for which it throws. @default true */
  readonly cacheStatus?: boolean | ((request: PlainRequest) => boolean) | undefined;
  /** Whether that field names the key. @default false */
  readonly keyInStatus?: boolean | undefined;
  /**
   * Whether the handler of a load that is shared sees only query parameters and fields that are in the key, and fields
   * that select by Vary; or further names of fields. A request with Authorization runs alone unless that may be seen.
   * A response that does not say that it may be shared is not stored, and is made again for its own client with all of
   * its fields; for a minute its URL is asked in this way alone. @default true with `base` or `hosts`
   */
  readonly safeHeaders?: boolean | readonly string[] | undefined;
  /**
   * Brings something of the client whose request begins a load into that load, such as its tracing span or a request id.
   * Loads run in the async context of no request. This function is called in that of the request, and returns what runs
   * the load: `() => { const id = ids.getStore(); return (load) => ids.run(id, load); }`. It is for logs and traces:
   * the response goes to all clients, so no handler may make it of this.
   *
   * @default nothing
   */
  readonly ofOneClient?: ((request: PlainRequest) => (<T>(load: () => T) => T) | undefined) | undefined;
  /** Scheme and authority of every request, where this is a server: `https://shop.example`. */
  readonly base?: string | undefined;
  /**
   * Origins that the Host of a request may name; those of others are forwarded and never cached. `shop.example` is
   * `https://shop.example` and `http://shop.example`, whose responses are kept apart.
   */
  readonly hosts?: readonly string[] | undefined;
  /** Whether X-Forwarded-Host and X-Forwarded-Proto count. @default false */
  readonly trustProxy?: boolean | undefined;
  /**
   * Requests that may invalidate: names of methods, or a function. A request of another one is forwarded, and what is
   * stored stays. Of those that may, each that is answered without an error invalidates its URL, and those that
   * Location and Content-Location name (RFC 9111, section 4.4). A function that throws, or is async, forbids nothing.
   *
   * @default every method that is not safe, unknown ones included
   */
  readonly invalidatedBy?: readonly string[] | ((request: PlainRequest) => boolean) | undefined;
  /**
   * The CDN in front, of `@hotset/http/cdn`: `fastly({ service, token })`. Answers have its field with the keys of their
   * tags, and it receives invalidations. @default none
   */
  readonly cdn?: Cdn | undefined;
  /** For tests. @default systemClock */
  readonly clock?: Clock | undefined;
}

/** The options, checked. */
export interface Plan {
  /** For the cache as a whole. */
  readonly settings: Settings;
  readonly rules: readonly HttpRule[] | undefined;
  /** @throws {ConfigurationError} that names the place. */
  readonly rulesOf: (rules: unknown) => readonly Rule[];
  readonly obeysRequests: boolean;
  readonly keepForValidationMs: number;
  readonly errorBackoffMs: number;
  readonly loadTimeoutMs: number;
  /**
   * The longest that a whole load may take. `Infinity` outside of workers, where head and body have a limit each; in a
   * worker their timers end with the request.
   */
  readonly longestLoadMs: number;
  readonly bodyIdleMs: number;
  readonly inlineBytes: number;
  readonly maxVariants: number;
  readonly normalisers: Readonly<Record<string, Normaliser>>;
  readonly obeysSearch: boolean;
  readonly finishesAlone: boolean;
  readonly safe: ReadonlySet<string> | undefined;
  /** Whether loads may have fields that are not in the key. */
  readonly lendsOwn: boolean;
  readonly base: string | undefined;
  readonly hosts: ReadonlySet<string>;
  readonly trustsProxy: boolean;
  readonly ofOneClient: HttpCacheOptions["ofOneClient"];
  /** Asked for methods that are not safe. */
  readonly mayInvalidate: (request: PlainRequest) => boolean;
  readonly cdn: CdnFront | undefined;
  readonly clock: Clock;
  /** Since 1970, by that clock. */
  readonly epochMs: () => number;
}

/** @throws {ConfigurationError} for an option that is unknown or out of range. */
export function planOf(options: HttpCacheOptions, namespace: Namespace): Plan {
  checkNames(options ?? null, OPTIONS, { place: "httpCache" });
  const given = read(options, OPTIONS);
  const plan = partsOf(options, given);
  compileRules(options.rules, options, plan.settings);
  // Last, since it follows the cache from here on.
  const cdn = options.cdn === undefined ? undefined : new CdnFront(options.cdn, namespace);
  const settings = { ...plan.settings, cdn };
  return { ...plan, settings, cdn, rulesOf: (rules) => compileRules(rules, options, settings) };
}

/** All but its rules, and what follows the cache. */
function partsOf(options: HttpCacheOptions, given: Given): Omit<Plan, "cdn" | "rulesOf"> {
  const safe = safeNames(options);
  const { clock = systemClock, loadTimeout: loadTimeoutMs } = given;
  return {
    settings: settingsOf(options, given),
    rules: options.rules,
    obeysRequests: given.requestDirectives ?? given.mode === "private",
    keepForValidationMs: given.keepForValidation,
    errorBackoffMs: given.errorBackoff,
    loadTimeoutMs,
    longestLoadMs: IN_WORKER ? 2 * loadTimeoutMs : Infinity,
    bodyIdleMs: given.bodyIdleTimeout,
    inlineBytes: given.inlineBytes,
    maxVariants: given.maxVariants,
    normalisers: normalisersOf(options.normalise ?? {}),
    obeysSearch: given.noVarySearch,
    finishesAlone: given.onAbort !== "abort",
    safe,
    lendsOwn: safe !== undefined && safe.size > 0,
    base: options.base === undefined ? undefined : originNamed("base", options.base),
    hosts: new Set(textsAt("hosts", options.hosts ?? []).flatMap((host) => originsNamed("hosts", host))),
    trustsProxy: given.trustProxy,
    ofOneClient: given.ofOneClient,
    mayInvalidate: methodTest(options.invalidatedBy),
    clock,
    epochMs: () => clock.epochMs?.() ?? Date.now(),
  };
}

/** By the names of fields in lower case. */
function normalisersOf(given: NonNullable<HttpCacheOptions["normalise"]>): Plan["normalisers"] {
  const all = Object.entries(objectAt("normalise", given, Object.keys(given)));
  return Object.fromEntries(
    all.map(([name, normalise]) => {
      if (typeof normalise !== "function") throw refusal(`normalise.${name} must be a function`);
      return [name.toLowerCase(), orAsItCame(normalise as Normaliser)];
    }),
  );
}

const orAsItCame =
  (normalise: Normaliser): Normaliser =>
  (value) => {
    try {
      return decided(normalise(value));
    } catch {
      return value;
    }
  };

function methodTest(given: HttpCacheOptions["invalidatedBy"]): Plan["mayInvalidate"] {
  if (given === undefined) return () => true;
  if (typeof given === "function") return decidedBy(given, true);
  const methods = new Set(textsAt("invalidatedBy", given).map((method) => method.toUpperCase()));
  return ({ method }) => methods.has(method);
}

function settingsOf(options: HttpCacheOptions, given: Given): Settings {
  const isShared = given.mode !== "private";
  const { heuristic } = options;
  const { cacheStatus } = given;
  return {
    ...DEFAULT_SETTINGS,
    name: given.name,
    showsStatus: typeof cacheStatus === "function" ? decidedBy(cacheStatus, false) : () => cacheStatus,
    showsKey: given.keyInStatus,
    isShared,
    targetedFields:
      namesAt("targetedFields", options.targetedFields) ?? (isShared ? DEFAULT_SETTINGS.targetedFields : []),
    setCookie: given.setCookie,
    sharesCookies: safeNames(options)?.has("cookie") === true,
    heuristic: heuristic === false ? undefined : heuristicOf(heuristic),
    whenDisconnectedMs: given.whenDisconnected,
    maxBodyBytes: given.maxBodyBytes,
    varyOn: namesAt("varyOn", options.varyOn) ?? [],
    tagFields: options.tagFields === undefined ? DEFAULT_SETTINGS.tagFields : separatorsOf(options.tagFields),
    tagsPaths: given.pathTags,
  };
}

function heuristicOf(given: unknown = {}): Settings["heuristic"] {
  const { fraction, max } = read(objectAt("heuristic", given, Object.keys(HEURISTIC)), HEURISTIC, "heuristic.");
  return { fraction, maxMs: max };
}

/** By the names of fields in lower case. */
function separatorsOf(given: NonNullable<HttpCacheOptions["tagFields"]>): Settings["tagFields"] {
  const all = Object.entries(objectAt("tagFields", given, Object.keys(given)));
  return new Map(
    all.map(([name, separator]) => {
      if (separator !== "," && separator !== " ")
        throw refusal(`tagFields.${name} must be "," or " ", got ${describe(separator)}`);
      return [name.toLowerCase(), separator];
    }),
  );
}

function safeNames({ safeHeaders, base, hosts }: HttpCacheOptions): ReadonlySet<string> | undefined {
  const isOn = safeHeaders ?? (base !== undefined || (hosts ?? []).length > 0);
  if (isOn === false) return undefined;
  return new Set(isOn === true ? [] : namesAt("safeHeaders", isOn));
}

/** Those that are read by rules, or have other forms, are checked where they are read. */
const OPTIONS = {
  rules: anything,
  key: anything,
  partition: anything,
  store: anything,
  defaults: anything,
  override: anything,
  tags: anything,
  clientCacheControl: anything,
  mode: oneOf("shared", "private"),
  name: text("hotset"),
  targetedFields: anything,
  setCookie: oneOf("refuse", "strip", "store"),
  requestDirectives: { ...flag(), default: undefined as boolean | undefined },
  heuristic: anything,
  whenDisconnected: duration(undefined),
  keepForValidation: duration(3_600_000),
  errorBackoff: duration(10_000),
  loadTimeout: duration(30_000),
  bodyIdleTimeout: duration(30_000),
  maxBodyBytes: wholeNumber(DEFAULT_SETTINGS.maxBodyBytes, 0),
  inlineBytes: wholeNumber(16 * 1024, 0),
  maxVariants: wholeNumber(64, 0),
  varyOn: anything,
  normalise: anything,
  noVarySearch: flag(),
  tagFields: anything,
  pathTags: flag(),
  onAbort: oneOf("finish", "abort"),
  cacheStatus: option(
    "true, false or a function",
    (given) => typeof given === "boolean" || typeof given === "function",
    true,
  ) as Option<NonNullable<HttpCacheOptions["cacheStatus"]>>,
  keyInStatus: flag(),
  base: anything,
  hosts: anything,
  trustProxy: flag(),
  safeHeaders: anything,
  ofOneClient: callback<NonNullable<HttpCacheOptions["ofOneClient"]>>(),
  invalidatedBy: anything,
  cdn: anything,
  clock: CLOCK,
} satisfies Record<keyof HttpCacheOptions, Option>;
type Given = OptionValues<typeof OPTIONS>;

const HEURISTIC = {
  fraction: option(
    "a number from 0 to 1",
    (given: unknown) => typeof given === "number" && given >= 0 && given <= 1,
    0.1,
  ),
  max: duration(86_400_000),
};
