import { describe, toMs, type Duration } from "../primitives/duration.ts";
import { HUNDRED_YEARS_MS, type Windows } from "./entry.ts";
import { InvalidArgumentError } from "../contracts/errors.ts";
import { checkTags } from "./key.ts";

/** How long an entry lives. */
export interface Lifetime {
  /** How long the value is fresh. `0` or less stores nothing and removes what was there. @default '1m' */
  readonly ttl?: Duration;
  /** How long after `ttl` it may be served while one load refreshes it (RFC 5861, section 3). @default 0 */
  readonly staleWhileRevalidate?: Duration;
  /** How long after `ttl` it may be served when loading fails or is too slow (RFC 5861, section 4). @default 0 */
  readonly staleIfError?: Duration;
  /** `ttl` of a `null`: how long "there is none" is believed. @default ttl */
  readonly negativeTtl?: Duration;
  /**
   * The most a copy in the local tier may live. `0` keeps no local copy.
   *
   * @default Infinity, since coherence removes what changed. Without coherence it is the
   * staleness you accept, and must be given.
   */
  readonly localTtl?: Duration;
  /** Takes up to this fraction off `ttl`, at random, so that entries written together do not end together. In [0, 1). @default 0 */
  readonly jitter?: number;
}

/**
 * Everything a cache, a namespace or one call can decide about lifetimes and loads. The nearest
 * that says something wins: call, namespace, the one above, defaults. `undefined` says nothing.
 */
export interface Policy extends Lifetime {
  /** Refreshes behind a hit once this fraction of `ttl` has passed. In (0, 1). @default never */
  readonly refreshAhead?: number;
  /** How long a caller waits for a load while a stale value could be served instead. @default Infinity */
  readonly softTimeout?: Duration;
  /**
   * How long a caller waits in all. Then it gets what `staleIfError` covers, or rejects with
   * {@link LoadTimeoutError}. The load goes on and stores its result. At least `softTimeout`. @default Infinity
   */
  readonly hardTimeout?: Duration;
  /** How long one load may run. Then its `signal` aborts, its result is dropped, and the next caller may load. @default '30s' */
  readonly loadTimeout?: Duration;
  /** How long after a failed load the stale value is served without another attempt. @default '10s' */
  readonly errorBackoff?: Duration;
}

/** What is stored with one value. */
export interface EntryOptions extends Lifetime {
  /** Invalidating any of these removes the entry. */
  readonly tags?: readonly string[];
  /** The origin's `ETag`, verbatim: the next load sees it in `ctx.stale`. */
  readonly etag?: string;
  /** The origin's `Last-Modified`, verbatim: the next load sees it in `ctx.stale`. */
  readonly lastModified?: string;
}

/** How one read-through call differs from its namespace. */
export interface GetOrSetOptions extends Policy {
  /** Tags of what this load stores. The loader may add more with `ctx.setOptions`. */
  readonly tags?: readonly string[];
  /** Loads even if a fresh value is there. Never joins a load that began before the call. @default false */
  readonly forceRefresh?: boolean;
  /** Never answers with anything older than the write whose result carried this token. */
  readonly after?: string;
  /** Ends the wait of this caller, which rejects with `signal.reason`. The load is aborted when nobody else waits. */
  readonly signal?: AbortSignal | undefined;
  /** Told, before the promise settles, how this call was answered. For a `Cache-Status` header (RFC 9211) or a log line. */
  readonly onServed?: (served: Served) => void;
}

/** Reading without a loader. */
export interface GetOptions {
  /** Also answer with a stale value that has not expired. @default false, since nothing here would refresh it */
  readonly allowStale?: boolean;
}
/** How one call was answered. */
export interface Served {
  readonly status: "hit" | "stale" | "miss";
  /** Label of the tier that answered; absent when a load did. */
  readonly tier?: string;
  /** Since the value was loaded. `0` for a load. */
  readonly ageMs: number;
  /** Remaining freshness; negative when stale. */
  readonly freshForMs: number;
  /** Whether the call waited for a load that another caller began. */
  readonly coalesced: boolean;
  /** Why a stale value was served. */
  readonly cause?: "revalidating" | "error" | "timeout";
  /** What the load failed with, when a stale value stands in for it. */
  readonly error?: unknown;
}

/** A policy in milliseconds, complete and frozen. Calls without options share one object. */
export interface ResolvedPolicy extends Windows {
  readonly ttlMs: number;
  /** `undefined`: as `ttlMs`. */
  readonly negativeTtlMs: number | undefined;
  /** `undefined`: not given, which is Infinity. */
  readonly localTtlMs: number | undefined;
  readonly jitter: number;
  readonly softTimeoutMs: number;
  readonly hardTimeoutMs: number;
  readonly loadTimeoutMs: number;
  readonly errorBackoffMs: number;
}

export const DEFAULT_POLICY: ResolvedPolicy = Object.freeze({
  ttlMs: 60_000,
  staleWhileRevalidateMs: undefined,
  staleIfErrorMs: undefined,
  negativeTtlMs: undefined,
  localTtlMs: undefined,
  jitter: 0,
  refreshAhead: 1,
  softTimeoutMs: Infinity,
  hardTimeoutMs: Infinity,
  loadTimeoutMs: 30_000,
  errorBackoffMs: 10_000,
});

/** The lifetime of one write, in milliseconds. */
export interface ResolvedLifetime {
  readonly ttlMs: number;
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  readonly localTtlMs: number;
}

const LIFETIME_OPTIONS = ["ttl", "staleWhileRevalidate", "staleIfError", "negativeTtl", "localTtl", "jitter"];
const POLICY_OPTIONS = [
  ...LIFETIME_OPTIONS,
  "refreshAhead",
  "softTimeout",
  "hardTimeout",
  "loadTimeout",
  "errorBackoff",
];

/** What each public method accepts; anything else is a mistake that would otherwise pass in silence. */
export const OPTION_NAMES: Readonly<
  Record<"policy" | "namespace" | "wrap" | "entry" | "getOrSet" | "getOrSetMany" | "get", ReadonlySet<string>>
> = {
  policy: new Set(POLICY_OPTIONS),
  namespace: new Set([...POLICY_OPTIONS, "schema", "localOnly"]),
  wrap: new Set([...POLICY_OPTIONS, "name", "tags", "key"]),
  entry: new Set([...LIFETIME_OPTIONS, "tags", "etag", "lastModified"]),
  getOrSet: new Set([...POLICY_OPTIONS, "tags", "forceRefresh", "after", "signal", "onServed"]),
  getOrSetMany: new Set([...POLICY_OPTIONS, "tags", "forceRefresh", "after", "signal"]),
  get: new Set(["allowStale"]),
};

/** @throws {InvalidArgumentError} for options that are no object, or that have a name `accepted` lacks. */
export function checkOptions(options: unknown, accepted: ReadonlySet<string>): void {
  if (options === undefined) return;
  if (typeof options !== "object" || options === null || Array.isArray(options))
    throw new InvalidArgumentError(
      `options: ${describe(options)} is no object; accepted are ${[...accepted].join(", ")}`,
    );
  for (const name of Object.keys(options))
    if (!accepted.has(name))
      throw new InvalidArgumentError(
        `options: there is no option ${describe(name)}; accepted are ${[...accepted].join(", ")}`,
      );
}

/**
 * `base`, with what `options` says instead. `undefined` says nothing.
 *
 * @throws {InvalidArgumentError} for a value out of range; then nothing of `options` is applied.
 */
export function resolvePolicy(base: ResolvedPolicy, options: Policy | undefined): ResolvedPolicy {
  if (options === undefined) return base;
  const policy: ResolvedPolicy = Object.freeze({
    ttlMs: ms("ttl", options.ttl, -Infinity) ?? base.ttlMs,
    staleWhileRevalidateMs: ms("staleWhileRevalidate", options.staleWhileRevalidate, 0) ?? base.staleWhileRevalidateMs,
    staleIfErrorMs: ms("staleIfError", options.staleIfError, 0) ?? base.staleIfErrorMs,
    negativeTtlMs: ms("negativeTtl", options.negativeTtl, -Infinity) ?? base.negativeTtlMs,
    localTtlMs: ms("localTtl", options.localTtl, 0) ?? base.localTtlMs,
    jitter: fraction("jitter", options.jitter, true) ?? base.jitter,
    refreshAhead: fraction("refreshAhead", options.refreshAhead, false) ?? base.refreshAhead,
    softTimeoutMs: ms("softTimeout", options.softTimeout, 0) ?? base.softTimeoutMs,
    hardTimeoutMs: ms("hardTimeout", options.hardTimeout, 0) ?? base.hardTimeoutMs,
    loadTimeoutMs: ms("loadTimeout", options.loadTimeout, 1) ?? base.loadTimeoutMs,
    errorBackoffMs: ms("errorBackoff", options.errorBackoff, 0) ?? base.errorBackoffMs,
  });
  // A soft timeout that was inherited gives way: only the one who says both can contradict himself.
  if (policy.hardTimeoutMs < policy.softTimeoutMs && options.softTimeout !== undefined)
    throw new InvalidArgumentError(
      `hardTimeout: ${policy.hardTimeoutMs} ms is less than softTimeout, ${policy.softTimeoutMs} ms; give at least that`,
    );
  return policy;
}

/** @throws {InvalidArgumentError} for a value out of range. */
export function checkEntryOptions(options: EntryOptions | undefined): void {
  if (options === undefined) return;
  checkOptions(options, OPTION_NAMES.entry);
  if (options.tags !== undefined) checkTags(options.tags);
  for (const name of ["etag", "lastModified"] as const)
    if (options[name] !== undefined && typeof options[name] !== "string")
      throw new InvalidArgumentError(`${name}: ${describe(options[name])} is no validator; give the header's text`);
  resolvePolicy(DEFAULT_POLICY, lifetimeOnly(options));
}

/**
 * How long `value` lives under `policy` with what the write itself says. Jitter takes from `ttl` only, never from a
 * stale window. `ttlMs` of zero or less means: store nothing and remove what is there.
 */
export function lifetimeOf(
  value: unknown,
  policy: ResolvedPolicy,
  options: EntryOptions | undefined,
  random: () => number,
): ResolvedLifetime {
  const resolved = options === undefined ? policy : resolvePolicy(policy, lifetimeOnly(options));
  const wholeMs = value === null ? (resolved.negativeTtlMs ?? resolved.ttlMs) : resolved.ttlMs;
  const ttlMs = resolved.jitter === 0 || wholeMs === Infinity ? wholeMs : wholeMs * (1 - resolved.jitter * random());
  return {
    // Whole milliseconds, since backends count in them; a fraction of one is still a lifetime.
    ttlMs: ttlMs > 0 ? Math.ceil(ttlMs) : ttlMs,
    staleWhileRevalidateMs: bounded(resolved.staleWhileRevalidateMs ?? 0),
    staleIfErrorMs: bounded(resolved.staleIfErrorMs ?? 0),
    localTtlMs: resolved.localTtlMs ?? Infinity,
  };
}

const bounded = (windowMs: number): number => Math.ceil(Math.min(windowMs, HUNDRED_YEARS_MS));

function lifetimeOnly({ ttl, staleWhileRevalidate, staleIfError, negativeTtl, localTtl, jitter }: Lifetime): Lifetime {
  return {
    ...(ttl !== undefined && { ttl }),
    ...(staleWhileRevalidate !== undefined && { staleWhileRevalidate }),
    ...(staleIfError !== undefined && { staleIfError }),
    ...(negativeTtl !== undefined && { negativeTtl }),
    ...(localTtl !== undefined && { localTtl }),
    ...(jitter !== undefined && { jitter }),
  };
}

function ms(option: string, given: Duration | undefined, least: number): number | undefined {
  if (given === undefined) return undefined;
  const value = toMs(option, given);
  if (value < least)
    throw new InvalidArgumentError(`${option}: ${describe(given)} is too short; give at least ${least} ms`);
  return value;
}

function fraction(option: string, given: number | undefined, zeroAllowed: boolean): number | undefined {
  if (given === undefined) return undefined;
  if (typeof given !== "number" || !(given < 1) || !(zeroAllowed ? given >= 0 : given > 0))
    throw new InvalidArgumentError(
      `${option}: ${describe(given)} is out of range; give a fraction in ${zeroAllowed ? "[" : "("}0, 1)`,
    );
  return given;
}
