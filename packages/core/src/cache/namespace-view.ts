import type { ReadThrough } from "../engine/read-through.ts";
import type { EngineContext } from "../engine/context.ts";
import { ConfigurationError, CacheClosedError, InvalidArgumentError } from "../contracts/errors.ts";
import { describe } from "../primitives/duration.ts";
import type { GetOrSetCall, NamespaceContext } from "../engine/call.ts";
import { checkKey, checkTags, entryKey, localKey, keySpaceBelow, type EntryKey } from "../entry/key.ts";
import { BatchLoad } from "../engine/batch-load.ts";
import type { Decision } from "../primitives/decision-log.ts";
import type { BatchLoader, Loader } from "../engine/load.ts";
import { isLoading, whileLoading } from "../engine/loading.ts";
import {
  checkRoomForMeta,
  type DeleteManyResult,
  type DeleteResult,
  type InvalidateResult,
  type MarkStaleResult,
  type Mutations,
  type WriteManyResult,
  type WriteResult,
} from "../engine/mutations.ts";
import { isThenable } from "../primitives/once.ts";
import {
  checkEntryOptions,
  checkOptions,
  OPTION_NAMES,
  resolvePolicy,
  type EntryOptions,
  type GetOptions,
  type GetOrSetOptions,
  type Policy,
  type ResolvedPolicy,
} from "../entry/policy.ts";
import type { EntryInfo, Reads } from "../engine/reads.ts";
import type { StandardSchema } from "../contracts/standard-schema.ts";
import { wrapFunction, type AnyFunction, type Wrapped, type WrapKey, type WrapOptions } from "./wrap.ts";

/** `V` where the namespace has a type, else what the call says. */
export type ValueOf<V, T> = unknown extends V ? T : V;

/**
 * Keys of one name, over the cache's tiers. `V` is the type of its values;
 * `unknown` lets each call say its own (`get<User>(key)`).
 *
 * Keys are non-empty, well-formed strings of at most 64 KiB in UTF-8. A bad key or option rejects with
 * {@link InvalidArgumentError} and changes nothing.
 */
export interface Namespace<V = unknown> {
  /**
   * The value, or what `load` computes. Concurrent callers share one load, with the options of
   * the one that began it and the tags of all. What the format cannot write is handed out,
   * reported, and stored nowhere.
   *
   * @throws what `load` throws, as it is, when no stale value may stand in.
   * @throws {LoadTimeoutError} after `hardTimeout` or `loadTimeout`, likewise.
   * @throws {ReentrantLoadError} from inside the loader of the same key.
   */
  getOrSet<T extends V>(key: string, load: Loader<T>, options?: GetOrSetOptions): Promise<ValueOf<V, T>>;
  /** {@link getOrSet} for many items and one `load`. In the order of `items`; duplicates collapse. */
  getOrSetMany<K, T extends V>(
    items: readonly K[],
    key: (item: K) => string,
    load: BatchLoader<K, T>,
    options?: Omit<GetOrSetOptions, "onServed">,
  ): Promise<Map<K, ValueOf<V, T>>>;
  /** The fresh value; `undefined` when there is none. Never loads, never fails for a backend's sake. */
  get<T extends V = V>(key: string, options?: GetOptions): Promise<T | undefined>;
  /** As {@link get}. Keys without a value are absent from the result. */
  getMany<T extends V = V>(keys: readonly string[], options?: GetOptions): Promise<Map<string, T>>;
  /** The fresh value of the local tier, synchronously; `undefined` also while that tier cannot be trusted. */
  peek<T extends V = V>(key: string): T | undefined;
  /** Whether {@link get} would find a fresh value. */
  has(key: string): Promise<boolean>;
  /** What is known about an entry, for people and for tests. */
  inspect(key: string): Promise<EntryInfo | undefined>;
  /**
   * What was decided about this key lately, oldest first: which tier answered, why a copy would not do, which lease,
   * fence or version. Remembered while `createCache({ explain })` says how much of it. @throws {ConfigurationError} otherwise.
   */
  explain(key: string): readonly Decision[];

  /**
   * Stores `value`, here and for every process.
   *
   * @throws {InvalidArgumentError} for `undefined` and for a promise that was not awaited.
   * @throws {EncodeError} when the format cannot write it; then nothing is stored anywhere.
   */
  set(key: string, value: V & ({} | null), options?: EntryOptions): Promise<WriteResult>;
  /** As {@link set}, with the same options for all. */
  setMany(
    entries: Iterable<readonly [key: string, value: V & ({} | null)]>,
    options?: EntryOptions,
  ): Promise<WriteManyResult>;
  /** Removes the entry, here and for every process. Loads in flight cannot bring it back. */
  delete(key: string): Promise<DeleteResult>;
  /** As {@link delete}. */
  deleteMany(keys: readonly string[]): Promise<DeleteManyResult>;
  /** Ends the entry's freshness now, as if `ttl` had run out: its stale windows begin. Without any, removes it. */
  markStale(key: string): Promise<MarkStaleResult>;
  /** No entry with any of these tags, in this namespace or below it, is served again, not even as stale. Cost does not grow with entries. */
  invalidateTags(...tags: string[]): Promise<InvalidateResult>;
  /** As {@link markStale}, for every entry with any of these tags, in this namespace or below it. */
  markTagsStale(...tags: string[]): Promise<InvalidateResult>;
  /** No entry of this namespace, or below it, is served again. Constant cost; other namespaces keep theirs. */
  clear(): Promise<InvalidateResult>;

  /**
   * Other keys over the same tiers, with a type and a policy of their own.
   * A cheap view: make one per request if you like. Inherits this namespace's policy.
   */
  namespace<T extends V = V>(name: string, options?: NamespaceOptions<T>): Namespace<T>;

  /** `fn`, remembered by its arguments. Of an overloaded or generic `fn` only one plain signature survives. It gets no context: that is `getOrSet`. */
  wrap<F extends AnyFunction<V>>(
    fn: F,
    options: WrapOptions<F> & WrapKey<F>,
  ): Wrapped<Parameters<F>, ValueOf<V, Awaited<ReturnType<F>>>>;
}

export interface NamespaceOptions<V> extends Policy {
  /**
   * Checks values that come from a backend; one that fails is a miss, reported as `decode:error`.
   * Values you load or set are the compiler's business and are not checked.
   *
   * @see https://standardschema.dev
   */
  readonly schema?: StandardSchema<V>;
  /** Values never leave the process: for what no format can write. Its keys are apart from those of other views. @default false */
  readonly localOnly?: boolean;
}

/** The parts of one cache that a namespace calls. */
export interface Engine {
  readonly context: EngineContext;
  readonly readThrough: ReadThrough;
  readonly reads: Reads;
  readonly mutations: Mutations;
}

/** A namespace over an engine. Methods check what they are given, and leave the rest to the engine. */
export class NamespaceView {
  readonly #engine: Engine;
  readonly #namespace: NamespaceContext;

  constructor(engine: Engine, namespace: NamespaceContext) {
    this.#engine = engine;
    this.#namespace = namespace;
  }

  getOrSet(key: string, load: Loader<unknown>, options?: GetOrSetOptions): Promise<unknown> {
    try {
      const { context, readThrough } = this.#engine;
      const namespace = this.#namespace;
      const now = context.clock.now();
      const at = typeof key === "string" ? localKey(namespace.keySpace, key) : "";
      const held = context.local?.get(at, now);
      // A hit reads only the options that a hit needs; all others are checked on the way to a load.
      if (
        held !== undefined &&
        now < held.staleAt &&
        typeof load === "function" &&
        isPlainHit(namespace.policy, options) &&
        !context.lifecycle.isClosed
      ) {
        return Promise.resolve(readThrough.hit(namespace, key, now, held));
      }
      return readThrough.fetch(this.#call(key, load, options, now), held);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async getOrSetMany<K>(
    items: readonly K[],
    keyOfItem: (item: K) => string,
    load: BatchLoader<K, unknown>,
    options?: Omit<GetOrSetOptions, "onServed">,
  ): Promise<Map<K, unknown>> {
    const { context, readThrough } = this.#engine;
    if (!Array.isArray(items)) throw new InvalidArgumentError(`items: ${describe(items)} is no list; give an array`);
    if (typeof keyOfItem !== "function")
      throw new InvalidArgumentError(
        `key: ${describe(keyOfItem)} is no function; give one that makes a key of an item`,
      );
    if (typeof load !== "function")
      throw new InvalidArgumentError(`load: ${describe(load)} is no loader; give a function`);
    checkOptions(options, OPTION_NAMES.getOrSetMany);
    const isNested = isLoading(context);
    const batch = new BatchLoad<K, unknown>(load, async (keys, body) => {
      if (!isNested && !context.loads.tryTake()) await context.loads.take();
      try {
        await whileLoading(
          context,
          new Set(keys.map((key) => localKey(this.#namespace.keySpace, key))),
          body,
          (done) => done,
        );
      } finally {
        if (!isNested) context.loads.free();
      }
    });
    const unique = [...new Set(items)];
    const now = context.clock.now();
    const calls = unique.map(
      (item): readonly [GetOrSetCall, ReturnType<NonNullable<EngineContext["local"]>["get"]>] => {
        const key = keyOfItem(item);
        const call = { ...this.#call(key, batch.loaderOf(item), options, now), batch };
        return [call, context.local?.get(call.key.local, now)];
      },
    );
    const entered = readThrough.fetchMany(calls);
    const flights = entered.flatMap(({ flight }) => flight ?? []);
    const arriving = new Set(flights);
    batch.expect(flights.length);
    for (const flight of flights)
      void flight.whenSettled().then(() => {
        // A flight that came to its load has been counted there.
        if (arriving.delete(flight) && flight.running === undefined) batch.left();
      });
    const outcomes = await Promise.allSettled(entered.map(({ answer }) => answer));
    const found = new Map<K, unknown>();
    unique.forEach((item, i) => {
      const outcome = outcomes[i]!;
      if (outcome.status === "rejected") throw outcome.reason;
      if (outcome.value !== undefined) found.set(item, outcome.value);
    });
    return found;
  }

  get(key: string, options?: GetOptions): Promise<unknown> {
    try {
      return this.#engine.reads.get(this.#namespace, this.#key(key), allowsStale(options));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async getMany(keys: readonly string[], options?: GetOptions): Promise<Map<string, unknown>> {
    if (!Array.isArray(keys))
      throw new InvalidArgumentError(`keys: ${describe(keys)} is no list; give an array of strings`);
    const unique = [...new Set(keys)].map((key) => this.#key(key));
    const values = await this.#engine.reads.getMany(this.#namespace, unique, allowsStale(options));
    return new Map(unique.flatMap(({ name }, i) => (values[i] === undefined ? [] : [[name, values[i]] as const])));
  }

  peek(key: string): unknown {
    const engine = this.#engine;
    const { local, clock } = engine.context;
    if (local !== undefined && typeof key === "string") {
      const now = clock.now();
      const held = local.get(localKey(this.#namespace.keySpace, key), now);
      if (held !== undefined && now < held.staleAt && !engine.context.lifecycle.isClosed)
        return engine.readThrough.hit(this.#namespace, key, now, held);
    }
    return engine.reads.nothingToPeek(this.#namespace, this.#key(key));
  }

  async has(key: string): Promise<boolean> {
    return (await this.get(key)) !== undefined;
  }

  async inspect(key: string): Promise<EntryInfo | undefined> {
    return this.#engine.reads.inspect(this.#namespace, this.#key(key));
  }

  explain(key: string): readonly Decision[] {
    const { decisions } = this.#engine.context;
    if (decisions === undefined)
      throw new ConfigurationError(
        "explain: nothing is remembered; say createCache({ explain: 1_000 }), the number of decisions to keep",
      );
    return decisions.about([this.#key(key).local, ...this.#namespace.keySpace.tagPrefixes]);
  }

  async set(key: string, value: unknown, options?: EntryOptions): Promise<WriteResult> {
    const target = this.#key(key);
    checkValue(value);
    checkEntryOptions(options);
    return this.#engine.mutations.set(this.#namespace, target, value, options);
  }

  async setMany(
    entries: Iterable<readonly [key: string, value: unknown]>,
    options?: EntryOptions,
  ): Promise<WriteManyResult> {
    if (typeof entries?.[Symbol.iterator] !== "function")
      throw new InvalidArgumentError(`entries: ${describe(entries)} is no list; give pairs of a key and a value`);
    const checked = [...entries].map((entry) => {
      if (!Array.isArray(entry))
        throw new InvalidArgumentError(`entries: ${describe(entry)} is no pair; give pairs of a key and a value`);
      const [key, value] = entry;
      checkValue(value);
      return [this.#key(key), value] as const;
    });
    checkEntryOptions(options);
    const results = await allOrFirstError(
      checked.map(([key, value]) => this.#engine.mutations.set(this.#namespace, key, value, options)),
    );
    return { stored: tally(results, "stored"), pending: tally(results, "pending"), refused: tally(results, "refused") };
  }

  async delete(key: string): Promise<DeleteResult> {
    return this.#engine.mutations.delete(this.#namespace, this.#key(key));
  }

  async deleteMany(keys: readonly string[]): Promise<DeleteManyResult> {
    if (!Array.isArray(keys))
      throw new InvalidArgumentError(`keys: ${describe(keys)} is no list; give an array of strings`);
    const checked = [...new Set(keys)].map((key) => this.#key(key));
    const results = await allOrFirstError(checked.map((key) => this.#engine.mutations.delete(this.#namespace, key)));
    return {
      deleted: tally(results, "deleted"),
      missing: tally(results, "missing"),
      pending: tally(results, "pending"),
    };
  }

  async markStale(key: string): Promise<MarkStaleResult> {
    return this.#engine.mutations.markStale(this.#namespace, this.#key(key));
  }

  async invalidateTags(...tags: string[]): Promise<InvalidateResult> {
    return this.#invalidate(tags, "hard");
  }

  async markTagsStale(...tags: string[]): Promise<InvalidateResult> {
    return this.#invalidate(tags, "soft");
  }

  async clear(): Promise<InvalidateResult> {
    this.#checkOpen();
    return this.#engine.mutations.invalidate(this.#namespace, [], "hard");
  }

  namespace(name: string, options?: NamespaceOptions<unknown>): NamespaceView {
    checkOptions(options, OPTION_NAMES.namespace);
    const { context } = this.#engine;
    if (options?.localOnly === true && context.local === undefined)
      throw new ConfigurationError("localOnly: this cache has no local tier; add memory() before the backend");
    if (options?.schema !== undefined && typeof options.schema["~standard"]?.validate !== "function")
      throw new InvalidArgumentError(
        `schema: ${describe(options.schema)} is no Standard Schema; give one of https://standardschema.dev`,
      );
    const keySpace = keySpaceBelow(this.#namespace.keySpace, name, options?.localOnly === true);
    return new NamespaceView(this.#engine, {
      keySpace,
      policy: resolvePolicy(this.#namespace.policy, options),
      schema: options?.schema,
      remote: keySpace.isLocalOnly ? undefined : this.#namespace.remote,
    });
  }

  wrap(
    fn: (...args: unknown[]) => unknown,
    options: WrapOptions<AnyFunction> & WrapKey<AnyFunction>,
  ): Wrapped<unknown[], unknown> {
    const wrapped = wrapFunction(this, fn, options as never);
    // Each call resolves it anew; this is for the mistakes.
    resolvePolicy(this.#namespace.policy, options);
    return wrapped;
  }

  async #invalidate(tags: readonly string[], mode: "hard" | "soft"): Promise<InvalidateResult> {
    this.#checkOpen();
    checkTags(tags);
    if (tags.length === 0) return { status: "done" };
    return this.#engine.mutations.invalidate(this.#namespace, tags, mode);
  }

  #call(key: string, load: Loader<unknown>, options: GetOrSetOptions | undefined, startedAt: number): GetOrSetCall {
    const target = this.#key(key);
    if (typeof load !== "function")
      throw new InvalidArgumentError(`load: ${describe(load)} is no loader; give a function that computes the value`);
    if (options !== undefined) checkCallOptions(options);
    const namespace = this.#namespace;
    if (options?.tags !== undefined && options.tags.length !== 0) checkRoomForMeta(namespace);
    return {
      namespace,
      key: target,
      load,
      policy: resolvePolicy(namespace.policy, options),
      tags: options?.tags ?? NO_TAGS,
      startedAt,
      isForced: options?.forceRefresh === true,
      isAfter: options?.after !== undefined && namespace.remote !== undefined,
      signal: options?.signal,
      onServed: options?.onServed,
      batch: undefined,
    };
  }

  #key(key: string): EntryKey {
    this.#checkOpen();
    checkKey(key);
    return entryKey(this.#namespace.keySpace, key);
  }

  #checkOpen(): void {
    const { context } = this.#engine;
    if (context.lifecycle.isClosed)
      throw new CacheClosedError(`the cache ${JSON.stringify(context.name)} was closed; calls end before close()`);
  }
}

const NO_TAGS: readonly string[] = Object.freeze([]);

function isPlainHit(policy: ResolvedPolicy, options: GetOrSetOptions | undefined): boolean {
  // What is no object is refused on the way to a load.
  if (options == null) return policy.refreshAhead === 1;
  return (
    (options.refreshAhead === undefined ? policy.refreshAhead === 1 : false) &&
    options.forceRefresh !== true &&
    options.after === undefined &&
    options.onServed === undefined
  );
}

function checkCallOptions(options: GetOrSetOptions): void {
  checkOptions(options, OPTION_NAMES.getOrSet);
  if (options.tags !== undefined) checkTags(options.tags);
  if (options.signal !== undefined && !(options.signal instanceof AbortSignal))
    throw new InvalidArgumentError(`signal: ${describe(options.signal)} is no AbortSignal`);
  if (options.onServed !== undefined && typeof options.onServed !== "function")
    throw new InvalidArgumentError(`onServed: ${describe(options.onServed)} is no function`);
  if (options.forceRefresh !== undefined && typeof options.forceRefresh !== "boolean")
    throw new InvalidArgumentError(`forceRefresh: ${describe(options.forceRefresh)} is no boolean; give true or false`);
  if (options.after !== undefined && (typeof options.after !== "string" || options.after === ""))
    throw new InvalidArgumentError(
      `after: ${describe(options.after)} is no token; give the one that a write resolved with`,
    );
}

function checkValue(value: unknown): void {
  if (value === undefined)
    throw new InvalidArgumentError(
      "value: undefined cannot be stored; give null to remember that there is none, or delete the key",
    );
  if (isThenable(value)) throw new InvalidArgumentError("value: is a promise; await it first");
}

function allowsStale(options: GetOptions | undefined): boolean {
  checkOptions(options, OPTION_NAMES.get);
  return options?.allowStale === true;
}

/** Everything has settled before the first error is thrown. */
async function allOrFirstError<T>(work: readonly Promise<T>[]): Promise<readonly T[]> {
  const outcomes = await Promise.allSettled(work);
  return outcomes.map((outcome) => {
    if (outcome.status === "rejected") throw outcome.reason;
    return outcome.value;
  });
}

function tally(results: readonly { readonly status: string }[], status: string): number {
  return results.filter((result) => result.status === status).length;
}
