import type { Redis as IoRedis } from "ioredis-6";
import type { Contender, Product, Setup, Value } from "./contender.ts";

/** @see https://github.com/kibertoad/layered-loader "Update notifications", "Usage in high-performance systems" */
export const layeredLoader: Product = {
  name: "layered-loader",
  kind: "peer",
  // It asks for ioredis 6, others for 5.
  packages: ["layered-loader", "ioredis-6"],
  page: "https://github.com/kibertoad/layered-loader#update-notifications",
  shapes: ["memory", "redis", "both"],
  can: ["stale"],
  open,
};

async function open({ url, shape, prefix, ttlMs, staleMs, maxItems, load }: Setup): Promise<Contender> {
  const { createNotificationPair, Loader, RedisCache } = await import("layered-loader");
  const { Redis } = await import("ioredis-6");
  const clients: IoRedis[] = [];
  const connect = (): IoRedis => {
    const client = new Redis(url);
    client.on("error", () => undefined);
    clients.push(client);
    return client;
  };
  // It refreshes before the end of a life and never after it.
  const life = {
    ttlInMsecs: ttlMs + staleMs,
    ...(staleMs > 0 && { ttlLeftBeforeRefreshInMsecs: staleMs }),
  };
  const pair =
    shape === "both"
      ? createNotificationPair<unknown>({
          channel: `${prefix}:changes`,
          consumerRedis: connect(),
          publisherRedis: connect(),
        })
      : undefined;
  const loader = new Loader<unknown>({
    ...(shape !== "redis" && { inMemoryCache: { ...life, maxItems } }),
    ...(shape !== "memory" && { asyncCache: new RedisCache<unknown>(connect(), { ...life, json: true, prefix }) }),
    ...(pair !== undefined && { notificationConsumer: pair.consumer, notificationPublisher: pair.publisher }),
    dataSourceGetOneFn: load,
    cacheKeyFromValueResolver: (value) => (value as Value).key,
    dataSourceGetManyFn: (keys: string[]) => Promise.all(keys.map(load)),
  });
  await loader.init();
  return {
    getOrSet: (key) => loader.get(key),
    set: (key, value) => loader.forceSetValue(key, value),
    delete: (key) => loader.invalidateCacheFor(key),
    ...(shape !== "redis" && { peek: (key) => loader.getInMemoryOnly(key) }),
    getMany: (keys) => loader.getMany([...keys]),
    close: async () => {
      await loader.close();
      for (const client of clients) client.disconnect();
    },
  };
}
