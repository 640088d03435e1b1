import type { CacheEvents, NamespaceStats } from "../contracts/events.ts";
import type {
  DeleteManyResult,
  DeleteResult,
  InvalidateResult,
  MarkStaleResult,
  WriteManyResult,
  WriteResult,
} from "../contracts/results.ts";
import type { SchemaChecks, StandardSchema } from "../contracts/standard-schema.ts";
import type { EntryInfo } from "../engine/reads.ts";
import type { TouchResult } from "../engine/touch.ts";
import type { BatchLoader, Loader } from "../entry/loader.ts";
import type { NewKeysOptions } from "../entry/new-keys.ts";
import type {
  ClearOptions,
  Fence,
  GetManyOptions,
  GetOptions,
  GetOrSetManyOptions,
  GetOrSetOptions,
  Policy,
  SetOptions,
  TouchOptions,
} from "../entry/policy.ts";
import type { Decision } from "../primitives/decision-log.ts";
import type { AnyFunction, Wrapped, WrapKey, WrapOptions } from "./wrap.ts";

/** `V` where the namespace has a type, else what the call says. */
export type ValueOf<V, T> = unknown extends V ? T : V;

/**
 * Keys of one name, over the cache's tiers. `V` is the type of its values;
 * `unknown` lets each call say its own (`get<User>(key)`).
 *
 * Keys are non-empty, well-formed strings of at most 64 KiB in UTF-8. Calls with a bad key or option reject with
 * {@link InvalidArgumentError} and change nothing; calls of a closed cache with {@link CacheClosedError}. Calls that
 * return no promise throw them.
 */
export interface Namespace<V = unknown> {
  /**
   * The value, or what `load` computes. Concurrent callers share one load, with the options of
   * the one that began it and the tags of all. A value that the format cannot write is returned, reported as
   * `backend:error`, and kept in memory only.
   * ```ts
   * const user = await cache.getOrSet(`user:${id}`, () => db.findUser(id), { ttl: "5m", staleIfError: "1h" });
   * ```
   * @throws the error of `load`, as it is, when no stale value may be served as fallback.
   * @throws {LoadTimeoutError} after `hardTimeout` or `loadTimeout`, likewise.
   * @throws {ReentrantLoadError} from inside the loader of the same key.
   */
  getOrSet<T extends V>(key: string, load: Loader<T>, options?: GetOrSetOptions<T>): Promise<ValueOf<V, T>>;
  /** {@link getOrSet} for many items and one `load`. In the order of `items`; duplicates collapse. */
  getOrSetMany<K, T extends V>(
    items: readonly K[],
    key: (item: K) => string,
    load: BatchLoader<K, T>,
    options?: GetOrSetManyOptions<K, T>,
  ): Promise<Map<K, ValueOf<V, T>>>;
  /** The fresh value; `undefined` when there is none. Never loads, never fails because of the backend. */
  get<T extends V = V>(key: string, options?: GetOptions): Promise<T | undefined>;
  /** Gets many keys like {@link get}. Keys without a value are absent from the result. */
  getMany<T extends V = V>(keys: readonly string[], options?: GetManyOptions): Promise<Map<string, T>>;
  /** The fresh value of the local tier, synchronously; `undefined` also while that tier cannot be trusted. */
  peek<T extends V = V>(key: string): T | undefined;
  /** Whether {@link get} would find a fresh value. */
  has(key: string): Promise<boolean>;
  /** Describes an entry, for people and for tests. */
  inspect(key: string): Promise<EntryInfo | undefined>;
  /**
   * The last decisions about this key, oldest first: which tier answered, why a copy was not served, which lease, fence
   * or version. Recorded only with `createCache({ explain })`.
   * @throws {ConfigurationError} without `createCache({ explain })`.
   */
  explain(key: string): readonly Decision[];

  /** For a value whose type is named, such as a type parameter: `cache.set<T>(key, value)`. */
  set<T extends V = never, S extends T = T>(key: string, value: S, options?: SetOptions): Promise<WriteResult>;
  /**
   * Stores `value`, here and for every process: `stored`, `refused`, or `pending` while the backend is away.
   *
   * @throws {InvalidArgumentError} for `undefined` and for a promise that was not awaited.
   * @throws {EncodeError} when the format cannot write it; then nothing is stored anywhere.
   */
  set(key: string, value: V & ({} | null), options?: SetOptions): Promise<WriteResult>;
  /**
   * Sets many entries like {@link set}, with the same options for all. With `since`, the last value of a key that is
   * there twice counts.
   */
  setMany<T extends V = never, S extends T = T>(
    entries: Iterable<readonly [key: string, value: S]>,
    options?: SetOptions,
  ): Promise<WriteManyResult>;
  setMany(
    entries: Iterable<readonly [key: string, value: V & ({} | null)]>,
    options?: SetOptions,
  ): Promise<WriteManyResult>;
  /**
   * A fence of these keys, for a value that is computed outside of `getOrSet`: take it, compute, then `set` with
   * `since`. No other call waits for it. It stands for 5 minutes at most, for one `set` of each key, and in this
   * process. Where nothing is stored under a key, the backend keeps a mark there for so long, which `delete` and
   * `markStale` count as an entry.
   *
   * @throws {ConfigurationError} where the layout of the backend has no room for tags.
   */
  fence(keys: string | readonly string[]): Promise<Fence>;
  /**
   * Begins the freshness of a fresh value again, here and for every process: a life that slides with use. Value, tags,
   * validators, stale windows, age (`maxAge`) and the limit of `inherit` stay; `refreshAhead` begins again. One round
   * trip that moves no value, or three. It undoes no change of another process, and revives nothing that is stale.
   *
   * @throws {InvalidArgumentError} for a `ttl` of 0 or less.
   */
  touch(key: string, options?: TouchOptions): Promise<TouchResult>;
  /** Removes the entry, for every process; `"missing"` even if it stopped a running load, which stores nothing. */
  delete(key: string): Promise<DeleteResult>;
  /** Deletes many keys like {@link delete}. */
  deleteMany(keys: readonly string[]): Promise<DeleteManyResult>;
  /**
   * Ends the entry's freshness now, as if `ttl` had run out: its stale windows begin. Without any, and over a backend
   * that cannot mark an entry, removes it.
   */
  markStale(key: string): Promise<MarkStaleResult>;
  /**
   * No entry with any of these tags, in this namespace or below it, is served again, not even as stale. Cost does not
   * grow with entries. Up to 63 tags are one step for all processes; a longer list goes in steps of 63.
   *
   * @param tags as arguments, or in one list of any length: very many arguments overflow the stack.
   * @throws {InvalidArgumentError} for a list among other arguments.
   */
  invalidateTags(...tags: readonly string[] | readonly [tags: readonly string[]]): Promise<InvalidateResult>;
  /**
   * Does what {@link markStale} does for every entry with any of these tags, which are given as in
   * {@link invalidateTags}. Over a backend that issues no versions itself, what it has is removed.
   */
  markTagsStale(...tags: readonly string[] | readonly [tags: readonly string[]]): Promise<InvalidateResult>;
  /**
   * No entry of this namespace, or below it, is served again; with `stale: true` only as a stale one, within its
   * windows. Constant cost; other namespaces keep theirs.
   */
  clear(options?: ClearOptions): Promise<InvalidateResult>;

  /**
   * Counts of this namespace and those below it; of a cache, of everything. The first 1,000 namespaces of a cache are
   * counted separately. Calls of a further one count in the namespace above it.
   *
   * @throws {ConfigurationError} for such a one.
   */
  stats(): NamespaceStats;
  /**
   * Calls `listener` on each event of this namespace and those below it until the returned function is called; of a
   * cache, on every event. Events of a whole backend have no namespace, and reach the listeners of the cache alone. An
   * error that a listener throws, or rejects with, is ignored.
   */
  on<E extends keyof CacheEvents>(event: E, listener: (event: CacheEvents[E]) => void): () => void;

  /**
   * Other keys over the same tiers, with their own type, and a policy that inherits this one's. A cheap view: make one
   * per request if you like.
   */
  namespace<T extends V = V>(name: string, options?: NamespaceOptions<T>): Namespace<T>;

  /**
   * `fn`, remembered by its arguments. An overloaded or generic `fn` keeps one plain signature. `fn` gets the `this` of
   * the call, which is not part of the key, and no loader context; `getOrSet` gives one.
   */
  wrap<F extends AnyFunction<V>>(
    fn: F,
    options: WrapOptions<F> & WrapKey<F>,
  ): Wrapped<Parameters<F>, ValueOf<V, Awaited<ReturnType<F>>>>;
}

/** Options of a namespace: its policy, and how its values are checked and kept. */
export interface NamespaceOptions<V> extends Policy {
  /**
   * Checks values that come from a backend; one that fails is a miss, reported as `decode:error`. Values that you
   * load or set are not checked. @see https://standardschema.dev
   *
   * As `{ of: schema, checks: "all" }` it checks loaded values as well: callers and tiers get its output. One that it
   * refuses is a failed load: {@link InvalidValueError}, or what `staleIfError` covers. Values of `set` are not checked.
   */
  readonly schema?: StandardSchema<V> | SchemaChecks<V> | undefined;
  /**
   * Bounds how many new keys are stored, by one process: beyond it, the first miss of a key that no tier knows is
   * answered and kept nowhere, and a second one within `window` is stored. @default that of the namespace above
   */
  readonly newKeys?: NewKeysOptions | undefined;
}

/**
 * A public interface in the form that a class can implement: type parameters are their bounds, since values have no
 * type inside the engine. Results are checked, but for `namespace` and `wrap`, which return types of their own.
 */
export type Untyped<N> = {
  [M in keyof N]: N[M] extends (...args: infer A) => infer R
    ? (...args: A) => M extends "namespace" | "wrap" ? unknown : R
    : N[M];
};
