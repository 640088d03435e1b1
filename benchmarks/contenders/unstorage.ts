import type { StorageValue } from "unstorage";
import type { Contender, Product, Setup } from "./contender.ts";

/** @see https://unstorage.unjs.io/drivers/redis and https://unstorage.unjs.io/drivers/memory */
export const unstorage: Product = {
  name: "unstorage",
  kind: "peer",
  packages: ["unstorage", "ioredis"],
  page: "https://unstorage.unjs.io/drivers/redis",
  // Its overlay writes to one layer alone.
  shapes: ["memory", "redis"],
  can: [],
  open,
};

/** It reads and writes, and does not load: the program around it does. */
async function open({ url, shape, prefix, ttlMs, maxItems, load }: Setup): Promise<Contender> {
  const { createStorage } = await import("unstorage");
  const { default: lruDriver } = await import("unstorage/drivers/lru-cache");
  const { default: redisDriver } = await import("unstorage/drivers/redis");
  const options = { ttl: Math.ceil(ttlMs / 1_000) };
  const driver =
    shape === "memory"
      ? lruDriver({ max: maxItems, ttl: ttlMs })
      : redisDriver({ url, base: prefix, ttl: options.ttl, preConnect: true });
  const storage = createStorage({ driver: driver as never });
  const client = (driver.getInstance?.() ?? {}) as { on?: (event: string, listener: () => void) => void };
  client.on?.("error", () => undefined);
  return {
    getOrSet: async (key) => {
      const found = await storage.getItem(key);
      if (found !== null) return found;
      const value = await load(key);
      await storage.setItem(key, value as StorageValue, options);
      return value;
    },
    get: (key) => storage.getItem(key),
    set: (key, value) => storage.setItem(key, value as StorageValue, options),
    delete: (key) => storage.removeItem(key),
    getMany: (keys) => storage.getItems([...keys]),
    close: () => storage.dispose(),
  };
}
