import type { StorageInterface } from "ocache";
import type { Contender, Product, Setup, Value } from "./contender.ts";

/** @see https://ocache.unjs.io/docs/storage "Custom Storage", "Layered Storage" */
export const ocache: Product = {
  name: "ocache",
  kind: "peer",
  packages: ["ocache", "@redis/client"],
  page: "https://ocache.unjs.io/docs/storage",
  shapes: ["memory", "redis", "both"],
  can: ["stale"],
  open,
};

/** A cached function, which is its only way to store a value. It has no messages between processes. */
async function open(setup: Setup): Promise<Contender> {
  const { ttlMs, staleMs, load } = setup;
  const { defineCachedFunction } = await import("ocache");
  const { storage, close } = await storageOf(setup);
  /** Values that are being set. */
  const given = new Map<string, Value>();
  const value = defineCachedFunction(async (key: string) => given.get(key) ?? load(key), {
    name: "value",
    base: setup.prefix,
    // Without it each call hashes its arguments.
    getKey: (key) => key,
    storage,
    maxAge: ttlMs / 1_000,
    ...(staleMs > 0 && { swr: true, staleMaxAge: staleMs / 1_000 }),
    onError: () => undefined,
  });
  return {
    getOrSet: (key) => value(key),
    set: async (key, to) => {
      given.set(key, to);
      try {
        await value.invalidate(key);
        await value(key);
      } finally {
        given.delete(key);
      }
    },
    delete: (key) => value.invalidate(key),
    close,
  };
}

/** Redis as its page sets it up, and memory that is bounded as that of the others: by entries alone. */
async function storageOf({ url, shape, ttlMs, staleMs, maxItems }: Setup) {
  const { composeStorage, createMemoryStorage } = await import("ocache");
  const near = createMemoryStorage({ maxSize: maxItems, maxBytes: Infinity });
  if (shape === "memory") return { storage: near, close: async () => undefined };
  const { createClient } = await import("@redis/client");
  const client = createClient({ url });
  client.on("error", () => undefined);
  await client.connect();
  const far: StorageInterface = {
    async get(key) {
      const text = await client.get(key);
      return text === null ? null : JSON.parse(text);
    },
    async set(key, entry, { ttl } = {}) {
      if (entry === null || entry === undefined) await client.del(key);
      else
        await client.set(
          key,
          JSON.stringify(entry),
          ttl === undefined ? {} : { expiration: { type: "EX", value: ttl } },
        );
    },
  };
  const layers = [{ storage: near, ttl: (ttlMs + staleMs) / 1_000 }, far];
  return {
    storage: shape === "redis" ? far : composeStorage(layers, { onError: () => undefined }),
    close: async () => client.destroy(),
  };
}
