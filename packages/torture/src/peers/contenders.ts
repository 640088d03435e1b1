/**
 * Other caches, set up as their documentation does for memory in front of Redis in several processes. Each is loaded
 * only where it is used.
 */

/** The operations that all of them have. */
export interface Contender {
  getOrSet(key: string, load: () => Promise<unknown>): Promise<unknown>;
  get(key: string): Promise<unknown>;
  set(key: string, value: unknown): Promise<unknown>;
  delete(key: string): Promise<unknown>;
  close(): Promise<unknown>;
}

export interface Setup {
  readonly url: string;
  /** In front of every key. */
  readonly prefix: string;
  readonly ttlMs: number;
}

export const CONTENDERS = ["bentocache", "cacheable", "layered-loader", "cachified"] as const;
export type ContenderName = (typeof CONTENDERS)[number];

export function openContender(name: ContenderName, setup: Setup): Promise<Contender> {
  return { bentocache, cacheable, "layered-loader": layeredLoader, cachified }[name](setup);
}

/** @see https://bentocache.dev/docs/multi-tier */
async function bentocache({ url, prefix, ttlMs }: Setup): Promise<Contender> {
  const { BentoCache, bentostore } = await import("bentocache");
  const { memoryDriver } = await import("bentocache/drivers/memory");
  const { redisBusDriver, redisDriver } = await import("bentocache/drivers/redis");
  const connection = connectionOf(url);
  const bento = new BentoCache({
    default: "multitier",
    prefix,
    stores: {
      multitier: bentostore()
        .useL1Layer(memoryDriver({ maxItems: 1_000 }))
        .useL2Layer(redisDriver({ connection }))
        .useBus(redisBusDriver({ connection })),
    },
  });
  return {
    getOrSet: (key, load) => bento.getOrSet({ key, factory: load, ttl: ttlMs }),
    get: (key) => bento.get({ key }),
    set: (key, value) => bento.set({ key, value, ttl: ttlMs }),
    delete: (key) => bento.delete({ key }),
    close: () => bento.disconnectAll(),
  };
}

/** @see https://cacheable.org/docs/cacheable/ "CacheableSync" */
async function cacheable({ url, prefix, ttlMs }: Setup): Promise<Contender> {
  const { Cacheable } = await import("cacheable");
  const { default: KeyvRedis } = await import("@keyv/redis");
  const { RedisMessageProvider } = await import("@qified/redis");
  const qified = new RedisMessageProvider({ uri: url });
  const cache = new Cacheable({
    secondary: new KeyvRedis(url, { namespace: prefix }),
    sync: { qified, namespace: prefix },
    ttl: ttlMs,
  });
  return {
    getOrSet: (key, load) => cache.getOrSet(key, load, { ttl: ttlMs, throwErrors: true }),
    get: (key) => cache.get(key),
    set: (key, value) => cache.set(key, value, ttlMs),
    delete: (key) => cache.delete(key),
    close: () => cache.disconnect(),
  };
}

/** @see https://github.com/kibertoad/layered-loader#update-notifications */
async function layeredLoader({ url, prefix, ttlMs }: Setup): Promise<Contender> {
  const { createNotificationPair, Loader, RedisCache } = await import("layered-loader");
  const { Redis } = await import("ioredis");
  const clients = [new Redis(url), new Redis(url), new Redis(url)] as const;
  for (const client of clients) client.on("error", () => undefined);
  const { publisher, consumer } = createNotificationPair<unknown>({
    channel: `${prefix}:changes`,
    consumerRedis: clients[0],
    publisherRedis: clients[1],
  });
  /** Its data source is one function for all calls. */
  const loads = new Map<string, () => Promise<unknown>>();
  const loader = new Loader<unknown>({
    inMemoryCache: { ttlInMsecs: ttlMs, maxItems: 1_000 },
    asyncCache: new RedisCache<unknown>(clients[2], { json: true, ttlInMsecs: ttlMs, prefix }),
    notificationConsumer: consumer,
    notificationPublisher: publisher,
    dataSourceGetOneFn: async (key: string) => loads.get(key)?.(),
  });
  await loader.init();
  return {
    getOrSet: (key, load) => {
      loads.set(key, load);
      return loader.get(key);
    },
    // It has no read without a load.
    get: (key) => Promise.resolve(loader.getInMemoryOnly(key)),
    set: (key, value) => loader.forceSetValue(key, value),
    delete: (key) => loader.invalidateCacheFor(key),
    close: async () => {
      await loader.close();
      for (const client of clients) client.disconnect();
    },
  };
}

/**
 * It has neither tiers nor messages: memory around Redis, one call around the other, as its adapters allow.
 *
 * @see https://github.com/epicweb-dev/cachified#adapters
 */
async function cachified({ url, prefix, ttlMs }: Setup): Promise<Contender> {
  const { cachified: cached, totalTtl } = await import("@epic-web/cachified");
  const { redisCacheAdapter } = await import("cachified-redis-adapter");
  const { LRUCache } = await import("lru-cache");
  const { createClient } = await import("@redis/client");
  type Entry = import("@epic-web/cachified").CacheEntry;
  const client = createClient({ url });
  client.on("error", () => undefined);
  await client.connect();
  const lru = new LRUCache<string, Entry>({ max: 1_000 });
  const memory = {
    set: (key: string, entry: Entry) => {
      const ttl = totalTtl(entry.metadata);
      return lru.set(key, entry, { ...(ttl !== Infinity && { ttl }), start: entry.metadata.createdTime });
    },
    get: (key: string) => lru.get(key),
    delete: (key: string) => lru.delete(key),
  };
  const far = redisCacheAdapter(client);
  return {
    getOrSet: (key, load) =>
      cached({
        cache: memory,
        key,
        ttl: ttlMs,
        getFreshValue: () => cached({ cache: far, key: `${prefix}:${key}`, ttl: ttlMs, getFreshValue: load }),
      }),
    get: async (key) => memory.get(key)?.value,
    set: async (key, value) => {
      const entry: Entry = { value, metadata: { createdTime: Date.now(), ttl: ttlMs } };
      await far.set(`${prefix}:${key}`, entry);
      memory.set(key, entry);
    },
    delete: async (key) => {
      await far.delete(`${prefix}:${key}`);
      memory.delete(key);
    },
    close: async () => client.destroy(),
  };
}

function connectionOf(url: string): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port) };
}
