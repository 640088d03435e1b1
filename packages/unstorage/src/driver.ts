import { ConfigurationError, InvalidArgumentError, type Cache, type Duration } from "@hotset/core";
import { namespaceFor, OutsideValues } from "@hotset/core/adapter";

/** Options of {@link hotsetDriver}. */
export interface HotsetDriverOptions {
  /**
   * The namespace of the cache that has the items. Two drivers over one cache need two names.
   * @default 'unstorage'
   */
  readonly name?: string | undefined;
  /**
   * How long an item lives that is stored without a `ttl`; Nitro stores so with `swr: true`. `Infinity` keeps
   * it until memory or the backend evicts it.
   * @default '1d'
   */
  readonly ttl?: Duration | undefined;
  /**
   * The tags of an item, by its key below the mount: `nitro:handlers:products:…` for Nitro. A cache does not list its
   * keys, so `cache.namespace(name).invalidateTags(tag)` is how several items are removed at a time.
   * @default none
   */
  readonly tags?: ((key: string) => readonly string[]) | undefined;
}

/** For one call. unstorage counts `ttl` in seconds; without it, and with 0, the `ttl` of the driver counts. */
export interface HotsetDriverCallOptions {
  /** Seconds. */
  readonly ttl?: number | undefined;
}

/**
 * A driver for `createStorage({ driver })` and `storage.mount(base, driver)`, of unstorage 1 or 2. Calls reject only
 * for items that the cache refuses; trouble with its backend is a miss.
 */
export interface HotsetDriver {
  /** Name of the driver, as unstorage shows it. */
  readonly name: string;
  /** The cache behind it. */
  getInstance(): Cache;
  /** Whether there is an item. */
  hasItem(key: string): Promise<boolean>;
  /** The text of an item; `null` without one. */
  getItem(key: string): Promise<string | null>;
  /** In one read of the cache. */
  getItems(items: { key: string }[]): Promise<{ key: string; value: string | null }[]>;
  /** Stores an item for its `ttl`. */
  setItem(key: string, value: string, options?: HotsetDriverCallOptions): Promise<void>;
  /** In one write of the cache. */
  setItems(
    items: { key: string; value: string; options?: HotsetDriverCallOptions | undefined }[],
    options?: HotsetDriverCallOptions,
  ): Promise<void>;
  /** Removes an item, for every process. */
  removeItem(key: string): Promise<void>;
  /** Empty: a cache does not list its keys. */
  getKeys(): string[];
  /**
   * Removes the items of this driver, for every process, at a cost that does not depend on their number.
   *
   * @throws {InvalidArgumentError} for a base: unstorage passes none, and the keys below it are not known.
   */
  clear(base?: string): Promise<void>;
  /** Does nothing: the program that built the cache closes it. */
  dispose(): void;
}

/**
 * `cache` as a driver of unstorage: its items get the tiers of the cache, coherence between processes, and answers
 * while Redis is down. Items are never served as stale.
 *
 * A driver sees no loads. Where many callers or processes miss one item, each of them computes it, as with every other
 * driver: use `cache.getOrSet` where you need one load.
 *
 * @throws {ConfigurationError} for an unknown option, and for a cache without a name.
 */
export function hotsetDriver(cache: Cache, options: HotsetDriverOptions = {}): HotsetDriver {
  const defaults = { place: "hotsetDriver", name: "unstorage", ttl: "1d", further: ["tags"] } as const;
  const items = namespaceFor<string>(cache, options, defaults);
  const { tags } = options;
  if (tags !== undefined && typeof tags !== "function")
    throw new ConfigurationError(`hotsetDriver: tags must be a function of the key, got ${typeof tags}`);
  const outside = new OutsideValues(items);

  async function setItem(key: string, value: string, call?: HotsetDriverCallOptions): Promise<void> {
    await outside.set(key, value, { ttl: lifeOf(call?.ttl), tags: tags?.(key) });
  }

  return {
    name: "hotset",
    getInstance: () => cache,
    hasItem: (key) => items.has(key),
    async getItem(key) {
      return (await outside.get<string>(key)) ?? null;
    },
    async getItems(asked) {
      const found = await outside.getMany<string>(asked.map(({ key }) => key));
      return asked.map(({ key }) => ({ key, value: found.get(key) ?? null }));
    },
    setItem,
    async setItems(given, call) {
      await Promise.all(given.map((item) => setItem(item.key, item.value, { ...call, ...item.options })));
    },
    async removeItem(key) {
      await items.delete(key);
    },
    getKeys: () => [],
    async clear(base = "") {
      if (base !== "") throw new InvalidArgumentError(`clear: ${NO_BASE}`);
      await items.clear();
    },
    dispose() {},
  };
}

/** Milliseconds; `undefined` for an item that has no `ttl`. */
function lifeOf(seconds: number | undefined): number | undefined {
  if (seconds === undefined || seconds === null || seconds === 0) return undefined;
  if (typeof seconds === "number" && seconds > 0) return Math.ceil(seconds * 1_000);
  throw new InvalidArgumentError(`setItem: ttl must be a number of seconds above 0, got ${String(seconds)}`);
}

const NO_BASE =
  "the driver removes all its items, not those below a base; give hotsetDriver the option tags, and call invalidateTags";
