import type { Backend } from "../contracts/capabilities.ts";
import { ConfigurationError } from "../contracts/errors.ts";
import type { LocalTier } from "../contracts/local-tier.ts";
import { checkOptionNames } from "../entry/options.ts";
import { checkDefaults, DEFAULT_POLICY, resolvePolicy, type Policy } from "../entry/policy.ts";
import { describe, kindOf } from "../primitives/duration.ts";
import { requireNode } from "../primitives/node-version.ts";
import { refuseSurplus } from "../primitives/options.ts";
import { assemble, startVerifying, type Plan } from "./assemble.ts";
import { checkCacheOptions, type CacheOptions } from "./cache-options.ts";
import { CacheView, type Cache } from "./cache.ts";
import type { Untyped } from "./namespace.ts";

requireNode(globalThis);

/**
 * Starts a cache. Nearest tier first:
 *
 *     createCache({ name: 'shop' }).tier(memory()).tier(redis(url).build()).build()
 *
 * @throws {ConfigurationError} for an option that does not exist, or that is out of its range.
 */
export function createCache(options: CacheOptions): EmptyCacheBuilder;
export function createCache(options: CacheOptions, ...surplus: readonly unknown[]): EmptyCacheBuilder {
  refuseSurplus("createCache(options)", surplus, "give one object of options; tiers follow with .tier(...)");
  const checked = checkCacheOptions(options);
  return new Builder({ options: checked, local: undefined, backend: undefined, policy: DEFAULT_POLICY });
}

/**
 * Immutable: each call returns a new builder. Calls throw `ConfigurationError` for a value that is not a tier, and for
 * one tier too many.
 */
export interface EmptyCacheBuilder {
  /** Keeps live values in this process: `memory()`. */
  tier(tier: LocalTier): LocalCacheBuilder;
  /** Keeps bytes elsewhere: `redis(url).build()`. */
  tier(tier: Backend): CacheBuilder;
  /** One that the program chooses when it runs: `test ? memory() : sqlite(file)`. No other tier follows. */
  tier(tier: LocalTier | Backend): CacheBuilder;
  /** Sets the defaults, like {@link CacheBuilder.defaults}. */
  defaults(policy: Policy): this;
}

/**
 * A cache with a local tier, and no backend yet. Calls throw `ConfigurationError` for a value that is not a tier, and
 * for one tier too many.
 */
export interface LocalCacheBuilder extends CacheBuilder {
  /** Keeps bytes elsewhere: `redis(url).build()`. Several backends become one with `compose`. */
  tier(tier: Backend): CacheBuilder;
}

/** A cache with all of its tiers. Immutable: each call returns a new builder. */
export interface CacheBuilder {
  /**
   * The policy of every call that says nothing else. Later calls add to earlier ones. `ttl` must be above 0.
   *
   * @throws {ConfigurationError}
   */
  defaults(policy: Policy): this;
  /**
   * Synchronous, opens nothing.
   *
   * @throws {ConfigurationError} when a local tier already belongs to another cache, the backend has no coherence and
   *   `localTtl` was not given, or the backend stores keys as they are and the cache has a name or a version.
   */
  build(): Cache;
}

class Builder {
  readonly #plan: Plan;

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  tier(tier: LocalTier | Backend, ...surplus: readonly unknown[]): Builder {
    refuseSurplus("tier(tier)", surplus, "call it once for each tier: .tier(memory()).tier(redis(url).build())");
    if (isA<LocalTier>(tier, "attach")) {
      if (this.#plan.local !== undefined || this.#plan.backend !== undefined)
        throw new ConfigurationError("tier: only the first tier can be a local one; move memory() to the front");
      return new Builder({ ...this.#plan, local: tier });
    }
    if (!isA<Backend>(tier, "read", "write", "remove", "close"))
      throw new ConfigurationError(`tier must be memory(), or a backend such as redis(url).build(), got ${got(tier)}`);
    if (this.#plan.backend !== undefined)
      throw new ConfigurationError("tier: only one backend is allowed; combine two with compose(near, far)");
    return new Builder({ ...this.#plan, backend: tier });
  }

  defaults(policy: Policy, ...surplus: readonly unknown[]): Builder {
    refuseSurplus("defaults(policy)", surplus, "give one object of options");
    try {
      checkOptionNames("policy", policy);
      checkDefaults(policy);
      return new Builder({ ...this.#plan, policy: resolvePolicy(this.#plan.policy, policy) });
    } catch (cause) {
      throw new ConfigurationError(`defaults: ${(cause as Error).message}`, { cause });
    }
  }

  build(...surplus: readonly unknown[]): Cache {
    refuseSurplus("build()", surplus, "options belong in createCache(options) and .defaults(policy)");
    const { options, local, backend, policy } = this.#plan;
    if (local === undefined && backend === undefined)
      throw new ConfigurationError("build: no tier; add memory() or a backend");
    if (local !== undefined && backend !== undefined && (backend.coherence ?? policy.localTtlMs) === undefined)
      throw new ConfigurationError(
        `localTtl must be set with defaults({ localTtl }): ${backend.label} reports no changes, so nothing else bounds how stale a copy in memory may be`,
      );
    if (backend?.keepsKeys === true && (options.name !== "" || options.version !== undefined))
      throw new ConfigurationError(
        `name must be "", and version absent, over ${backend.label}, which stores keys as they are; got name ${JSON.stringify(options.name)}, version ${describe(options.version)}; or give the backend a key prefix`,
      );
    const parts = assemble(this.#plan);
    startVerifying(parts, options.verify);
    const view: Untyped<Cache> = new CacheView(parts);
    return view as Cache;
  }
}

/**
 * Refuses anything but a cache, for an adapter that takes one.
 *
 * @param place its name in the error, such as `keyvStore`.
 * @throws {ConfigurationError} for what `createCache(...).build()` has not given.
 */
export function checkCache(given: unknown, place: string): void {
  if (isA<Cache>(given, "getOrSet", "namespace")) return;
  throw new ConfigurationError(`${place}: cache must be what createCache(...).build() gives, got ${got(given)}`);
}

const isA = <T>(given: unknown, ...methods: readonly (keyof T)[]): given is T =>
  methods.every((method) => typeof (given as Partial<T> | null | undefined)?.[method] === "function");

const got = (it: unknown): string => kindOf(it) + (isA<CacheBuilder>(it, "build") ? "; did you forget .build()?" : "");
