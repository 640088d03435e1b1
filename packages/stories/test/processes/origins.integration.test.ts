/** Who invalidates: the event and `explain` distinguish the changes of this process from those of others. */
import { createCache, json, type Cache, type CacheEvents } from "@hotset/core";
import { memory } from "@hotset/memory";
import { redis } from "@hotset/redis";
import { startOwnRedis } from "@hotset/test-servers";
import { afterAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";

const server = await startOwnRedis();
afterAll(() => server.stop());
beforeEach(() => server.command("FLUSHALL"));

describe.each(["full", "string"] as const)("in layout(%o)", (layout) => {
  async function open(mode: "tracking" | "pubsub"): Promise<{ cache: Cache; seen: CacheEvents["invalidate"][] }> {
    const backend = redis(server.url).coherence(mode).valueFormat(json()).layout(layout).responseTimeout("10s").build();
    const cache = createCache({ name: "shop", explain: 1_000 })
      .tier(memory())
      .tier(backend)
      .defaults({ ttl: "10m", localTtl: "10m" })
      .build();
    onTestFinished(() => cache.close({ timeout: 0 }));
    await cache.connect();
    const seen: CacheEvents["invalidate"][] = [];
    cache.on("invalidate", (event) => seen.push(event));
    return { cache, seen };
  }

  it.each(["tracking", "pubsub"] as const)(
    "one process alone is told of no change elsewhere, over %s",
    async (mode) => {
      const { cache, seen } = await open(mode);
      const users = cache.namespace("users");
      const large = "v".repeat(10_000);
      for (let i = 0; i < 20; i += 1) {
        await cache.getOrSet("k", () => i, { forceRefresh: true, tags: ["t"] });
        await cache.getOrSet("short", () => i, { ttl: 1 });
        await cache.getOrSet("large", () => large + i, { forceRefresh: true });
        await cache.set("set", i, { tags: ["t"] });
        await users.getOrSet("k", () => i, { tags: ["t", "u"] });
        await cache.touch("k", { ttl: "5m" });
        if (i % 5 === 0) await cache.markStale("k");
        if (i % 6 === 0) await cache.invalidateTags("t");
        if (i % 7 === 0) await cache.delete("set");
      }
      expect(seen.filter(({ origin }) => origin === "elsewhere")).toEqual([]);
      const changes = cache.explain("k").filter(({ what }) => what === "changed");
      expect(changes.filter(({ why }) => why === "elsewhere")).toEqual([]);
    },
  );

  it.each(["tracking", "pubsub"] as const)(
    "a change by another process is one event from elsewhere, a tag call with its tag, over %s",
    async (mode) => {
      const [here, there] = [await open(mode), await open(mode)];
      const users = here.cache.namespace("users");
      const read = async (): Promise<void> => {
        here.seen.length = 0;
        await here.cache.getOrSet("k", () => 1, { tags: ["t"] });
        await users.getOrSet("k", () => 1, { tags: ["u"] });
        await expect.poll(() => [here.cache.peek("k"), users.peek("k")]).toEqual([1, 1]);
        here.seen.length = 0;
      };
      const shared = { cache: "shop", namespace: [], mode: "remove", origin: "elsewhere" } as const;
      const calls: readonly (readonly [() => Promise<unknown>, object])[] = [
        [() => there.cache.invalidateTags("t"), { ...shared, scope: "tags", tags: ["t"] }],
        [() => there.cache.markTagsStale("t"), { ...shared, scope: "tags", tags: ["t"] }],
        [
          () => there.cache.namespace("users").invalidateTags("u"),
          { ...shared, namespace: ["users"], scope: "tags", tags: ["u"] },
        ],
        [() => there.cache.namespace("users").clear(), { ...shared, namespace: ["users"], scope: "namespace" }],
        [() => there.cache.clear(), { ...shared, scope: "namespace" }],
        [() => there.cache.delete("k"), { ...shared, scope: "key", key: "k" }],
        [() => there.cache.set("k", 2), { ...shared, scope: "key", key: "k" }],
      ];
      for (const [call, event] of calls) {
        await read();
        await call();
        await expect.poll(() => here.seen).toEqual([event]);
        await here.cache.delete("k");
      }
      // Tags that nothing here depends on are no events.
      await read();
      await there.cache.invalidateTags("of no entry here");
      await there.cache.delete("k");
      await expect.poll(() => here.seen).toEqual([{ ...shared, scope: "key", key: "k" }]);
      expect(here.cache.explain("k").at(-1)).toMatchObject({ what: "changed", why: "elsewhere" });
    },
  );
});
