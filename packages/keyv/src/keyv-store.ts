import { EventEmitter } from "node:events";
import type { Cache, Namespace, SetOptions } from "@hotset/core";
import { checkCache, checkNames, hasCode, OutsideValues, warnOnce } from "@hotset/core/adapter";

/** Options of {@link keyvStore}. */
export interface KeyvStoreOptions {
  /**
   * The namespace of the cache that has the values. A Keyv with a namespace has `<name>:<its name>`; a `:` in `name` is
   * written as `%3A` there, so that stores with different names never meet.
   * @default 'keyv'
   */
  readonly name?: string | undefined;
}

/**
 * A store for `new Keyv({ store })`, of version 5 or 6. It has no iterator: a cache does not list its keys. Calls
 * reject only for arguments that the cache refuses; trouble with its backend is a miss, or `false`.
 */
export interface KeyvStore {
  /** Options that Keyv reads, such as the dialect of the store. */
  readonly opts: Record<string, unknown>;
  /** Set by Keyv. */
  namespace: string | undefined;
  /** The value; `undefined` without one. */
  get<Value>(key: string): Promise<Value | undefined>;
  /** In the order of the keys. */
  getMany<Value>(keys: string[]): Promise<(Value | undefined)[]>;
  /**
   * @param ttl milliseconds; the value does not end without it, and is removed by 0 or less.
   * @returns whether it is stored: not what was computed since a miss if the key has changed since; nor what the
   * backend cannot take, which removes the value before it, with one warning.
   */
  set(key: string, value: unknown, ttl?: number): Promise<boolean>;
  /** Sets many keys like {@link set}. Resolves with an answer for each entry, which the types of Keyv 5 leave out. */
  setMany(entries: readonly { key: string; value: unknown; ttl?: number | undefined }[]): Promise<void>;
  /** Deletes a key. Resolves with whether it was there. */
  delete(key: string): Promise<boolean>;
  /** Whether any of them was there. Keyv 6 gets an array: whether each was. */
  deleteMany(keys: string[]): Promise<boolean>;
  /** Whether there is a value. */
  has(key: string): Promise<boolean>;
  /** In the order of the keys. */
  hasMany(keys: string[]): Promise<boolean[]>;
  /** Removes the values of this namespace, for every process. */
  clear(): Promise<void>;
  /** No-op: the program that built the cache closes it. */
  disconnect(): Promise<void>;
  /** Adds a listener like an `EventEmitter`; Keyv listens to `error`. */
  on(event: string, listener: (...args: unknown[]) => void): this;
}

/**
 * `cache` as a store of Keyv 5 or 6, and so of cache-manager, cacheable and Nest: their values get its tiers, coherence
 * between processes, and its answers while Redis is down. One store for one `Keyv`, which sets its namespace.
 *
 * Keyv has no loads that the store sees. Use `cache.getOrSet` where you need one load across processes.
 *
 * @throws {ConfigurationError} for an unknown option, and for a cache without a name.
 */
export function keyvStore(cache: Cache, options: KeyvStoreOptions = {}): KeyvStore {
  checkCache(cache, "keyvStore");
  checkNames(options, ["name"], { place: "keyvStore" });
  return new Store(cache, options.name ?? "keyv");
}

// Keyv 6 asks whether these are async functions.
class Store extends EventEmitter implements KeyvStore {
  readonly opts = { dialect: "hotset", url: "hotset" };
  readonly #cache: Cache;
  readonly #name: string;
  #values: Namespace;
  #outside: OutsideValues;
  #namespace: string | undefined;
  readonly #warn = warnOnce("keyv");
  #isOfKeyv6 = false;

  constructor(cache: Cache, name: string) {
    super();
    this.#cache = cache;
    this.#name = name.replaceAll("%", "%25").replaceAll(":", "%3A");
    this.#values = cache.namespace(this.#name);
    this.#outside = new OutsideValues(this.#values);
  }

  /** Keyv 6 looks here for what a store can do, and wants another answer of `deleteMany`. Keyv 5 does not look. */
  get capabilities(): undefined {
    this.#isOfKeyv6 = true;
    return undefined;
  }

  get namespace(): string | undefined {
    return this.#namespace;
  }

  set namespace(namespace: string | undefined) {
    this.#namespace = namespace;
    const hasNone = namespace === undefined || namespace === "";
    this.#values = this.#cache.namespace(hasNone ? this.#name : `${this.#name}:${namespace}`);
    this.#outside = new OutsideValues(this.#values);
  }

  async get<Value>(key: string): Promise<Value | undefined> {
    return this.#outside.get<Value>(key);
  }

  async getMany<Value>(keys: string[]): Promise<(Value | undefined)[]> {
    const found = await this.#outside.getMany<Value>(keys);
    return keys.map((key) => found.get(key));
  }

  async set(key: string, value: unknown, ttl?: number): Promise<boolean> {
    if (ttl !== undefined && ttl <= 0) {
      await this.#values.delete(key);
      return true;
    }
    const values = this.#values;
    try {
      return (await this.#outside.set(key, value as {} | null, lifeOf(ttl))).status !== "refused";
    } catch (error) {
      if (!hasCode(error, "ENCODE_FAILED")) throw error;
      // Its caller has the value, and what was there is older.
      this.#warn("a value is not cached", error);
      await values.delete(key);
      return false;
    }
  }

  async setMany(entries: Parameters<KeyvStore["setMany"]>[0]): Promise<never> {
    return (await Promise.all(entries.map(({ key, value, ttl }) => this.set(key, value, ttl)))) as never;
  }

  async delete(key: string): Promise<boolean> {
    // A pending delete has already happened in this process.
    return (await this.#values.delete(key)).status !== "missing";
  }

  async deleteMany(keys: string[]): Promise<boolean> {
    const deleted = await Promise.all(keys.map((key) => this.delete(key)));
    return this.#isOfKeyv6 ? (deleted as never) : deleted.includes(true);
  }

  async has(key: string): Promise<boolean> {
    return this.#values.has(key);
  }

  async hasMany(keys: string[]): Promise<boolean[]> {
    const found = await this.#values.getMany(keys);
    return keys.map((key) => found.has(key));
  }

  async clear(): Promise<void> {
    await this.#values.clear();
  }

  async disconnect(): Promise<void> {}
}

/** Keyv knows no stale values. */
const lifeOf = (ttl = Infinity): SetOptions => ({ ttl: Math.ceil(ttl), staleWhileRevalidate: 0, staleIfError: 0 });
