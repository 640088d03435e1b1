import type { Contender, Product, Setup } from "./contender.ts";

/** @see https://github.com/mcollina/async-cache-dedupe */
export const asyncCacheDedupe: Product = {
  name: "async-cache-dedupe",
  kind: "peer",
  packages: ["async-cache-dedupe", "ioredis"],
  page: "https://github.com/mcollina/async-cache-dedupe#readme",
  shapes: ["memory", "redis"],
  can: ["stale", "tags"],
  open,
};

/** A cached function: it has no other way to store a value. */
interface Defined {
  readonly value: (key: string) => Promise<unknown>;
  readonly clear: (name: string, key: string) => Promise<unknown>;
  readonly invalidateAll: (references: string) => Promise<unknown>;
}

async function open({ url, shape, ttlMs, staleMs, maxItems, isTagged, load }: Setup): Promise<Contender> {
  const { createCache } = await import("async-cache-dedupe");
  const { Redis } = await import("ioredis");
  const ttl = Math.ceil(ttlMs / 1_000);
  const client = shape === "redis" ? new Redis(url) : undefined;
  client?.on("error", () => undefined);
  const stale = Math.ceil(staleMs / 1_000);
  const cache = createCache({
    ttl,
    stale,
    storage:
      client === undefined
        ? { type: "memory", options: { size: maxItems, invalidation: isTagged } }
        : { type: "redis", options: { client, invalidation: isTagged ? { referencesTTL: ttl + stale } : false } },
  });
  /** Values that are being set, and the tag of each. */
  const given = new Map<string, { readonly value: unknown; readonly tag?: string }>();
  cache.define(
    "value",
    {
      references: (key: string) => {
        const tag = given.get(key)?.tag;
        return tag === undefined ? [] : [tag];
      },
    },
    async (key: string) => (given.has(key) ? given.get(key)!.value : load(key)),
  );
  const defined = cache as unknown as Defined;
  const store = async (key: string, value: unknown, tag?: string): Promise<void> => {
    given.set(key, { value, ...(tag !== undefined && { tag }) });
    try {
      await defined.clear("value", key);
      await defined.value(key);
    } finally {
      given.delete(key);
    }
  };
  return {
    getOrSet: (key) => defined.value(key),
    set: store,
    delete: (key) => defined.clear("value", key),
    setTagged: store,
    invalidateTag: (tag) => defined.invalidateAll(tag),
    close: async () => client?.disconnect(),
  };
}
