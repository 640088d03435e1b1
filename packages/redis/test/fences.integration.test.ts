import { setTimeout as sleep } from "node:timers/promises";
import { json, systemClock, type Cache } from "@hotset/core";
import { redis, type RedisBackendBuilder } from "@hotset/redis";
import { Random, randomPrefix, startOwnRedis } from "@hotset/test-servers";
import { createTestCache } from "@hotset/testing";
import { afterAll, expect, it, onTestFinished } from "vitest";

const server = await startOwnRedis();
afterAll(() => server.stop());

const LAYOUTS: readonly (readonly [string, (builder: RedisBackendBuilder) => RedisBackendBuilder])[] = [
  ["hashes", (builder) => builder],
  ["strings", (builder) => builder.layout("string")],
  ["announcements", (builder) => builder.coherence("pubsub")],
  ["hashed keys", (builder) => builder.keyFormat("hashed")],
];
const CHANGES: readonly (readonly [string, (cache: Cache) => Promise<unknown>])[] = [
  ["delete", (cache) => cache.delete("k")],
  ["delete and load", async (cache) => [await cache.delete("k"), await cache.getOrSet("k", () => "theirs")]],
  ["markStale", (cache) => cache.markStale("k")],
  ["set", (cache) => cache.set("k", "theirs")],
  ["set and delete", async (cache) => [await cache.set("k", "theirs"), await cache.delete("k")]],
  ["invalidateTags", (cache) => cache.invalidateTags("t")],
  ["markTagsStale", (cache) => cache.markTagsStale("t")],
  ["clear", (cache) => cache.clear()],
];

async function open(of: (builder: RedisBackendBuilder) => RedisBackendBuilder): Promise<[Cache, Cache]> {
  const prefix = randomPrefix();
  const caches = [1, 2].map(() =>
    createTestCache({
      clock: systemClock,
      backend: of(redis(server.url).valueFormat(json()).keyPrefix(prefix)).build(),
      ttl: "1h",
      staleIfError: "1h",
    }),
  ) as [Cache, Cache];
  onTestFinished(async () => void (await Promise.all(caches.map((cache) => cache.close()))));
  return caches;
}

it.each(LAYOUTS)("C591: a set with a fence is refused after any change by another process: %s", async (_name, of) => {
  for (const [name, change] of CHANGES)
    for (const before of [undefined, "old"]) {
      const [a, b] = await open(of);
      if (before !== undefined) await a.set("k", before, { tags: ["t"] });
      const since = await a.fence("k");
      await change(b);
      const left = await b.get("k");
      expect(await a.set("k", "before", { since, tags: ["t"] }), name).toEqual({ status: "refused" });
      await expect.poll(async () => [await a.get("k"), await b.get("k")], { message: name }).toEqual([left, left]);
    }
});

it.each(LAYOUTS)(
  "C591: it is stored where others changed something else, and keeps no one waiting: %s",
  async (_, of) => {
    const [a, b] = await open(of);
    const since = await a.fence(["k", "l"]);
    await Promise.all([b.delete("m"), b.invalidateTags("u"), b.namespace("n").clear()]);
    expect(await b.getOrSet("l", () => "loaded")).toBe("loaded");
    expect(await a.set("k", "computed", { since, tags: ["t"] })).toEqual({ status: "stored" });
    expect(await a.set("l", "computed", { since })).toEqual({ status: "refused" });
    await expect.poll(async () => Promise.all(["k", "l"].map((key) => b.get(key)))).toEqual(["computed", "loaded"]);
    await b.invalidateTags("t");
    await expect.poll(async () => a.get("k")).toBe(undefined);
  },
);

it("C591: a mark ends by itself, and the layout of other programs has none", async () => {
  const [a] = await open((builder) => builder.keyPrefix("marks"));
  await a.fence("k");
  const [left] = (await Promise.all(["marks:test::k"].map((key) => server.command("PTTL", key)))) as number[];
  expect(left).toBeGreaterThan(290_000);
  expect(left).toBeLessThanOrEqual(300_000);
  const plain = redis(server.url).valueFormat(json()).keyPrefix("plain").layout("plain").build();
  const cache = createTestCache({ clock: systemClock, backend: plain, localTtl: "1m" });
  await expect(cache.fence("k")).rejects.toThrow("no room for tags");
  await cache.close();
});

it.each(LAYOUTS)("C591: whatever is called between a fence and its set, nothing older is left: %s", async (_, of) => {
  const random = new Random(20_261_127);
  const pause = (): Promise<void> => sleep(random.below(20));
  const caches = await open(of);
  const kinds = ["delete", "markStale", "invalidateTags", "markTagsStale", "clear", "load"] as const;
  for (let round = 0; round < 40; round += 1) {
    const [key, tag] = [`k${round}`, `t${round}`];
    // Of the source, and of the last call that has been acknowledged.
    let [version, ended] = [0, 0];
    const compute = async (cache: Cache): Promise<unknown> => {
      const since = await cache.fence(key);
      const value = version;
      await pause();
      return cache.set(key, value, { since, tags: [tag] });
    };
    const change = async (cache: Cache): Promise<void> => {
      const own = (version += 1);
      const kind = random.one(kinds);
      if (kind === "load") {
        await cache.getOrSet(key, () => version, { tags: [tag], forceRefresh: true });
        // A set under way when it began overtakes it: what the load stored counts, once it is seen.
        const seen = await cache.get(key);
        if (typeof seen === "number") ended = Math.max(ended, seen);
        return;
      }
      if (kind === "clear") await cache.clear();
      else await (kind === "delete" || kind === "markStale" ? cache[kind](key) : cache[kind](tag));
      ended = Math.max(ended, own);
    };
    const calls = Array.from({ length: 10 }, async (_call, i) => {
      await pause();
      await (i < 4 ? change : compute)(random.one(caches));
    });
    await Promise.all(calls);
    for (const cache of caches)
      expect(await cache.getOrSet(key, () => Infinity, { current: true }), `round ${round}`).toBeGreaterThanOrEqual(
        ended,
      );
  }
});

it("C600: a set that waits for memory is seen here while Redis is frozen, and a later delete stays", async () => {
  const own = await startOwnRedis();
  onTestFinished(() => own.stop());
  const prefix = randomPrefix();
  const [a, b] = [1, 2].map(() =>
    createTestCache({
      clock: systemClock,
      backend: redis(own.url).valueFormat(json()).keyPrefix(prefix).responseTimeout("30s").build(),
      ttl: "1h",
    }),
  ) as [Cache, Cache];
  onTestFinished(async () => void (await Promise.all([a.close(), b.close()])));
  await b.setMany(["k", "gone"].map((key) => [key, "old"]));
  own.pause();
  for (const key of ["k", "gone"]) expect(await a.set(key, "new", { wait: "memory" })).toEqual({ status: "pending" });
  expect([await a.get("k"), a.stats().pending]).toEqual(["new", 2]);
  const deleting = a.delete("gone");
  own.resume();
  expect(await deleting).toEqual({ status: "deleted" });
  await expect.poll(() => a.stats().pending).toBe(0);
  expect([await b.get("k"), await b.get("gone"), await a.get("gone")]).toEqual(["new", undefined, undefined]);
});
