import { createTestCache, flush, gate, TestClock } from "@hotset/testing";
import { expect, it } from "vitest";

const failing = (): never => {
  throw new Error("down");
};

it("stats of a namespace count its calls and those below it; of the cache, all", async () => {
  const clock = new TestClock();
  const cache = createTestCache({ clock, ttl: "1m", staleWhileRevalidate: "1m", backend: true });
  const users = cache.namespace("users");
  const { loading, load } = slowLoad();

  await users.get("absent");
  const both = [users.getOrSet("k", load), users.getOrSet("k", load)];
  await loading.arrived();
  await users.delete("k");
  loading.open("fenced");
  await Promise.all(both);
  await users.set("s", 1);
  await users.get("s");
  clock.advance("1m");
  await users.getOrSet("s", () => 2);
  await expect(users.namespace("ada").getOrSet("f", failing)).rejects.toThrow("down");
  await cache.namespace("user").getOrSet("elsewhere", () => 3);
  await cache.getOrSet("root", () => 4);
  await flush();

  expect(users.stats()).toMatchObject({
    hits: 1,
    staleHits: 1,
    misses: 4,
    hitRatio: 2 / 6,
    loads: 3,
    loadErrors: 1,
    coalesced: 1,
    fenced: 1,
    overloaded: 0,
    mispredicted: 0,
    unadmitted: 0,
    loadLatency: { count: 2 },
  });
  expect(users.namespace("ada").stats()).toMatchObject({
    misses: 1,
    loads: 1,
    loadErrors: 1,
    loadLatency: { count: 0 },
  });
  expect(cache.stats()).toMatchObject({ hits: 1, staleHits: 1, misses: 6, loads: 5, loadErrors: 1, coalesced: 1 });
  expect(Object.keys(cache.stats())).toEqual([...Object.keys(users.stats()), "waiting", "pending", "tiers"]);
});

it("calls beyond the first 1,000 namespaces count in the one above, whose number is whole", async () => {
  const cache = createTestCache();
  const tenants = cache.namespace("tenants");
  for (let i = 0; i < 1_200; i += 1) await tenants.namespace(`t${i}`).get("k");
  expect([tenants.stats().misses, cache.stats().misses, tenants.namespace("t0").stats().misses]).toEqual([
    1_200, 1_200, 1,
  ]);
  expect(() => tenants.namespace("t1100").stats()).toThrow(
    'stats: the namespace "t1100" in "tenants" is not counted by itself: a cache counts the 1,000 that it used ' +
      "first; ask the one above",
  );
});

function slowLoad(): { readonly loading: ReturnType<typeof gate<string>>; readonly load: () => Promise<string> } {
  const loading = gate<string>();
  return { loading, load: () => loading.pass() };
}
