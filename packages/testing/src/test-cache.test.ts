import { ConfigurationError } from "@hotset/core";
import { expect, it } from "vitest";
import { gate } from "./gate.ts";
import { mapTier } from "./map-tier.ts";
import { outcome } from "./outcome.ts";
import { scriptedBackend } from "./scripted-backend.ts";
import { createTestCache, type TestCacheOptions } from "./test-cache.ts";
import { TestClock } from "./test-clock.ts";

it("is a cache over a map, whose time the test moves", async () => {
  const clock = new TestClock();
  await using cache = createTestCache({ clock, ttl: 100, staleIfError: 1_000 });
  await cache.set("user:1", "Ada");
  clock.advance(99);
  expect(await cache.get("user:1")).toBe("Ada");
  clock.advance(1);
  expect(await cache.get("user:1")).toBe(undefined);
  expect(await cache.getOrSet("user:1", () => Promise.reject(new Error("db down")))).toBe("Ada");
  clock.advance(1_000);
  await expect(cache.getOrSet("user:1", () => Promise.reject(new Error("db down")))).rejects.toThrow("db down");
});

it("stands still without a clock", async () => {
  await using cache = createTestCache({ ttl: 1 });
  await cache.set("k", 1);
  await new Promise((resolve) => setImmediate(resolve));
  expect(await cache.inspect("k")).toMatchObject({ state: "fresh", tier: "map", ageMs: 0, freshForMs: 1 });
});

it("accepts a scripted backend, with or without a local tier", async () => {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock });
  await using both = createTestCache({ clock, backend });
  await using alone = createTestCache({ clock, backend, local: false });
  await both.set("k", "Ada");
  expect(backend.store.keys()).toContain("test::k");
  backend.forgetCalls();
  expect(await both.get("k")).toBe("Ada");
  expect(backend.count()).toBe(0);
  expect(await alone.get("k")).toBe("Ada");
  expect(backend.count(undefined, "test::k")).toBe(1);
  expect(alone.stats().tiers.map(({ label }) => label)).toEqual(["scripted"]);
});

it("accepts tiers of the caller, and passes on the other options", async () => {
  const local = mapTier({ label: "mine", maxEntries: 1 });
  await using cache = createTestCache({ name: "shop", version: 2, local, backend: true, maxLoads: 1, ttl: "1m" });
  await cache.set("a", 1);
  await cache.set("b", 2);
  expect(local.entryCount).toBe(1);
  expect(cache.stats().tiers.map(({ label }) => label)).toEqual(["mine", "scripted"]);

  const loading = gate<number>();
  const first = cache.getOrSet("c", () => loading.pass());
  await loading.arrived();
  const second = cache.getOrSet("d", () => 4);
  expect(await outcome(second)).toEqual({ status: "pending" });
  loading.open(3);
  expect(await Promise.all([first, second])).toEqual([3, 4]);
});

it("C117 closes in a hook that moves no clock, although a loader or the backend never ends", async () => {
  const clock = new TestClock();
  const loading = createTestCache({ clock });
  const hung = loading.getOrSet("k", () => new Promise(() => undefined));
  const backend = scriptedBackend({ clock });
  backend.script("close", { before: gate() });
  const closing = createTestCache({ clock, backend });
  await Promise.all([
    expect(hung).rejects.toMatchObject({ code: "CACHE_CLOSED" }),
    expect(loading.close()).resolves.toBeUndefined(),
    expect(closing.close()).resolves.toBeUndefined(),
  ]);
  expect(clock.now()).toBe(new TestClock().now());
});

it("refuses options that the builder refuses", () => {
  expect(() => createTestCache({ local: false })).toThrow(ConfigurationError);
  expect(() => createTestCache({ ttl: "soon" } as unknown as TestCacheOptions)).toThrow(ConfigurationError);
  expect(() => createTestCache({ timeToLive: 5 } as unknown as TestCacheOptions)).toThrow(ConfigurationError);
  expect(() => createTestCache("shop" as never)).toThrow("createCache: options must be an object, got text");
});
