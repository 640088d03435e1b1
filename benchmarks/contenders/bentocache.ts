import { addressOf, type Contender, type Product, type Setup } from "./contender.ts";

/** @see https://bentocache.dev/docs/multi-tier and https://bentocache.dev/docs/grace-periods */
export const bentocache: Product = {
  name: "bentocache",
  kind: "peer",
  packages: ["bentocache", "ioredis"],
  page: "https://bentocache.dev/docs/multi-tier",
  shapes: ["memory", "redis", "both"],
  can: ["stale", "tags"],
  open,
};

async function open({ url, shape, prefix, ttlMs, staleMs, maxItems, load }: Setup): Promise<Contender> {
  const { BentoCache, bentostore } = await import("bentocache");
  const { memoryDriver } = await import("bentocache/drivers/memory");
  const { redisBusDriver, redisDriver } = await import("bentocache/drivers/redis");
  const connection = addressOf(url);
  // Without serialisation it is faster, but then the second read of a value found in Redis throws (1.6.1).
  const near = memoryDriver(shape === "memory" ? { maxItems, serialize: false } : { maxItems });
  const far = redisDriver({ connection });
  const store =
    shape === "memory"
      ? bentostore().useL1Layer(near)
      : shape === "redis"
        ? bentostore().useL2Layer(far)
        : bentostore().useL1Layer(near).useL2Layer(far).useBus(redisBusDriver({ connection }));
  const bento = new BentoCache({ default: "main", prefix, stores: { main: store } });
  // A grace period counts from the moment of storing (1.6.1); with the timeout of 0 a stale value is served at once.
  const life = staleMs > 0 ? { ttl: ttlMs, grace: ttlMs + staleMs, timeout: 0 } : { ttl: ttlMs };
  return {
    getOrSet: (key) => bento.getOrSet({ ...life, key, factory: () => load(key) }),
    get: (key) => bento.get({ key }),
    set: (key, value) => bento.set({ ...life, key, value }),
    delete: (key) => bento.delete({ key }),
    setTagged: (key, value, tag) => bento.set({ ...life, key, value, tags: [tag] }),
    invalidateTag: (tag) => bento.deleteByTag({ tags: [tag] }),
    close: () => bento.disconnectAll(),
  };
}
