import { InvalidArgumentError } from "../contracts/errors.ts";
import { describe, HUNDRED_YEARS_MS, toMs, type Duration } from "../primitives/duration.ts";
import { readOption, readOptions, type Option } from "../primitives/options.ts";
import { HAS_ASYNC_CONTEXT } from "../primitives/platform.ts";
import type { Windows } from "./freshness.ts";
import { CALL, POLICY } from "./options.ts";

/** How long an entry lives. */
export interface Lifetime {
  /**
   * How long the value is fresh: `"5m"`, or milliseconds (`60` is 60 ms). `0` or less stores nothing and removes the
   * existing entry, unless `keepFor` is above 0: then the value is stale from the beginning. @default '1m'
   */
  readonly ttl?: Duration | undefined;
  /** How long after `ttl` it may be served while one load refreshes it (RFC 5861, section 3). @default 0 */
  readonly staleWhileRevalidate?: Duration | undefined;
  /**
   * How long after `ttl` it may be served when loading fails or is too slow (RFC 5861, section 4). `0`, where it is
   * set: an error always reaches the caller, also that of a forced load over a fresh value.
   *
   * @default 0, and a forced load that fails serves a fresh value
   */
  readonly staleIfError?: Duration | undefined;
  /**
   * How long after `ttl` the next loader gets the value in `ctx.stale`, to ask for changes with its validators, also
   * after the windows in which it may be served. No call gets it then. Not for `null`. @default 0
   */
  readonly keepFor?: Duration | undefined;
  /** `ttl` of a `null` value, stored when the source has no value. @default ttl */
  readonly negativeTtl?: Duration | undefined;
  /**
   * Maximum life of a copy in the local tier. `0` keeps no local copy.
   *
   * @default Infinity, because coherence removes changed copies. Without coherence it is required: it is the staleness
   * that you accept.
   */
  readonly localTtl?: Duration | undefined;
  /**
   * Shortens `ttl` by a random fraction up to this one, so entries written together do not end together. In [0, 1).
   *
   * @default 0
   */
  readonly jitter?: number | undefined;
}

/**
 * Settings for lifetimes and loads of a cache, a namespace or one call. The nearest one that sets an option wins: call,
 * namespace, parent namespace, defaults. `undefined` means not set.
 */
export interface Policy extends Lifetime {
  /** Refreshes behind a hit once this part of `ttl`, or of what `touch` gave, has passed. In (0, 1). @default never */
  readonly refreshAhead?: number | undefined;
  /** How long a caller waits for a load if a stale value can be served instead. @default Infinity */
  readonly softTimeout?: Duration | undefined;
  /**
   * How long a caller waits in total. Then it gets a stale value that `staleIfError` covers, or rejects with
   * {@link LoadTimeoutError}. The load continues and stores its result. At least `softTimeout`. @default Infinity
   */
  readonly hardTimeout?: Duration | undefined;
  /**
   * How long one load may run. Then its `signal` aborts, its result is dropped, and the next caller may load.
   *
   * @default '30s'
   */
  readonly loadTimeout?: Duration | undefined;
  /** How long after a failed load the stale value is served without another attempt. @default '10s' */
  readonly errorBackoff?: Duration | undefined;
  /**
   * Whether a value may be served as fallback for this error: of the loader, or one of this library, such as
   * {@link LoadTimeoutError}. Only `true` says so: for anything else, and where it throws, the error reaches the
   * caller. Not asked when `softTimeout` or `hardTimeout` ends a wait. @default every error
   */
  readonly coversError?: ((error: unknown) => boolean) | undefined;
  /**
   * Whether a load that fails with nothing to serve is not tried again for `errorBackoff` either: until then callers
   * reject with the same error, without a load, unless the backend has a value by then. @default false
   */
  readonly rememberErrors?: boolean | undefined;
  /**
   * Whether an entry takes over what limits the cached values that its loader gets from this cache, by any call that
   * returns them: it has their tags, and is fresh for no longer than they are. Where one of them is stale, or is not
   * stored, it is not stored either. Values of other caches limit its freshness alone. @default false
   */
  readonly inherit?: boolean | undefined;
  /**
   * Whether fresh hits may be compared with the source, where `createCache({ verify })` asks for it: their loader runs
   * once more, in the background. `false` for loaders that must not. @default true
   */
  readonly verify?: boolean | undefined;
}

/** Options of one stored value. */
export interface EntryOptions extends Lifetime {
  /** Invalidating any of these removes the entry. */
  readonly tags?: readonly string[] | undefined;
  /** The origin's `ETag`, verbatim: the next load sees it in `ctx.stale`. */
  readonly etag?: string | undefined;
  /** The origin's `Last-Modified`, verbatim: the next load sees it in `ctx.stale`. */
  readonly lastModified?: string | undefined;
}

declare const FENCE: unique symbol;
/** Only `fence` makes one. */
export interface Fence {
  readonly [FENCE]: true;
}

/** Options of `set` and `setMany`. */
export interface SetOptions extends EntryOptions {
  /**
   * A fence of the key, taken before the value was computed: stores it only if nothing has changed the key, and no call
   * has invalidated or marked stale one of its tags or a namespace of it, in any process. Otherwise the status is
   * `refused`, and all stays as it is.
   */
  readonly since?: Fence | undefined;
  /**
   * `memory`: resolves as `pending` once the memory tier has the value, which is then sent in the order of the calls of
   * this process; for other processes it counts from when the backend has it, and a load that begins before is not
   * stored. Waits all the same where memory keeps no copy, where others have changed something since the fence, and
   * behind 16 MiB that are not sent yet. A failure is reported as of any `set`, by `backend:error`; one that is refused
   * because of `since` by `fenced`, and its copy is dropped.
   *
   * @throws {ConfigurationError} without a memory tier. @default 'backend'
   */
  readonly wait?: "memory" | "backend" | undefined;
}

/** Options that a loader sets for its own load. */
export interface LoadOptions extends EntryOptions {
  /**
   * Decides like {@link Policy.coversError} if this load fails: an error is covered if call and loader both say so. A
   * `staleIfError` that the loader sets counts for the failure, too: the shorter one of it and that of the call.
   */
  readonly coversError?: ((error: unknown) => boolean) | undefined;
}

/** How one read-through call differs from its namespace. `T` is what its loader gives. */
export interface GetOrSetOptions<T = unknown> extends Omit<FixedOptions, "ttl" | "tags"> {
  /**
   * How long the value is fresh, like {@link Lifetime.ttl}. A function is called with the value that this call loads;
   * `undefined` means the `ttl` of the namespace. What the loader sets with `ctx.setOptions` counts instead.
   */
  readonly ttl?: Duration | ((value: T) => Duration | undefined) | undefined;
  /**
   * Tags of the value that this load stores; a function is called with the value. The loader may add more with
   * `ctx.setOptions`.
   */
  readonly tags?: readonly string[] | ((value: T) => readonly string[]) | undefined;
  /**
   * Whether a value that this call loads is stored. One that is not goes to all callers that wait, as by `ctx.noStore`.
   * A result other than `true` and `false`, and an error in any of the three functions, fail the load; `ttl` and `tags`
   * are asked only for what is stored. @default every value
   */
  readonly shouldStore?: ((value: T) => boolean) | undefined;
}

/** The options of such a call that do not depend on its value. */
export interface FixedOptions extends Policy {
  readonly tags?: readonly string[] | undefined;
  /** Loads even if there is a fresh value. Never joins a load that began before the call. @default false */
  readonly forceRefresh?: boolean | undefined;
  /**
   * Never returns a value of this age or older, counted from when the call began: not fresh, not stale, not as the
   * fallback for an error. It is loaded, once for all processes. A value whose `ttl` is `Infinity` has no known age and
   * is always loaded. `0` accepts a value that is loaded from now on, by a load that is running already, too.
   *
   * @default Infinity
   */
  readonly maxAge?: Duration | undefined;
  /**
   * The call never returns a value older than a write that was acknowledged before it, in any process: no copy answers
   * it, and no load that began before. The backend is asked, or the value is loaded. @default false
   */
  readonly current?: boolean | undefined;
  /** Ends the wait of this caller, which rejects with `signal.reason`. The load is aborted if no other caller waits. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Called before the promise settles. Reports how this call was answered: for a `Cache-Status` header (RFC 9211) or a
   * log line. Runs in the async context of this call, even if it shares the load of another.
   */
  readonly onServed?: ((served: Served) => void) | undefined;
}

/** How one call of `getOrSetMany` differs from its namespace. */
export interface GetOrSetManyOptions<K = unknown, T = unknown> extends Omit<FixedOptions, "onServed" | "ttl" | "tags"> {
  /** How long each value is fresh, as in {@link GetOrSetOptions}; a function is called with each item and its value. */
  readonly ttl?: Duration | ((item: K, value: T) => Duration | undefined) | undefined;
  /** Whether to store a value, as in {@link GetOrSetOptions}; called with each item and its value. */
  readonly shouldStore?: ((item: K, value: T) => boolean) | undefined;
  /**
   * Tags of the values that this call loads. A function is called with each item and its value, once it is loaded; the
   * tags of its list are added to those that `ctx.setOptions` gave the item. If it throws, the load of that item alone
   * has failed. It sees no value that another call loads: those have the tags of that call.
   */
  readonly tags?: readonly string[] | ((item: K, value: T) => readonly string[]) | undefined;
}

/** Options of `touch`. */
export interface TouchOptions {
  /** How long the value is fresh from now on. Above 0. @default that of the namespace */
  readonly ttl?: Duration | undefined;
}

/** Options of reads of many keys without a loader. */
export interface GetManyOptions {
  /**
   * Whether a stale value that has not expired is returned, too. @default false, because this call does not refresh it
   */
  readonly allowStale?: boolean | undefined;
}

/** Options of a read without a loader. */
export interface GetOptions extends GetManyOptions {
  /** Called with what was served, like {@link GetOrSetOptions.onServed}, and for a miss as well. */
  readonly onServed?: ((served: Served) => void) | undefined;
}

/** Options of `clear`. */
export interface ClearOptions {
  /**
   * Ends the freshness of the entries, and keeps them for their stale windows, as `markTagsStale` does. Over a backend
   * that issues no versions itself, entries there are removed all the same. @default false
   */
  readonly stale?: boolean | undefined;
}

/** How one call was answered. */
export interface Served {
  /** `miss`: a load answered, or nothing did. */
  readonly status: "hit" | "stale" | "miss";
  /** Label of the tier that answered; absent when a load answered. */
  readonly tier?: string;
  /** Time since the value was loaded. `0` for a load, for one whose `ttl` is `Infinity`, and for a miss of `get`. */
  readonly ageMs: number;
  /** Remaining freshness; negative when stale. */
  readonly freshForMs: number;
  /**
   * Remaining life, stale windows included, as in `inspect`; after a load that of the value that it stored. Absent
   * when it stored nothing, or was still storing when the caller was answered.
   */
  readonly expiresInMs?: number;
  /** Whether the call waited for a load that another caller began. */
  readonly coalesced: boolean;
  /**
   * Why a stale value was served. For `get`, which refreshes nothing, why it is stale: `marked` by a call, or by `age`,
   * also where a call marked it later. Where the backend keeps no versions a marked key is of `age`.
   */
  readonly cause?: "revalidating" | "error" | "timeout" | "age" | "marked";
  /** Error of the failed load for which a stale value is served. */
  readonly error?: unknown;
}

/** A policy with every option set, in milliseconds, frozen. Calls without options share one object. */
export interface ResolvedPolicy extends Windows {
  readonly ttlMs: number;
  readonly givenTtl?: Duration;
  /** `undefined`: same as `ttlMs`. */
  readonly negativeTtlMs: number | undefined;
  readonly keepForMs: number;
  /** `undefined`: not given, counts as `Infinity`. */
  readonly localTtlMs: number | undefined;
  readonly jitter: number;
  readonly softTimeoutMs: number;
  readonly hardTimeoutMs: number;
  readonly loadTimeoutMs: number;
  readonly errorBackoffMs: number;
  readonly rememberErrors: boolean;
  readonly inherit: boolean;
  readonly verify: boolean;
}

/** Each option, and the field of {@link ResolvedPolicy} that it sets. */
const FIELDS = (Object.keys(POLICY satisfies Record<keyof Policy, Option>) as (keyof Policy)[]).map(
  (name) => [name, "isDuration" in POLICY[name] ? `${name}Ms` : name, POLICY[name] as Option] as const,
);

export const DEFAULT_POLICY: ResolvedPolicy = Object.freeze({
  loadedAfter: -Infinity,
  ...Object.fromEntries(FIELDS.map(([, field, { default: usual }]) => [field, usual])),
} as ResolvedPolicy);

/** The lifetime of one write, in milliseconds. */
export interface ResolvedLifetime {
  readonly ttlMs: number;
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  /** Absent: not beyond the windows. */
  readonly keepForMs?: number;
  readonly localTtlMs: number;
}

/** Whether an option is a function of the value. */
export const hasFunctions = (options: GetOrSetOptions | undefined): options is GetOrSetOptions =>
  options != null &&
  (typeof options.ttl === "function" || typeof options.tags === "function" || options.shouldStore !== undefined);

/** A copy of options that are read late, tags included: by then the caller may use its list for the next call. */
export function ownOptions<O extends { readonly tags?: readonly string[] | undefined }>(options: O): O {
  return Array.isArray(options.tags) ? { ...options, tags: [...options.tags] } : { ...options };
}

/**
 * `base`, overridden by the options that are not `undefined`.
 *
 * @throws {InvalidArgumentError} for a value out of range; then none of `options` is applied.
 */
export function resolvePolicy(base: ResolvedPolicy, options: Policy | undefined): ResolvedPolicy {
  if (options === undefined) return base;
  const policy: Record<string, unknown> & { -readonly [Field in keyof ResolvedPolicy]: ResolvedPolicy[Field] } = {
    ...base,
  };
  for (const [name, field, accepted] of FIELDS)
    if (options[name] !== undefined) policy[field] = readOption(options[name], name, accepted);
  if (options.ttl !== undefined) policy.givenTtl = options.ttl;
  if (options.inherit === true && !HAS_ASYNC_CONTEXT)
    throw new InvalidArgumentError("inherit needs AsyncLocalStorage, which this runtime does not have; name the tags");
  // An inherited soft timeout may exceed the hard one. Only options that set both can contradict themselves.
  if (policy.hardTimeoutMs < policy.softTimeoutMs && options.softTimeout !== undefined)
    throw new InvalidArgumentError(
      `hardTimeout must be at least softTimeout (${policy.softTimeoutMs} ms), got ${policy.hardTimeoutMs} ms`,
    );
  return Object.freeze(policy);
}

/**
 * The policy of one call of `getOrSet` that begins now.
 *
 * @throws {InvalidArgumentError} for a value out of range.
 */
export function resolveCallPolicy(
  base: ResolvedPolicy,
  options: FixedOptions | undefined,
  startedAt: number,
): ResolvedPolicy {
  if (options === undefined) return base;
  const policy = resolvePolicy(base, options);
  const { maxAge: maxAgeMs } = readOptions(options, CALL);
  return maxAgeMs === Infinity ? policy : Object.freeze({ ...policy, loadedAfter: startedAt - maxAgeMs });
}

/**
 * Checks the defaults of a cache: a `ttl` that stores nothing is meant for single calls, and other caches read it as
 * "forever".
 *
 * @throws {InvalidArgumentError} for a `ttl` of 0 or less.
 */
export function checkDefaults(policy: Policy | undefined): void {
  const ttl = policy?.ttl;
  if (ttl !== undefined && toMs("ttl", ttl) <= 0)
    throw new InvalidArgumentError(
      `ttl must be above 0 ms here, got ${describe(ttl)}: the cache would store nothing; a call or a namespace may set 0, and Infinity has no end`,
    );
}

/**
 * Lifetime of `value` under `policy`, overridden by the `options` of the write. Jitter shortens only `ttl`, never a
 * stale window. `undefined`: store nothing and remove the existing entry.
 */
export function lifetimeOf(
  value: unknown,
  policy: ResolvedPolicy,
  options: EntryOptions | undefined,
  random: () => number = Math.random,
): ResolvedLifetime | undefined {
  const resolved = options === undefined ? policy : resolvePolicy(policy, options);
  const wholeMs = value === null ? (resolved.negativeTtlMs ?? resolved.ttlMs) : resolved.ttlMs;
  const ttlMs = resolved.jitter === 0 || wholeMs === Infinity ? wholeMs : wholeMs * (1 - resolved.jitter * random());
  const keepForMs = value !== null ? resolved.keepForMs : 0;
  if (ttlMs <= 0 && keepForMs === 0) return undefined;
  return {
    // Backends count in whole milliseconds. Rounded up, so a fraction of one is still a lifetime.
    ttlMs: Math.ceil(Math.max(0, ttlMs)),
    staleWhileRevalidateMs: bounded(resolved.staleWhileRevalidateMs ?? 0),
    staleIfErrorMs: bounded(resolved.staleIfErrorMs ?? 0),
    ...(keepForMs !== 0 && { keepForMs: bounded(keepForMs) }),
    localTtlMs: resolved.localTtlMs ?? Infinity,
  };
}

/** An infinite window too: its end must stay a number that backends can store. */
const bounded = (windowMs: number): number => Math.ceil(Math.min(windowMs, HUNDRED_YEARS_MS));
