import type { Format } from "../contracts/backend.ts";
import type { Backend } from "../contracts/capabilities.ts";
import type { Clock } from "../contracts/clock.ts";
import { CacheClosedError, ConfigurationError, InvalidArgumentError } from "../contracts/errors.ts";
import type { CacheEvents, NamespaceStats } from "../contracts/events.ts";
import type {
  DeleteManyResult,
  DeleteResult,
  InvalidateResult,
  MarkStaleResult,
  WriteManyResult,
  WriteResult,
} from "../contracts/results.ts";
import { loadMany } from "../engine/batch-load.ts";
import { checkRoomForMeta, type GetOrSetCall, type NamespaceContext } from "../engine/call.ts";
import type { Callers } from "../engine/callers.ts";
import type { Copies, Life, Limits, Reporting } from "../engine/context.ts";
import type { Fences } from "../engine/fences.ts";
import type { Joined } from "../engine/flight.ts";
import type { Ladder } from "../engine/ladder.ts";
import { judging } from "../engine/load.ts";
import { usedByCaller } from "../engine/loading.ts";
import type { Mutations } from "../engine/mutations.ts";
import type { EntryInfo, Reads } from "../engine/reads.ts";
import type { TagCalls } from "../engine/tag-calls.ts";
import type { Touch, TouchResult } from "../engine/touch.ts";
import type { Entry } from "../entry/entry.ts";
import {
  checkKey,
  checkTags,
  entryKey,
  keySpaceBelow,
  NO_TAGS,
  tagNames,
  type EntryKey,
  type KeySpace,
} from "../entry/key.ts";
import type { BatchLoader, Loader } from "../entry/loader.ts";
import { newKeysBudget } from "../entry/new-keys.ts";
import { checked, checkOptionNames } from "../entry/options.ts";
import {
  hasFunctions,
  ownOptions,
  resolveCallPolicy,
  resolvePolicy,
  type Fence,
  type SetOptions,
  type ClearOptions,
  type GetManyOptions,
  type GetOptions,
  type FixedOptions,
  type GetOrSetManyOptions,
  type GetOrSetOptions,
  type TouchOptions,
} from "../entry/policy.ts";
import { schemaOf } from "../entry/schema.ts";
import type { Decision } from "../primitives/decision-log.ts";
import { describe, kindOf, noFunction } from "../primitives/duration.ts";
import { isTraced, traced } from "../primitives/event-port.ts";
import { partsOf } from "../primitives/in-windows.ts";
import type { Meters } from "../primitives/meters.ts";
import {
  checkKeyAlone,
  checkValue,
  isPlainHit,
  listOf,
  pairsOf,
  withoutFunctions,
  type GivenTags,
} from "./call-checks.ts";
import type { Following, InvalidationFollower, InvalidationFollowers } from "./invalidation-followers.ts";
import type { Namespace, NamespaceOptions, Untyped } from "./namespace.ts";
import { detached, keepToInstances } from "./own-methods.ts";
import { wrapFunction, type AnyFunction, type Wrapped, type WrapKey, type WrapOptions } from "./wrap.ts";

/** The parts of one cache that a namespace calls. */
export interface Engine {
  readonly context: Reporting & Limits & Pick<Copies, "local"> & Pick<Life, "lifecycle">;
  readonly meters: Meters;
  /** Whether all option names are checked on a hit too: it would cost a hit in production. */
  readonly checksHits: boolean;
  readonly callers: Callers;
  readonly ladder: Ladder;
  readonly reads: Reads;
  readonly mutations: Mutations;
  readonly tagCalls: TagCalls;
  readonly followers: InvalidationFollowers;
  readonly fences: Fences;
  readonly touch: Touch;
}

/** Where the entries of a namespace are: which cache, which part of it, and which backend, if any. */
export interface NamespacePlace {
  /** Name of the cache. */
  readonly name: string;
  readonly keySpace: KeySpace;
  readonly clock: Clock;
  readonly lifecycle: { readonly isOpen: boolean };
  /** Absent where values never leave the process. */
  readonly backend: Backend | undefined;
  /** From now on `follower` is called for each invalidation in the whole cache, until it is stopped. */
  readonly follow: (follower: InvalidationFollower) => Following;
}

/** A namespace over an engine. Each method checks its arguments and leaves the rest to the engine. */
export class NamespaceView implements Untyped<Namespace> {
  static {
    // A guard around a method would cost a local hit a fifth of its time: these say it when they fail.
    keepToInstances(NamespaceView.prototype, (receiver) => NamespaceView.#isView(receiver), [
      "getOrSet",
      "get",
      "peek",
      "set",
      "delete",
    ]);
    // For packages that keep a record next to the entries; they may have another copy of this package.
    Object.defineProperty(NamespaceView.prototype, Symbol.for("hotset.place"), {
      value(this: NamespaceView): NamespacePlace {
        const { remote, keySpace } = this.#namespace;
        const { context, followers } = this.#engine;
        const { name, clock, lifecycle } = context;
        const follow = (follower: InvalidationFollower) => followers.add(follower);
        return { name, keySpace, clock, lifecycle, backend: remote?.backend, follow };
      },
    });
  }

  readonly #engine: Engine;
  readonly #namespace: NamespaceContext;

  constructor(engine: Engine, namespace: NamespaceContext) {
    this.#engine = engine;
    this.#namespace = namespace;
  }

  /** Whether it is a view itself: a proxy of one, or an object that merely inherits from one, is not. */
  static #isView(given: unknown): given is NamespaceView {
    return #engine in Object(given);
  }

  /** The format of its backend; `undefined` without one, and for a namespace of another copy of this package. */
  static formatOf(given: object): Format | undefined {
    return NamespaceView.#isView(given) ? given.#namespace.remote?.format : undefined;
  }

  /** The clock of its cache; `undefined` for a namespace of another copy of this package. */
  static clockOf(given: object): Clock | undefined {
    return NamespaceView.#isView(given) ? given.#engine.context.clock : undefined;
  }

  /** The value of a fresh copy, which counts as a hit. None in a namespace of another copy of this package. */
  static freshCopy(given: object, key: string): unknown {
    return NamespaceView.#isView(given) ? given.#freshCopy(key, given.#engine.context.clock.now()) : undefined;
  }

  static #rejected(receiver: unknown, method: string, error: unknown): Promise<never> {
    return Promise.reject(NamespaceView.#isView(receiver) ? error : detached(method));
  }

  /** @param onJoined for {@link getOrSetAndJoined}; not a part of {@link Namespace}. */
  getOrSet(
    key: string,
    load: Loader<unknown>,
    options?: GetOrSetOptions,
    onJoined?: (joined: Joined) => void,
  ): Promise<unknown> {
    try {
      const { context, checksHits, ladder } = this.#engine;
      const namespace = this.#namespace;
      const now = context.clock.now();
      const copy = typeof key === "string" ? context.local?.find(namespace.keySpace, key, now) : undefined;
      // A cache that was closed holds no copy.
      // In production a hit reads only the options that a hit needs; all others are checked on the way to a load.
      if (
        copy !== undefined &&
        now < copy.staleAt &&
        typeof load === "function" &&
        isPlainHit(namespace.policy, options)
      ) {
        if (options != null && checksHits) checkOptionNames("getOrSet", options);
        context.verifier?.hit(namespace, key, copy, load, options);
        return Promise.resolve(ladder.hit(namespace, key, now, copy));
      }
      const call = this.#call(key, load, options, now);
      // Without subscribers a miss has no closure and no frames for it.
      if (!isTraced("call")) return ladder.fetch(call, copy, onJoined);
      return this.#traced("getOrSet", () => ladder.fetch(call, copy, onJoined));
    } catch (error) {
      return NamespaceView.#rejected(this, "getOrSet", error);
    }
  }

  async getOrSetMany<K>(
    items: readonly K[],
    key: (item: K) => string,
    load: BatchLoader<K, unknown>,
    options?: GetOrSetManyOptions<K>,
  ): Promise<Map<K, unknown>> {
    if (!Array.isArray(items)) throw new InvalidArgumentError(`items must be an array, got ${kindOf(items)}`);
    if (typeof key !== "function") throw noFunction("key", key, " that makes a key of an item");
    if (typeof load !== "function") throw noFunction("load", load, ", after the items and key");
    checkOptionNames("getOrSetMany", options);
    const ofValue = options ?? {};
    const ofCall = ownOptions(withoutFunctions(ofValue));
    const { context, ladder } = this.#engine;
    const startedAt = context.clock.now();
    const names = new Map<K, string>();
    for (const item of items) if (!names.has(item)) names.set(item, key(item));
    const found = new Map<K, unknown>();
    const all = { load: load as BatchLoader<unknown, unknown>, ofValue };
    // As in `getOrSet`, an item with a fresh copy costs only that copy.
    if (context.local !== undefined && isPlainHit(this.#namespace.policy, ofCall))
      names.forEach((name, item) => {
        const copy = this.#freshEntry(name, startedAt);
        if (copy === undefined) return;
        context.verifier?.hitOfItem({ namespace: this.#namespace, key: name, entry: copy }, { ...all, item }, ofCall);
        found.set(item, ladder.hit(this.#namespace, name, startedAt, copy));
      });
    if (found.size === names.size) return found;
    const missing: { readonly item: K; readonly key: EntryKey }[] = [];
    names.forEach((name, item) => found.has(item) || missing.push({ item, key: this.#key(name) }));
    for (const part of partsOf(missing)) {
      const shared = this.#options(ofCall, context.clock.now(), startedAt);
      const values = await this.#traced("getOrSetMany", () =>
        loadMany({ context, ladder, ofValue }, part, load, shared),
      );
      if (part === missing && missing.length === names.size) return values;
      for (const [item, value] of values) found.set(item, value);
    }
    const inOrder = [...names.keys()].filter((item) => found.has(item));
    return new Map(inOrder.map((item) => [item, found.get(item)]));
  }

  get(key: string, options?: GetOptions): Promise<unknown> {
    try {
      const target = this.#key(key);
      const given = checked("get", options) ?? {};
      return this.#traced("get", () => this.#engine.reads.get(this.#namespace, target, given));
    } catch (error) {
      return NamespaceView.#rejected(this, "get", error);
    }
  }

  async getMany(keys: readonly string[], options?: GetManyOptions): Promise<Map<string, unknown>> {
    const unique = this.#keys(keys);
    const isStaleAllowed = checked("getMany", options)?.allowStale === true;
    const found = new Map<string, unknown>();
    for (const part of partsOf(unique)) {
      const values = await this.#traced("getMany", () =>
        this.#engine.reads.getMany(this.#namespace, part, isStaleAllowed),
      );
      part.forEach(({ name }, i) => {
        if (values[i] !== undefined) found.set(name, values[i]);
      });
    }
    return found;
  }

  peek(key: string): unknown {
    try {
      const value = this.#freshCopy(key, this.#engine.context.clock.now());
      return value === undefined ? this.#engine.reads.nothingToPeek(this.#namespace, this.#key(key)) : value;
    } catch (error) {
      throw NamespaceView.#isView(this) ? error : detached("peek");
    }
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
      throw new ConfigurationError("explain() is disabled: pass createCache({ explain: 1_000 }) to record decisions");
    return decisions.about([this.#key(key).local, ...this.#namespace.keySpace.tagPrefixes]);
  }

  set(key: string, value: unknown, options?: SetOptions): Promise<WriteResult> {
    try {
      const target = this.#key(key);
      checkValue(value);
      this.#engine.mutations.check(options, [{ key: target }]);
      return this.#traced("set", () => this.#engine.mutations.set(this.#namespace, target, value, options));
    } catch (error) {
      return NamespaceView.#rejected(this, "set", error);
    }
  }

  async setMany(entries: Iterable<readonly [string, unknown]>, options?: SetOptions): Promise<WriteManyResult> {
    const targets = pairsOf(entries).map(([key, value]) => ({ key: this.#key(key), value }));
    this.#engine.mutations.check(options, targets);
    const own = options && ownOptions(options);
    return this.#traced("setMany", () => this.#engine.mutations.setMany(this.#namespace, targets, own));
  }

  async fence(keys: string | readonly string[]): Promise<Fence> {
    const targets = this.#keys(typeof keys === "string" ? [keys] : keys);
    return this.#traced("fence", () => this.#engine.fences.take(this.#namespace, targets));
  }

  async touch(key: string, options?: TouchOptions): Promise<TouchResult> {
    const target = this.#key(key);
    const policy = resolvePolicy(this.#namespace.policy, checked("touch", options));
    if (policy.ttlMs <= 0)
      throw new InvalidArgumentError(`ttl must be above 0 ms, got ${policy.ttlMs} ms; delete the key to end its life`);
    return this.#traced("touch", () => this.#engine.touch.touch(this.#namespace, target, options));
  }

  delete(key: string): Promise<DeleteResult> {
    try {
      const target = this.#key(key);
      return this.#traced("delete", () => this.#engine.mutations.delete(this.#namespace, target));
    } catch (error) {
      return NamespaceView.#rejected(this, "delete", error);
    }
  }

  async deleteMany(keys: readonly string[]): Promise<DeleteManyResult> {
    const targets = this.#keys(keys);
    if (targets.length === 0) return { deleted: 0, missing: 0, pending: 0 };
    return this.#traced("deleteMany", () => this.#engine.mutations.deleteMany(this.#namespace, targets));
  }

  async markStale(key: string, surplus?: unknown): Promise<MarkStaleResult> {
    checkKeyAlone(surplus);
    const target = this.#key(key);
    return this.#traced("markStale", () => this.#engine.mutations.markStale(this.#namespace, target));
  }

  async invalidateTags(...given: GivenTags): Promise<InvalidateResult> {
    return this.#invalidate(listOf("invalidateTags", given), "hard");
  }

  async markTagsStale(...given: GivenTags): Promise<InvalidateResult> {
    return this.#invalidate(listOf("markTagsStale", given), "soft");
  }

  async clear(options?: ClearOptions): Promise<InvalidateResult> {
    this.#checkOpen();
    const mode = checked("clear", options)?.stale === true ? "soft" : "hard";
    return this.#traced("clear", () => this.#invalidateNow([], mode));
  }

  stats(): NamespaceStats {
    const { path } = this.#namespace.keySpace;
    const stats = this.#engine.meters.snapshot(path);
    if (stats === undefined)
      throw new ConfigurationError(
        `stats: the namespace ${path.toReversed().map(describe).join(" in ")} is not counted by itself: a cache ` +
          "counts the 1,000 that it used first; ask the one above",
      );
    return stats;
  }

  on<E extends keyof CacheEvents>(event: E, listener: (event: CacheEvents[E]) => void): () => void {
    const { events } = this.#engine.context;
    const port = typeof event === "string" && Object.hasOwn(events, event) ? events[event] : undefined;
    if (port === undefined)
      throw new InvalidArgumentError(`event must be one of ${Object.keys(events).join(", ")}, got ${describe(event)}`);
    if (typeof listener !== "function") throw noFunction("listener", listener);
    const { path } = this.#namespace.keySpace;
    return path.length === 0
      ? port.add(listener)
      : port.add(listener, ({ namespace }) => path.every((name, i) => namespace[i] === name));
  }

  namespace(name: string, options?: NamespaceOptions<unknown>): NamespaceView {
    checked("namespace", options);
    const { meters } = this.#engine;
    const keySpace = keySpaceBelow(this.#namespace.keySpace, name);
    return new NamespaceView(this.#engine, {
      keySpace,
      policy: resolvePolicy(this.#namespace.policy, options),
      ...schemaOf(options?.schema),
      remote: this.#namespace.remote,
      meters: meters.of(keySpace.path),
      newKeys: options?.newKeys === undefined ? this.#namespace.newKeys : newKeysBudget(options.newKeys),
    });
  }

  wrap(fn: AnyFunction, options: WrapOptions<AnyFunction> & WrapKey<AnyFunction>): Wrapped<unknown[], unknown> {
    const wrapped = wrapFunction(this, fn as (...args: unknown[]) => unknown, options as never);
    // Each call resolves the policy again; here it is resolved for its checks alone.
    const { ttl, ...others } = options;
    resolvePolicy(this.#namespace.policy, typeof ttl === "function" ? others : { ...others, ttl });
    return wrapped;
  }

  /** Runs `body` within the trace of a call. A fresh local copy is served without one: it takes less than a trace. */
  #traced<T>(operation: string, body: () => Promise<T>): Promise<T> {
    return traced("call", body, () => ({
      cache: this.#engine.context.name,
      namespace: this.#namespace.keySpace.path,
      operation,
    }));
  }

  async #invalidate(tags: readonly string[], mode: "hard" | "soft"): Promise<InvalidateResult> {
    this.#checkOpen();
    checkTags(tags, "call");
    if (tags.length === 0) return { status: "done" };
    return this.#traced("invalidateTags", () => this.#invalidateNow(tags, mode));
  }

  #invalidateNow(tags: readonly string[], mode: "hard" | "soft"): Promise<InvalidateResult> {
    const { tagCalls, followers } = this.#engine;
    const { path } = this.#namespace.keySpace;
    return followers.around(() => tagCalls.invalidate(this.#namespace, tags, mode), { path, tags, mode });
  }

  #call(key: string, load: Loader<unknown>, options: GetOrSetOptions | undefined, startedAt: number): GetOrSetCall {
    const target = this.#key(key);
    if (typeof load !== "function") throw noFunction("load", load, " that computes the value");
    if (options === undefined || !hasFunctions(options))
      return { ...this.#options(options, startedAt), key: target, load };
    return { ...this.#options(withoutFunctions(options), startedAt), key: target, load: judging(load, options) };
  }

  /**
   * The options of a call, checked; its policy resolved.
   *
   * @param since when the caller began to wait: `hardTimeout` bounds all parts of a large call together.
   */
  #options(
    options: FixedOptions | undefined,
    startedAt: number,
    since: number = startedAt,
  ): Omit<GetOrSetCall, "key" | "load"> {
    checkOptionNames("getOrSet", options);
    const namespace = this.#namespace;
    const policy = resolveCallPolicy(namespace.policy, options, since);
    const hardTimeoutMs = Math.max(0, policy.hardTimeoutMs - (startedAt - since));
    if (options?.tags !== undefined && options.tags.length !== 0) checkRoomForMeta(namespace);
    return {
      namespace,
      policy: since === startedAt ? policy : { ...policy, hardTimeoutMs },
      // The value may be stored late, and until then the caller may change its list.
      tags: options?.tags === undefined ? NO_TAGS : tagNames(options.tags),
      startedAt,
      isForced: options?.forceRefresh === true,
      isCurrent: options?.current === true && namespace.remote !== undefined,
      signal: options?.signal,
      onServed: options?.onServed,
      usedBy: usedByCaller(),
      batch: undefined,
      item: undefined,
    };
  }

  /** The value of a fresh local copy, counted as a hit; `undefined` if there is none. */
  #freshCopy(key: string, now: number): unknown {
    const copy = this.#freshEntry(key, now);
    return copy === undefined ? undefined : this.#engine.ladder.hit(this.#namespace, key, now, copy);
  }

  #freshEntry(key: string, now: number): Entry | undefined {
    if (typeof key !== "string") return undefined;
    const copy = this.#engine.context.local?.find(this.#namespace.keySpace, key, now);
    return copy !== undefined && now < copy.staleAt ? copy : undefined;
  }

  #key(key: string): EntryKey {
    this.#checkOpen();
    checkKey(key);
    return entryKey(this.#namespace.keySpace, key);
  }

  /** The keys of a call, each once. */
  #keys(keys: readonly string[]): readonly EntryKey[] {
    if (!Array.isArray(keys)) throw new InvalidArgumentError(`keys must be an array like ["k"], got ${kindOf(keys)}`);
    return [...new Set(keys)].map((key) => this.#key(key));
  }

  #checkOpen(): void {
    const { context } = this.#engine;
    if (context.lifecycle.isClosed)
      throw new CacheClosedError(`the cache ${JSON.stringify(context.name)} is closed; end all calls before close()`);
  }
}
