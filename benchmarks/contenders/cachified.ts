import type { CacheEntry } from "@epic-web/cachified";
import type { Contender, Product, Setup } from "./contender.ts";

/** @see https://github.com/epicweb-dev/cachified "Adapters", "Stale while revalidate" */
export const cachified: Product = {
  name: "cachified",
  kind: "peer",
  packages: ["@epic-web/cachified", "cachified-redis-adapter", "lru-cache", "@redis/client"],
  page: "https://github.com/epicweb-dev/cachified#adapters",
  shapes: ["memory", "redis", "both"],
  can: ["stale"],
  open,
};

interface Adapter {
  get(key: string): unknown;
  set(key: string, entry: CacheEntry): unknown;
  delete(key: string): unknown;
}

/** It has no tiers and no messages of its own: one call around the other, as its adapters allow. */
async function open({ url, shape, prefix, ttlMs, staleMs, maxItems, load }: Setup): Promise<Contender> {
  const { cachified: cached, totalTtl } = await import("@epic-web/cachified");
  const { redisCacheAdapter } = await import("cachified-redis-adapter");
  const { LRUCache } = await import("lru-cache");
  const { createClient } = await import("@redis/client");
  const client = shape === "memory" ? undefined : createClient({ url });
  client?.on("error", () => undefined);
  await client?.connect();
  const lru = new LRUCache<string, CacheEntry>({ max: maxItems });
  const near: Adapter = {
    set: (key, entry) => {
      const ttl = totalTtl(entry.metadata);
      return lru.set(key, entry, { ...(ttl !== Infinity && { ttl }), start: entry.metadata.createdTime });
    },
    get: (key) => lru.get(key),
    delete: (key) => lru.delete(key),
  };
  const remote = client === undefined ? undefined : redisCacheAdapter(client);
  const far: Adapter | undefined = remote && {
    get: (key) => remote.get(`${prefix}:${key}`),
    set: (key, entry) => remote.set(`${prefix}:${key}`, entry),
    delete: (key) => remote.delete(`${prefix}:${key}`),
  };
  // From the loader's side to the caller's.
  const adapters = [...(far === undefined ? [] : [far]), ...(shape === "redis" ? [] : [near])];
  const life = { ttl: ttlMs, ...(staleMs > 0 && { swr: staleMs }) };
  const through = (at: number, key: string): Promise<unknown> =>
    at < 0
      ? load(key)
      : cached({ ...life, cache: adapters[at] as never, key, getFreshValue: () => through(at - 1, key) });
  const first = adapters.at(-1)!;
  return {
    getOrSet: (key) => through(adapters.length - 1, key),
    get: async (key) => ((await first.get(key)) as CacheEntry | null | undefined)?.value,
    set: async (key, value) => {
      const metadata = { createdTime: Date.now(), ttl: ttlMs, ...(staleMs > 0 && { swr: staleMs }) };
      for (const adapter of adapters) await adapter.set(key, { value, metadata });
    },
    delete: async (key) => {
      for (const adapter of adapters) await adapter.delete(key);
    },
    close: async () => client?.destroy(),
  };
}
