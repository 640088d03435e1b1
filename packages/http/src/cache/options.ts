import { ConfigurationError, didYouMean, parseDuration, systemClock, type Clock, type Duration } from "@hotset/core";
import { DEFAULT_SETTINGS, type Settings, type WindowsMs } from "../semantics/settings.ts";
import { HARMLESS } from "./safe-fields.ts";
import type { Normaliser } from "../semantics/vary.ts";

/** Lifetimes that a rule gives. */
export interface HttpWindows {
  readonly ttl?: Duration | undefined;
  readonly staleWhileRevalidate?: Duration | undefined;
  readonly staleIfError?: Duration | undefined;
}

/** Options of `httpCache`. */
export interface HttpCacheOptions {
  /** RFC 9111's kinds. `private`: of one user, or of one client. @default 'shared' */
  readonly mode?: "shared" | "private" | undefined;
  /** Its name in Cache-Status. @default 'hotset' */
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
  /** Lifetimes where the response says nothing. */
  readonly defaults?: HttpWindows | undefined;
  /** Lifetimes in place of those of the response, unless it says `no-store` or `private`, or has Set-Cookie. */
  readonly override?: HttpWindows | undefined;
  /** How long a stale response may be served while the origin cannot be reached. @default '1d' */
  readonly whenDisconnected?: Duration | undefined;
  /** How long a response with a validator is kept beyond its windows. @default '1h' */
  readonly keepForValidation?: Duration | undefined;
  /** How long after a failed load a stale response is served without another attempt. @default '10s' */
  readonly errorBackoff?: Duration | undefined;
  /** The longest wait for the head of a response; a body that takes longer is served, and not stored. @default '30s' */
  readonly loadTimeout?: Duration | undefined;
  /** The longest time without a byte of a body. @default '30s' */
  readonly bodyIdleTimeout?: Duration | undefined;
  /** Larger bodies are not stored. @default 5 MiB */
  readonly maxBodyBytes?: number | undefined;
  /** Larger bodies are entries of their own, so that a 304 does not write them again. @default 16 KiB */
  readonly inlineBytes?: number | undefined;
  /** The most variants of one URL. @default 64 */
  readonly maxVariants?: number | undefined;
  /** Selecting fields that are stored although clients choose them freely, such as `cookie`. @default [] */
  readonly varyOn?: readonly string[] | undefined;
  /** Brings values of selecting fields into a form that is equal for equal meanings. */
  readonly normalise?: Readonly<Record<string, Normaliser>> | undefined;
  /** Query parameters that do not count; `*` at the end of one names all that begin so. @default [] */
  readonly ignoreQuery?: readonly string[] | undefined;
  /** Whether the order of query parameters does not count. @default false */
  readonly sortQuery?: boolean | undefined;
  /** Fields whose values are tags. @default cache-tag by ',', surrogate-key and xkey by ' ' */
  readonly tagFields?: Readonly<Record<string, "," | " ">> | undefined;
  /** Whether each response is tagged by its path, for `purgePrefix`. @default false */
  readonly pathTags?: boolean | undefined;
  /** When the last client leaves, its load goes on for others, or ends. @default 'finish' */
  readonly onAbort?: "finish" | "abort" | undefined;
  /** Whether answers have a Cache-Status field. @default true */
  readonly cacheStatus?: boolean | undefined;
  /**
   * Whether the handler of a load that is shared sees only fields that are in the key, that select by Vary, or that are
   * harmless; or further names of such fields. A response that is not stored is then made again for its own client,
   * with all of its fields. @default true with `base` or `hosts`
   */
  readonly safeHeaders?: boolean | readonly string[] | undefined;
  /** Scheme and authority of every request, where this is a server: `https://shop.example`. */
  readonly base?: string | undefined;
  /** Origins that the Host of a request may name; those of others are forwarded and never cached. */
  readonly hosts?: readonly string[] | undefined;
  /** Whether X-Forwarded-Host and X-Forwarded-Proto count. @default false */
  readonly trustProxy?: boolean | undefined;
  /** For tests. @default systemClock */
  readonly clock?: Clock | undefined;
}

/** The options, checked. */
export interface Plan {
  readonly settings: Settings;
  readonly name: string;
  readonly obeysRequests: boolean;
  readonly keepForValidationMs: number;
  readonly errorBackoffMs: number;
  readonly loadTimeoutMs: number;
  readonly bodyIdleMs: number;
  readonly inlineBytes: number;
  readonly maxVariants: number;
  readonly normalisers: Readonly<Record<string, Normaliser>>;
  readonly ignoresParameter: ((name: string) => boolean) | undefined;
  readonly sortsQuery: boolean;
  readonly finishesAlone: boolean;
  readonly showsStatus: boolean;
  readonly safe: ReadonlySet<string> | undefined;
  readonly base: string | undefined;
  readonly hosts: ReadonlySet<string>;
  readonly trustsProxy: boolean;
  readonly clock: Clock;
}

/** @throws {ConfigurationError} for an option that is unknown or out of range. */
export function planOf(options: HttpCacheOptions): Plan {
  if (typeof options !== "object" || options === null || Array.isArray(options))
    throw refusal(`options must be an object, got ${typeof options}`);
  for (const name of Object.keys(options))
    if (!NAMES.has(name)) throw refusal(`unknown option ${JSON.stringify(name)}${didYouMean(name, NAMES)}`);
  oneOf("mode", options.mode, ["shared", "private"]);
  oneOf("setCookie", options.setCookie, ["refuse", "strip", "store"]);
  oneOf("onAbort", options.onAbort, ["finish", "abort"]);
  const ignored = options.ignoreQuery ?? [];
  return {
    settings: settingsOf(options),
    name: options.name ?? "hotset",
    obeysRequests: options.requestDirectives ?? options.mode === "private",
    keepForValidationMs: ms("keepForValidation", options.keepForValidation, "1h"),
    errorBackoffMs: ms("errorBackoff", options.errorBackoff, "10s"),
    loadTimeoutMs: ms("loadTimeout", options.loadTimeout, "30s"),
    bodyIdleMs: ms("bodyIdleTimeout", options.bodyIdleTimeout, "30s"),
    inlineBytes: count("inlineBytes", options.inlineBytes, 16 * 1024),
    maxVariants: count("maxVariants", options.maxVariants, 64),
    normalisers: options.normalise ?? {},
    ignoresParameter: ignored.length === 0 ? undefined : (name) => ignored.some((pattern) => isNamedBy(pattern, name)),
    sortsQuery: options.sortQuery ?? false,
    finishesAlone: options.onAbort !== "abort",
    showsStatus: options.cacheStatus ?? true,
    safe: safeNames(options),
    base: options.base === undefined ? undefined : originNamed("base", options.base),
    hosts: new Set((options.hosts ?? []).map((host) => originNamed("hosts", host))),
    trustsProxy: options.trustProxy ?? false,
    clock: options.clock ?? systemClock,
  };
}

function settingsOf(options: HttpCacheOptions): Settings {
  const isShared = options.mode !== "private";
  const { heuristic } = options;
  return {
    ...DEFAULT_SETTINGS,
    isShared,
    targetedFields: lowered(options.targetedFields) ?? (isShared ? DEFAULT_SETTINGS.targetedFields : []),
    setCookie: options.setCookie ?? "refuse",
    heuristic:
      heuristic === false
        ? undefined
        : { fraction: heuristic?.fraction ?? 0.1, maxMs: ms("heuristic.max", heuristic?.max, "1d") },
    whenDisconnectedMs: ms("whenDisconnected", options.whenDisconnected, "1d"),
    maxBodyBytes: count("maxBodyBytes", options.maxBodyBytes, DEFAULT_SETTINGS.maxBodyBytes),
    varyOn: lowered(options.varyOn) ?? [],
    tagFields:
      options.tagFields === undefined
        ? DEFAULT_SETTINGS.tagFields
        : new Map(Object.entries(options.tagFields).map(([name, separator]) => [name.toLowerCase(), separator])),
    tagsPaths: options.pathTags ?? false,
    defaults: windowsOf("defaults", options.defaults),
    override: windowsOf("override", options.override),
  };
}

function safeNames({ safeHeaders, base, hosts }: HttpCacheOptions): ReadonlySet<string> | undefined {
  const isOn = safeHeaders ?? (base !== undefined || (hosts ?? []).length > 0);
  if (isOn === false) return undefined;
  return new Set([...HARMLESS, ...(lowered(isOn === true ? [] : isOn) ?? [])]);
}

function windowsOf(option: string, windows: HttpWindows | undefined): WindowsMs {
  const { ttl, staleWhileRevalidate, staleIfError } = windows ?? {};
  return {
    ttlMs: ttl === undefined ? undefined : ms(`${option}.ttl`, ttl, 0),
    staleWhileRevalidateMs:
      staleWhileRevalidate === undefined ? undefined : ms(`${option}.staleWhileRevalidate`, staleWhileRevalidate, 0),
    staleIfErrorMs: staleIfError === undefined ? undefined : ms(`${option}.staleIfError`, staleIfError, 0),
  };
}

function ms(option: string, given: Duration | undefined, otherwise: Duration): number {
  const duration = given ?? otherwise;
  try {
    const value = typeof duration === "string" ? parseDuration(duration) : duration;
    if (value >= 0) return value;
  } catch {
    // Refused below.
  }
  throw refusal(`${option} must be milliseconds (60_000), or a number with a unit ("1m"), got ${String(given)}`);
}

function count(option: string, given: number | undefined, otherwise: number): number {
  const value = given ?? otherwise;
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw refusal(`${option} must be a whole number of at least 0, got ${String(given)}`);
}

function oneOf(option: string, given: string | undefined, accepted: readonly string[]): void {
  if (given !== undefined && !accepted.includes(given))
    throw refusal(`${option} must be one of ${accepted.join(", ")}, got ${JSON.stringify(given)}`);
}

function originNamed(option: string, text: string): string {
  const withScheme = text.includes("://") ? text : `https://${text}`;
  if (!URL.canParse(withScheme)) throw refusal(`${option} must be an origin such as "https://shop.example"`);
  const { origin, pathname } = new URL(withScheme);
  if (origin === "null" || pathname !== "/")
    throw refusal(`${option} must be an origin such as "https://shop.example"`);
  return origin;
}

const isNamedBy = (pattern: string, name: string): boolean =>
  pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;

const lowered = (names: readonly string[] | undefined): readonly string[] | undefined =>
  names?.map((name) => name.toLowerCase());

export const refusal = (reason: string): ConfigurationError => new ConfigurationError(`httpCache: ${reason}`);

const NAMES: ReadonlySet<string> = new Set([
  ...["mode", "name", "targetedFields", "setCookie", "requestDirectives", "heuristic", "defaults", "override"],
  ...["whenDisconnected", "keepForValidation", "errorBackoff", "loadTimeout", "bodyIdleTimeout", "maxBodyBytes"],
  ...[
    "inlineBytes",
    "maxVariants",
    "varyOn",
    "normalise",
    "ignoreQuery",
    "sortQuery",
    "tagFields",
    "pathTags",
    "onAbort",
  ],
  ...["cacheStatus", "base", "hosts", "trustProxy", "safeHeaders", "clock"],
]);
