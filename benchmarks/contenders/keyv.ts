import type { Contender, Product, Setup } from "./contender.ts";

/** @see https://cacheable.org/docs/cacheable/ "CacheableSync - Distributed Updates", "Tags" */
export const cacheable: Product = {
  name: "cacheable",
  kind: "peer",
  packages: ["cacheable", "@keyv/redis", "@qified/redis"],
  page: "https://cacheable.org/docs/cacheable/",
  shapes: ["memory", "redis", "both"],
  can: ["tags"],
  open: openCacheable,
};

/** @see https://cacheable.org/docs/cache-manager/ "Multiple stores", "wrap" */
export const cacheManager: Product = {
  name: "cache-manager",
  kind: "peer",
  packages: ["cache-manager", "keyv", "cacheable", "@keyv/redis"],
  page: "https://cacheable.org/docs/cache-manager/",
  shapes: ["memory", "redis", "both"],
  can: ["stale"],
  open: openCacheManager,
};

async function openCacheable(setup: Setup): Promise<Contender> {
  const { url, shape, prefix, ttlMs, maxItems, isTagged, load } = setup;
  const { Cacheable, createKeyv } = await import("cacheable");
  const { createKeyv: createKeyvRedis } = await import("@keyv/redis");
  const { RedisMessageProvider } = await import("@qified/redis");
  // Without clones, as its page of CacheableMemory advises for speed.
  const near = () => createKeyv({ ttl: ttlMs, lruSize: maxItems, useClone: false });
  const far = () => createKeyvRedis(url, { namespace: prefix });
  const provider = shape === "both" ? new RedisMessageProvider({ uri: url }) : undefined;
  // Without a listener the process ends when Redis does.
  for (const client of [provider?.["pub"], provider?.["sub"]]) client?.on("error", () => undefined);
  const cache = new Cacheable({
    ttl: ttlMs,
    tags: isTagged,
    ...(shape === "memory" && { primary: near() }),
    ...(shape === "redis" && { primary: far() }),
    ...(provider !== undefined && {
      primary: near(),
      secondary: far(),
      sync: { qified: provider, namespace: prefix },
    }),
  });
  cache.on("error", () => undefined);
  return {
    getOrSet: (key) => cache.getOrSet(key, () => load(key), { ttl: ttlMs, throwErrors: true }),
    get: (key) => cache.get(key),
    set: (key, value) => cache.set(key, value, ttlMs),
    delete: (key) => cache.delete(key),
    getMany: (keys) => cache.getMany([...keys]),
    setTagged: (key, value, tag) => cache.set(key, value, { ttl: ttlMs, tags: [tag] }),
    invalidateTag: (tag) => cache.tags.invalidateTag(tag),
    close: () => cache.disconnect(),
  };
}

async function openCacheManager({ url, shape, prefix, ttlMs, staleMs, maxItems, load }: Setup): Promise<Contender> {
  const { createCache } = await import("cache-manager");
  const { createKeyv } = await import("cacheable");
  const { createKeyv: createKeyvRedis } = await import("@keyv/redis");
  const near = () => createKeyv({ ttl: ttlMs + staleMs, lruSize: maxItems, useClone: false });
  const far = () => createKeyvRedis(url, { namespace: prefix });
  const stores = [...(shape === "redis" ? [] : [near()]), ...(shape === "memory" ? [] : [far()])];
  for (const store of stores) store.on("error", () => undefined);
  // It refreshes before the end of a life and never after it.
  const cache = createCache({
    stores,
    ttl: ttlMs + staleMs,
    ...(staleMs > 0 && { refreshThreshold: staleMs }),
  });
  return {
    getOrSet: (key) => cache.wrap(key, () => load(key)),
    get: (key) => cache.get(key),
    set: (key, value) => cache.set(key, value, ttlMs + staleMs),
    delete: (key) => cache.del(key),
    getMany: (keys) => cache.mget([...keys]),
    close: () => cache.disconnect(),
  };
}
