/** Values that the format refuses, over Redis: each process keeps them in memory, until something changes. */
import { createCache, json, type Cache, type Policy } from "@hotset/core";
import { memory } from "@hotset/memory";
import { redis } from "@hotset/redis";
import { startOwnRedis, until, type OwnRedis } from "@hotset/test-servers";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";

let server: OwnRedis;
beforeAll(async () => {
  server = await startOwnRedis();
});
afterAll(() => server.stop());
beforeEach(() => server.command("FLUSHALL"));

const LAYOUTS = ["full", "string"] as const;
type Layout = (typeof LAYOUTS)[number];

/** The cache of one process. */
async function open(layout: Layout, policy: Policy = {}): Promise<Cache> {
  const backend = redis(server.url).valueFormat(json()).layout(layout).responseTimeout("10s").build();
  const cache = createCache({ name: "shop", explain: 100 })
    .tier(memory())
    .tier(backend)
    .defaults({ ttl: "10m", loadTimeout: "20s", ...policy })
    .build();
  cache.on("backend:error", () => undefined);
  onTestFinished(() => cache.close({ timeout: 0 }));
  await cache.connect();
  return cache;
}

const NINE_MIB = "x".repeat(9 << 20);
const VALUES = [
  ["a function", () => undefined],
  ["a bigint inside", { total: 1n }],
  ["9 MiB of JSON", NINE_MIB],
] as const;

describe.each(LAYOUTS)("layout %s", (layout) => {
  /** Gets `key` from each cache, as often as that. @returns how often each of them loaded. */
  const loadsOf = async (caches: readonly Cache[], key: string, times: number, value: unknown): Promise<number[]> => {
    const loads = caches.map(() => 0);
    for (let time = 0; time < times; time += 1)
      for (const [i, cache] of caches.entries())
        expect(await cache.getOrSet(key, () => ((loads[i]! += 1), value), { tags: ["t"] })).toBe(value);
    return loads;
  };

  it.each(VALUES)("C430 each process loads it once, and keeps it: %s", async (_, value) => {
    const caches = [await open(layout), await open(layout), await open(layout)];
    expect(await loadsOf(caches, "k", 4, value)).toEqual([1, 1, 1]);
    for (const cache of caches) expect(cache.peek("k")).toBe(value);
    expect(caches[0]!.explain("k").map(({ why }) => why)).toContain(
      "stored in memory alone: the backend does not have the value",
    );
  });

  it.each(["delete", "set", "invalidateTags", "clear"] as const)(
    "C430 %s, called elsewhere, ends it in each process",
    async (how) => {
      const caches = [await open(layout), await open(layout)];
      const [first, second] = caches as [Cache, Cache];
      await loadsOf(caches, "k", 2, 1n);
      const other = await open(layout);
      if (how === "delete") await other.delete("k");
      else if (how === "set") await other.set("k", 2);
      else if (how === "invalidateTags") await other.invalidateTags("t");
      else await other.clear();
      for (const cache of caches)
        await until("the change", 10_000, () => Promise.resolve(cache.peek("k") === undefined));
      const found = how === "set" ? [2, 2] : ["new", "new"];
      expect([await first.getOrSet("k", () => "new"), await second.getOrSet("k", () => "never")]).toEqual(found);
    },
  );

  it("C430 processes that come later, or wait, load side by side", async () => {
    const caches = await Promise.all(Array.from({ length: 6 }, () => open(layout)));
    const running: Set<Cache> = new Set();
    const together = Promise.withResolvers<void>();
    let loads = 0;
    const [first, ...others] = caches;
    const began = Promise.withResolvers<void>();
    const end = Promise.withResolvers<void>();
    const leading = first!.getOrSet("k", async () => (began.resolve(), await end.promise, 1n));
    await began.promise;
    const waiting = others.map((cache) =>
      cache.getOrSet("k", async () => {
        loads += 1;
        running.add(cache);
        // One after the other they would never be here at the same time.
        if (running.size === others.length) together.resolve();
        await together.promise;
        return 1n;
      }),
    );
    for (const cache of others)
      await until("a wait", 10_000, () =>
        Promise.resolve(cache.explain("k").some(({ why }) => why.includes("held elsewhere"))),
      );
    end.resolve();
    expect(await Promise.all([leading, ...waiting])).toEqual(caches.map(() => 1n));
    expect(loads).toBe(others.length);
  });

  it("C430 a value of another load that can be written takes its place everywhere", async () => {
    const [first, second] = [await open(layout), await open(layout)];
    await loadsOf([first], "k", 2, 1n);
    expect(await second.getOrSet("k", () => "text")).toBe("text");
    await until("the change", 10_000, () => Promise.resolve(first.peek("k") === undefined));
    expect(await first.getOrSet("k", () => "never")).toBe("text");
  });

  it("C430 an entry that is there stays, and so does the copy of the refused value", async () => {
    const [first, second] = [await open(layout), await open(layout)];
    await first.set("k", "old");
    expect(await first.getOrSet("k", () => 1n, { forceRefresh: true })).toBe(1n);
    expect(await first.getOrSet("k", () => "never")).toBe(1n);
    expect(await second.get("k")).toBe("old");
  });
});
