import { keyvStore } from "@hotset/keyv";
import { startOwnRedis } from "@hotset/test-servers";
import { createCache, memory, redis, type Cache } from "hotset";
import { afterAll, expect, it } from "vitest";

const server = await startOwnRedis();
afterAll(() => server.stop());

/** Calls that write to Redis: entries, marks in their place, leases, versions of tags. */
const CALLS: Readonly<Record<string, (cache: Cache, other: Cache) => Promise<unknown>>> = {
  set: (cache) => cache.set("a", 1, { tags: ["t"], etag: '"1"' }),
  "set for ever": (cache) => cache.set("endless", 1, { ttl: Infinity }),
  "touch of what is kept for ever": (cache) => cache.touch("endless", { ttl: "5m" }),
  "touch without an end": (cache) => cache.touch("a", { ttl: Infinity }),
  "a large value": (cache) => cache.set("large", "x".repeat(100_000)),
  fence: (cache) => cache.fence(["f1", "f2"]),
  "a miss without a set": (cache) => keyvStore(cache).get("unknown"),
  "set behind a fence": async (cache) => cache.set("f1", 1, { since: await cache.fence("f1"), wait: "memory" }),
  "a load": (cache) => cache.getOrSet("loaded", () => 1, { tags: ["u"] }),
  "a batch": (cache) =>
    cache.getOrSetMany(
      ["x", "y"],
      (key) => key,
      (keys) => keys.map((key) => [key, 1] as const),
    ),
  "a value that is not stored": (cache) => cache.getOrSet("not stored", ({ noStore }) => noStore(1)),
  "a value that is not shared": (cache) => cache.getOrSet("not shared", ({ notShared }) => notShared(1)),
  "a mark of a key": (_, other) => other.markStale("x"),
  "a mark of a tag": (cache) => cache.markTagsStale("t"),
  "a mark of tags that nothing has": (cache) => cache.markTagsStale("u", "v"),
  invalidateTags: (cache) => cache.invalidateTags("w"),
  clear: (cache) => cache.namespace("n").clear(),
  "a load that fails": (cache) => cache.getOrSet("failed", () => Promise.reject(new Error("no"))).catch(() => 0),
};

it.each(["full", "string"] as const)(
  "C614 nothing that a cache writes to Redis is without an end: layout %s",
  async (layout) => {
    const [cache, other] = [1, 2].map(() =>
      createCache({ name: `ends-${layout}` })
        .tier(memory())
        .tier(redis(server.url).layout(layout).build())
        .defaults({ ttl: "1h", staleWhileRevalidate: "5m", staleIfError: "1h" })
        .build(),
    ) as [Cache, Cache];
    const holding = Promise.withResolvers<number>();
    const held = cache.getOrSet("held", () => holding.promise);
    for (const [name, call] of Object.entries(CALLS)) {
      await call(cache, other);
      const keys = (await server.command("KEYS", "*")) as string[];
      const lives = await Promise.all(keys.map((key) => server.command("PTTL", key)));
      const endless = keys.filter((_, i) => lives[i] === -1);
      expect(endless, name).toEqual([]);
      expect(keys.length).toBeGreaterThan(0);
    }
    holding.resolve(1);
    await held;
    await Promise.all([cache.close(), other.close()]);
  },
);
