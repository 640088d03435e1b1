import type { Backend } from "../contracts/backend.ts";
import { KeyAliases } from "../coherence/key-aliases.ts";
import { ReadThrough } from "../engine/read-through.ts";
import { Waiters } from "../engine/waiters.ts";
import type { EngineContext } from "../engine/context.ts";
import { KeyedQueue } from "../primitives/keyed-queue.ts";
import { systemClock, type Clock } from "../contracts/clock.ts";
import { RemoteChanges } from "../engine/remote-changes.ts";
import { ChangeSubscription } from "../coherence/change-subscription.ts";
import {
  coherent,
  entryTier,
  isBackend,
  isComposed,
  isHeard,
  leaves,
  versionsOf,
  type ComposedBackend,
} from "../compose/compose.ts";
import { describe, toMs, type Duration } from "../primitives/duration.ts";
import { CacheClosedError, ConfigurationError, InvalidArgumentError } from "../contracts/errors.ts";
import { createEvents, type CacheEvents, type CacheStats } from "../contracts/events.ts";
import type { NamespaceContext } from "../engine/call.ts";
import { Flights } from "../engine/flights.ts";
import { DecisionLog } from "../primitives/decision-log.ts";
import { parseLocalKey, rootKeySpace } from "../entry/key.ts";
import { LocalCopies } from "../tiers/local-copies.ts";
import type { LocalTier } from "../contracts/local-tier.ts";
import { Mutations } from "../engine/mutations.ts";
import { NamespaceView, type Engine, type Namespace } from "./namespace-view.ts";
import {
  checkOptions,
  DEFAULT_POLICY,
  OPTION_NAMES,
  resolvePolicy,
  type Policy,
  type ResolvedPolicy,
} from "../entry/policy.ts";
import { Reads } from "../engine/reads.ts";
import { Recovery } from "../tiers/recovery.ts";
import type { EntryTier } from "../tiers/entry-tier.ts";
import { Semaphore } from "../primitives/semaphore.ts";
import { Meter } from "../primitives/meters.ts";
import { LoadedStore } from "../engine/loaded-store.ts";
import { KnownVersions } from "../tags/known-versions.ts";
import { TagEvents } from "../tags/tag-events.ts";
import { Trust } from "../coherence/trust.ts";

/** A cache: its root namespace, and its life. */
export interface Cache extends Namespace, AsyncDisposable {
  /** Calls `listener` on each event until the returned function is called. What it throws is ignored. */
  on<E extends keyof CacheEvents>(event: E, listener: (event: CacheEvents[E]) => void): () => void;
  /** Counts and latencies since `build`, namespaces included. */
  stats(): CacheStats;
  /** Connects now instead of on first use, and hears of changes from then on. Optional. @throws {BackendUnavailableError} */
  connect(): Promise<void>;
  /** Resolves when every background load that has begun is settled. Never rejects. */
  drain(): Promise<void>;
  /**
   * Refuses new calls, drains for at most `timeout`, aborts the rest, and closes the tiers
   * that no other cache uses, waiting for a backend as long as for any call. Idempotent. Later calls reject with {@link CacheClosedError}.
   */
  close(options?: { /** @default '5s' */ readonly timeout?: Duration }): Promise<void>;
}

export interface CacheOptions {
  /** The root of every key, before namespaces: caches of different names never meet, processes with the same name share. `''` adds nothing to keys that other programs know. */
  readonly name: string;
  /** Part of every key: raise it when values change their shape, and nothing older is read. @default none */
  readonly version?: string | number;
  /**
   * Loads at one time in this process, background ones included; further callers wait their turn within their
   * timeouts. A load inside a loader does not: the outer one would wait for it, and it for the outer one's end. @default 1_000
   */
  readonly maxLoads?: number;
  /** Keeps a serverless invocation alive for background loads. The promise never rejects. Called within the async context of the request. */
  readonly waitUntil?: (work: Promise<void>) => void;
  /** Background loads at one time; those beyond it are left to a later call. @default 100 */
  readonly maxBackgroundLoads?: number;
  /** How many decisions to remember, over all keys, for {@link Namespace.explain}. A note is some 200 bytes. @default none */
  readonly explain?: number;
  /** Where time comes from; a `TestClock` in tests. @default the system's */
  readonly clock?: Clock;
}

/**
 * Starts a cache. Nearest tier first:
 *
 *     createCache({ name: 'shop' }).tier(memory()).tier(redis(url).build()).build()
 */
export function createCache(options: CacheOptions): EmptyCacheBuilder {
  return new Builder({
    options: checkCacheOptions(options),
    local: undefined,
    backend: undefined,
    policy: DEFAULT_POLICY,
  });
}

/** Immutable: each call returns a new builder. */
export interface EmptyCacheBuilder {
  /** Keeps live values in this process: `memory()`. */
  tier(tier: LocalTier): LocalCacheBuilder;
  /** Keeps bytes elsewhere: `redis(url).build()`. */
  tier(tier: Backend | ComposedBackend): CacheBuilder;
  /** As {@link CacheBuilder.defaults}. */
  defaults(policy: Policy): this;
}

export interface LocalCacheBuilder extends CacheBuilder {
  /** Keeps bytes elsewhere: `redis(url).build()`. Several backends become one with `compose`. */
  tier(tier: Backend | ComposedBackend): CacheBuilder;
}

export interface CacheBuilder {
  /** The policy of every call that says nothing else. Later calls add to earlier ones. @throws {ConfigurationError} */
  defaults(policy: Policy): this;
  /**
   * Synchronous, opens nothing.
   *
   * @throws {ConfigurationError} when a local tier already belongs to another cache, or the
   *   backend has no coherence and `localTtl` was not given.
   */
  build(): Cache;
}

interface Plan {
  readonly options: CacheOptions;
  readonly local: LocalTier | undefined;
  readonly backend: Backend | ComposedBackend | undefined;
  readonly policy: ResolvedPolicy;
}

class Builder {
  readonly #plan: Plan;

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  tier(tier: LocalTier | Backend | ComposedBackend): Builder {
    if (isLocalTier(tier)) {
      if (this.#plan.local !== undefined || this.#plan.backend !== undefined)
        throw new ConfigurationError("tier: the local tier comes first, and there is one; move memory() to the front");
      return new Builder({ ...this.#plan, local: tier });
    }
    if (!isComposed(tier) && !isBackend(tier))
      throw new ConfigurationError(
        `tier: ${describe(tier)} is no tier; give memory(), or a backend such as redis(url).build()`,
      );
    if (this.#plan.backend !== undefined)
      throw new ConfigurationError("tier: there is a backend already; make one of two with compose(near, far)");
    return new Builder({ ...this.#plan, backend: tier });
  }

  defaults(policy: Policy): Builder {
    try {
      checkOptions(policy, OPTION_NAMES.policy);
      return new Builder({ ...this.#plan, policy: resolvePolicy(this.#plan.policy, policy) });
    } catch (cause) {
      throw new ConfigurationError(`defaults: ${(cause as Error).message}`, { cause });
    }
  }

  build(): Cache {
    const { local, backend, policy } = this.#plan;
    if (local === undefined && backend === undefined)
      throw new ConfigurationError("build: a cache has a tier; add memory() or a backend");
    if (local !== undefined && backend !== undefined && !isHeard(backend) && policy.localTtlMs === undefined)
      throw new ConfigurationError(
        `localTtl: ${backend.label} does not tell what others change, so give defaults({ localTtl }): how stale a local copy may be`,
      );
    return new CacheView(this.#plan) as unknown as Cache;
  }
}

/** Caches that use a backend: the last one closes it. */
const users = new WeakMap<Backend, number>();

/** The root namespace, and the life of its cache. */
class CacheView extends NamespaceView {
  readonly #context: EngineContext;
  readonly #waiters: Waiters;
  readonly #remote: EntryTier | undefined;
  readonly #backends: readonly Backend[];
  readonly #hearings: ReadonlyMap<Backend, ChangeSubscription>;
  #closing: Promise<void> | undefined;

  constructor({ options, local, backend, policy }: Plan) {
    const clock = options.clock ?? systemClock;
    const events = createEvents();
    const tags = new TagEvents();
    const trust = new Trust();
    const keySpace = rootKeySpace(options.name, options.version);
    const heard = backend === undefined ? [] : coherent(backend);
    const aliases = new Map<Backend, KeyAliases>(
      heard.flatMap((each) =>
        each.alias === undefined
          ? []
          : [
              [
                each,
                new KeyAliases(
                  (key) => each.alias!(key),
                  (key) => changes.forgotten(each, key),
                ),
              ] as const,
            ],
      ),
    );
    const issuer = backend && versionsOf(backend);
    // Versions that nobody reports changes of cannot be known.
    const table =
      issuer?.coherence === undefined || heard.length === 0
        ? undefined
        : new KnownVersions(trust, clock, () => tags.forgotten(), aliases.get(issuer));
    const remote =
      backend &&
      entryTier(backend, {
        clock,
        events,
        cache: options.name,
        root: keySpace,
        table,
        aliases,
        used: (each) => void hearings.get(each)?.start(),
        heardUntil: (each) => hearings.get(each)?.until ?? Infinity,
      });
    const context: EngineContext = {
      name: options.name,
      clock,
      random: Math.random,
      local: local && new LocalCopies({ tier: local, tags, trust, table, clock, events, cache: options.name }),
      recovery:
        remote &&
        new Recovery({
          remote,
          clock,
          events,
          cache: options.name,
          root: keySpace,
          replayed: {
            key: (key) => mutations.replayed(key),
            tags: (space, keys) => tags.called(space, keys, "hard"),
          },
          reissueWindowMs: Math.max(0, ...heard.map(({ coherence }) => coherence.reissueWindowMs ?? REISSUE_WINDOW_MS)),
        }),
      events,
      decisions: options.explain === undefined ? undefined : new DecisionLog(clock, options.explain),
      meter: new Meter(),
      tags,
      trust,
      flights: new Flights(trust),
      leases: new Set(),
      writes: new KeyedQueue(),
      loads: new Semaphore(options.maxLoads ?? 1_000),
      backgroundLoads: new Semaphore(options.maxBackgroundLoads ?? 100),
      waitUntil: options.waitUntil && heedless(options.waitUntil),
      isClosed: false,
    };
    const waiters = new Waiters(context);
    const loadedStore = new LoadedStore(context, waiters);
    const readThrough = new ReadThrough(context, waiters, loadedStore);
    const mutations = new Mutations(context, readThrough, loadedStore);
    const engine: Engine = { context, readThrough, mutations, reads: new Reads(context, waiters) };
    const namespace: NamespaceContext = { keySpace, policy, schema: undefined, remote };
    super(engine, namespace);
    this.#context = context;
    this.#waiters = waiters;
    this.#remote = remote;
    this.#backends = backend === undefined ? [] : leaves(backend);
    const changes = new RemoteChanges({ context, root: keySpace, table, remote: remote!, aliases });
    const hearings = new Map<Backend, ChangeSubscription>(
      heard.map(
        (each) => [each, new ChangeSubscription(each.coherence, clock, trust, changes.listenerOf(each))] as const,
      ),
    );
    this.#hearings = hearings;
    local?.attach({
      clock,
      evicted(at, reason) {
        if (!events.evict.isObserved) return;
        const { path, key } = parseLocalKey(at);
        events.evict.emit({ cache: options.name, namespace: path, key, tier: local.label, reason });
      },
    });
    for (const each of this.#backends) users.set(each, (users.get(each) ?? 0) + 1);
  }

  on<E extends keyof CacheEvents>(event: E, listener: (event: CacheEvents[E]) => void): () => void {
    const port = Object.hasOwn(this.#context.events, event) ? this.#context.events[event] : undefined;
    if (port === undefined)
      throw new InvalidArgumentError(
        `on: there is no event ${describe(event)}; there are ${Object.keys(this.#context.events).join(", ")}`,
      );
    if (typeof listener !== "function")
      throw new InvalidArgumentError(`on: ${describe(listener)} is no listener; give a function`);
    return port.add(listener);
  }

  stats(): CacheStats {
    const { local, meter, recovery } = this.#context;
    const { usedBytes } = local?.tier ?? {};
    return meter.snapshot((recovery?.size ?? 0) + (this.#remote?.pending ?? 0), [
      ...(local === undefined
        ? []
        : [
            local.meter.snapshot(local.label, "up", {
              entries: local.tier.entryCount,
              ...(usedBytes !== undefined && { bytes: usedBytes }),
            }),
          ]),
      ...(this.#remote?.stats() ?? []),
    ]);
  }

  async connect(): Promise<void> {
    if (this.#context.isClosed)
      throw new CacheClosedError(`the cache ${JSON.stringify(this.#context.name)} was closed`);
    await this.#remote?.connect();
    await this.#within(
      this.#remote?.deadlineMs ?? 0,
      Promise.all([...this.#hearings.values()].map((hearing) => hearing.start())),
    );
  }

  async drain(): Promise<void> {
    await Promise.all([...this.#context.flights.all()].map((flight) => flight.whenSettled()));
    await this.#context.writes.settled();
  }

  async close(options: { readonly timeout?: Duration } = {}): Promise<void> {
    checkOptions(options, CLOSE_OPTIONS);
    const timeoutMs = options.timeout === undefined ? 5_000 : toMs("timeout", options.timeout);
    this.#closing ??= this.#close(timeoutMs);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(timeoutMs: number): Promise<void> {
    const context = this.#context;
    context.isClosed = true;
    await this.#within(timeoutMs, this.#settled());
    for (const flight of [...context.flights.all()])
      this.#waiters.abort(
        flight,
        new CacheClosedError(`the cache ${JSON.stringify(context.name)} was closed while this call waited`),
      );
    context.recovery?.stop();
    context.local?.close();
    await this.#within(
      this.#remote?.deadlineMs ?? 0,
      Promise.all([...this.#hearings.values()].map((hearing) => hearing.stop())),
    );
    this.#remote?.stop();
    const unused = this.#backends.filter((backend) => {
      users.set(backend, users.get(backend)! - 1);
      return users.get(backend) === 0;
    });
    if (this.#remote !== undefined)
      await this.#within(this.#remote.deadlineMs, Promise.allSettled(unused.map(async (backend) => backend.close())));
  }

  async #settled(): Promise<void> {
    const { recovery } = this.#context;
    await this.drain();
    if (recovery !== undefined && recovery.size !== 0) await recovery.replay();
    await this.#remote?.settled();
  }

  async #within(limitMs: number, work: Promise<unknown>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#context.clock.schedule(resolve, limitMs);
    work.then(
      () => resolve(),
      () => resolve(),
    );
    await promise;
    cancel();
  }
}

/** A host that refuses work, outside of a request say, does not stop it. */
const heedless =
  (waitUntil: (work: Promise<void>) => void) =>
  (work: Promise<void>): void => {
    try {
      waitUntil(work);
    } catch {
      return;
    }
  };

const REISSUE_WINDOW_MS = 30_000;

const CACHE_OPTIONS = new Set(["name", "version", "maxLoads", "waitUntil", "maxBackgroundLoads", "explain", "clock"]);
const CLOSE_OPTIONS = new Set(["timeout"]);

function checkCacheOptions(options: CacheOptions): CacheOptions {
  try {
    checkOptions(options, CACHE_OPTIONS);
  } catch (cause) {
    throw new ConfigurationError(`createCache: ${(cause as Error).message}`, { cause });
  }
  if (typeof options?.name !== "string" || !options.name.isWellFormed())
    throw new ConfigurationError(`name: ${describe(options?.name)} is no name; give a string, the root of every key`);
  if (
    options.version !== undefined &&
    !(typeof options.version === "string" && options.version !== "" && options.version.isWellFormed()) &&
    !Number.isFinite(options.version)
  )
    throw new ConfigurationError(
      `version: ${describe(options.version)} is no version; give a number or a non-empty string`,
    );
  for (const limit of ["maxLoads", "maxBackgroundLoads"] as const)
    if (
      options[limit] !== undefined &&
      options[limit] !== Infinity &&
      !(Number.isInteger(options[limit]) && options[limit] >= 1)
    )
      throw new ConfigurationError(
        `${limit}: ${describe(options[limit])} is out of range; give a whole number of at least 1`,
      );
  if (options.explain !== undefined && !(Number.isSafeInteger(options.explain) && options.explain >= 1))
    throw new ConfigurationError(
      `explain: ${describe(options.explain)} is out of range; give a whole number of at least 1: how many decisions to remember`,
    );
  if (options.waitUntil !== undefined && typeof options.waitUntil !== "function")
    throw new ConfigurationError(`waitUntil: ${describe(options.waitUntil)} is no function`);
  if (
    options.clock !== undefined &&
    (typeof options.clock?.now !== "function" || typeof options.clock.schedule !== "function")
  )
    throw new ConfigurationError(`clock: ${describe(options.clock)} is no clock; give now() and schedule()`);
  return Object.freeze({ ...options });
}

const isLocalTier = (tier: LocalTier | Backend | ComposedBackend): tier is LocalTier =>
  typeof (tier as Partial<LocalTier> | undefined)?.attach === "function";
