/** The pages about migrating: where a peer and hotset differ, shown by both. One test for each statement. */
import { createTestCache, scriptedBackend, TestClock } from "@hotset/testing";
import type { StandardSchema } from "@hotset/core";
import { cachified, softPurge, type CacheEntry } from "@epic-web/cachified";
import { BentoCache, bentostore } from "bentocache";
import { memoryDriver } from "bentocache/drivers/memory";
import { Cacheable } from "cacheable";
import Keyv from "keyv";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { counted, never } from "../support/stacks.ts";

const down = (): never => {
  throw new Error("down");
};

/** Accepts a text, and gives the number in it. */
const numberInText: StandardSchema<number> = {
  "~standard": {
    version: 1,
    vendor: "test",
    validate: (value) =>
      typeof value === "string" ? { value: Number(value) } : { issues: [{ message: "must be a text" }] },
  },
};

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe("C456 cachified.md", () => {
  const call = <T>(cache: Map<string, CacheEntry>, load: () => T, more: object = {}) =>
    cachified<T>({ key: "k", cache, ttl: 1_000, getFreshValue: load, ...more });

  it("checkValue checks loaded values too: that is checkLoads; a schema alone stores them as they are", async () => {
    const checkValue = (value: unknown) => typeof value === "string" || "must be a text";
    await expect(call(new Map(), () => 42, { checkValue })).rejects.toThrow("check failed for fresh value");
    const cache = createTestCache();
    const loose = cache.namespace("loose", { schema: numberInText });
    expect([await loose.getOrSet("k", () => 42), loose.peek("k")]).toEqual([42, 42]);
    const strict = cache.namespace("strict", { schema: numberInText, checkLoads: true });
    await expect(strict.getOrSet("k", () => 42)).rejects.toMatchObject({ code: "INVALID_VALUE" });
    expect(strict.peek("k")).toBe(undefined);
  });

  it("a schema that transforms: there the value is stored as it was loaded, here as it was transformed", async () => {
    const store = new Map<string, CacheEntry>();
    expect(await call<unknown>(store, () => "42", { checkValue: numberInText })).toBe(42);
    expect(store.get("k")!.value).toBe("42");
    expect(await call<unknown>(store, never, { checkValue: numberInText })).toBe(42);

    const clock = new TestClock();
    const backend = scriptedBackend({ clock });
    const open = () =>
      createTestCache({ clock, backend: backend.peer() }).namespace("numbers", {
        schema: numberInText,
        checkLoads: true,
      });
    const runs = counted("42");
    const errors: unknown[] = [];
    for (const numbers of [open(), open(), open()]) {
      numbers.on("decode:error", (event) => errors.push(event));
      expect(await numbers.getOrSet("k", runs.load as () => never)).toBe(42);
    }
    // The schema refuses its own output, so no other process can use the entry.
    expect([runs.runs, errors.length]).toEqual([3, 2]);
  });

  it("softPurge keeps the value for the rest of its ttl; markStale only within staleWhileRevalidate or staleIfError", async () => {
    const store = new Map<string, CacheEntry>();
    await call(store, () => "old");
    await softPurge({ cache: store, key: "k" });
    expect(await call(store, () => "new")).toBe("old");

    const cache = createTestCache({ ttl: "1m" });
    const reload = () => cache.getOrSet("k", () => "new");
    await cache.set("k", "old");
    expect(await cache.markStale("k")).toEqual({ status: "stale" });
    expect([await cache.inspect("k"), await reload()]).toEqual([undefined, "new"]);
    await cache.set("k", "old", { staleWhileRevalidate: "1m" });
    await cache.markStale("k");
    expect(await reload()).toBe("old");
  });

  it("fallbackToCache: false is staleIfError: 0 of the forced call", async () => {
    const store = new Map<string, CacheEntry>();
    await call(store, () => "old");
    expect(await call<unknown>(store, down, { forceFresh: true })).toBe("old");
    await expect(call(store, down, { forceFresh: true, fallbackToCache: false })).rejects.toThrow("down");
    const cache = createTestCache();
    await cache.set("k", "old");
    expect(await cache.getOrSet("k", down, { forceRefresh: true })).toBe("old");
    await expect(cache.getOrSet("k", down, { forceRefresh: true, staleIfError: 0 })).rejects.toThrow("down");
  });
});

describe("C456 cacheable.md", () => {
  it("a ttl of 0 or less is no ttl there; here it stores nothing and removes what was there", async () => {
    const peer = new Cacheable();
    for (const ttl of [0, -1]) {
      await peer.set(`k${ttl}`, "kept", ttl);
      vi.setSystemTime(Date.now() + 100 * 86_400_000);
      expect(await peer.get(`k${ttl}`)).toBe("kept");
    }
    const keyv = new Keyv();
    await keyv.set("k", "kept", 0);
    vi.setSystemTime(Date.now() + 100 * 86_400_000);
    expect(await keyv.get("k")).toBe("kept");
    const cache = createTestCache();
    await cache.set("k", "old");
    await cache.set("k", "new", { ttl: 0 });
    expect(await cache.get("k")).toBe(undefined);
    expect(() => createTestCache({ ttl: 0 })).toThrow("ttl must be above 0");
    const clock = new TestClock();
    const endless = createTestCache({ clock, ttl: Infinity });
    await endless.set("k", "kept");
    clock.advance("100d");
    expect(await endless.get("k")).toBe("kept");
  });
});

describe("C456 bentocache.md", () => {
  const open = () => {
    const store = bentostore().useL1Layer(memoryDriver({ maxItems: 100 }));
    return new BentoCache({ default: "shop", stores: { shop: store } });
  };

  it.each([{}, { grace: "1h" }])(
    "forceFresh rejects when its factory fails, with %o; that is forceRefresh with staleIfError: 0",
    async (grace) => {
      const bento = open();
      await bento.set({ key: "k", value: "old", ttl: "1m", ...grace });
      await expect(
        bento.getOrSet({ key: "k", factory: down, forceFresh: true, ttl: "1m", ...grace }),
      ).rejects.toThrow();
      const cache = createTestCache();
      await cache.set("k", "old");
      expect(await cache.getOrSet("k", down, { forceRefresh: true })).toBe("old");
      await expect(cache.getOrSet("k", down, { forceRefresh: true, staleIfError: 0 })).rejects.toThrow("down");
    },
  );

  it("a tag of the root reaches no namespace there; here it reaches all below, and one of a namespace only its own", async () => {
    const bento = open();
    const theirs = bento.namespace("users");
    await theirs.set({ key: "1", value: "Ada", tags: ["t"] });
    await bento.deleteByTag({ tags: ["t"] });
    expect(await theirs.get({ key: "1" })).toBe("Ada");
    const cache = createTestCache();
    const users = cache.namespace("users");
    await users.set("1", "Ada", { tags: ["t"] });
    await cache.set("root", "kept", { tags: ["t"] });
    await users.invalidateTags("t");
    expect([await users.get("1"), await cache.get("root")]).toEqual([undefined, "kept"]);
    await users.set("1", "Ada", { tags: ["t"] });
    await cache.invalidateTags("t");
    expect([await users.get("1"), await cache.get("root")]).toEqual([undefined, undefined]);
  });

  it("a namespace is a prefix of keys there; here no key of the root reaches into one", async () => {
    const bento = open();
    await bento.namespace("users").set({ key: "1", value: "Ada" });
    expect(await bento.get({ key: "users:1" })).toBe("Ada");
    const cache = createTestCache();
    await cache.namespace("users").set("1", "Ada");
    expect(await cache.get("users:1")).toBe(undefined);
  });
});
