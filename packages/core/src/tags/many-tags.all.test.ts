import { createTestCache, scriptedBackend, TestClock } from "@hotset/testing";
import { describe, expect, it, onTestFinished } from "vitest";
import { keyOf, type Cache, type LoadContext, type Policy } from "../index.ts";

describe.each(["memory", "backend", "memory over backend"])("C598 the tags of one entry, over %s", (stack) => {
  function open({ tagVersions = false, ...policy }: Policy & { readonly tagVersions?: boolean } = {}) {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock, tagVersions });
    const local = stack === "backend" ? (false as const) : undefined;
    const cache: Cache = createTestCache({
      clock,
      local,
      backend: stack !== "memory" && backend,
      ttl: "1h",
      ...policy,
    });
    onTestFinished(() => cache.close({ timeout: 0 }));
    return { cache, clock, backend, stored: () => backend.store.keys().filter((key) => !key.startsWith("{~")) };
  }
  const tagsOf = (count: number, from = 0): readonly string[] =>
    Array.from({ length: count }, (_, i) => String(from + i).padStart(1_024, "t"));

  it.for(["tagVersions", "no tagVersions"] as const)(
    "are 2,048 of 1,024 characters, by each way to store: %s",
    async (kind) => {
      const { cache, stored, backend } = open({ tagVersions: kind === "tagVersions" });
      const space = cache.namespace("a");
      const tags = tagsOf(2_048);
      const ways: Readonly<Record<string, (key: string) => Promise<unknown>>> = {
        set: (key) => space.set(key, 1, { tags }),
        setMany: (key) => space.setMany([[key, 1]], { tags }),
        getOrSet: (key) => space.getOrSet(key, () => 1, { tags }),
        loader: (key) =>
          space.getOrSet(key, (ctx) => (ctx.setOptions({ tags: tags.slice(9) }), 1), { tags: tags.slice(0, 99) }),
        getOrSetMany: (key) => space.getOrSetMany([key], String, () => [[key, 1]], { tags: () => tags }),
        wrap: (key) => space.wrap(() => 1, { name: key, tags, key: () => "k" })(),
      };
      for (const [way, store] of Object.entries(ways)) await store(way);
      const keys = Object.keys(ways).map((way) => (way === "wrap" ? keyOf("wrap", "k") : way));
      if (stack !== "memory") {
        expect(stored()).toHaveLength(keys.length);
        for (const key of stored()) expect(backend.store.get(key)!.meta.length).toBeLessThan(120_000);
      }
      const values = new Map(keys.map((key) => [key, 1]));
      expect(await space.getMany(keys)).toEqual(values);
      // A namespace above, and the last tag alone.
      await cache.namespace("a").markTagsStale(tags[2_047]!);
      expect([await space.getMany(keys), await space.getMany(keys, { allowStale: true })]).toEqual([new Map(), values]);
      expect(await cache.invalidateTags(tags)).toEqual({ status: "done" });
      expect(await space.getMany(keys, { allowStale: true })).toEqual(new Map());
    },
  );

  it("are refused beyond that, for each way that they come together, with what is accepted and what was given", async () => {
    const { cache, stored } = open({ inherit: true });
    const message = "an entry may have at most 2048 tags, got 2049; give it fewer";
    const [some, more] = [tagsOf(1_024), tagsOf(1_025, 1_024)];
    const all = [...some, ...more];
    const refused = async (call: Promise<unknown>): Promise<void> =>
      await expect(call).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message });
    const loader = (ctx: LoadContext): number => (ctx.setOptions({ tags: more }), 1);
    await refused(cache.set("k", 1, { tags: all }));
    await refused(cache.setMany([["k", 1]], { tags: all }));
    await refused(cache.getOrSet("k", () => 1, { tags: all }));
    await refused(cache.getOrSet("k", loader, { tags: some }));
    await refused(cache.getOrSet("k", () => 1, { tags: () => all }));
    await refused(cache.getOrSetMany(["k"], String, () => [["k", 1]], { tags: () => all }));
    expect([await cache.has("k"), stored()]).toEqual([false, []]);
    await cache.set("one", 1, { tags: some });
    await cache.set("two", 1, { tags: more });
    await refused(cache.getOrSet("k", async () => [await cache.get("one"), await cache.get("two")]));
    expect(await cache.has("k")).toBe(false);
  });

  it("grow beyond that with a value that was not modified: refused", async () => {
    const { cache, clock } = open({ staleIfError: "1h" });
    await cache.set("k", 1, { tags: tagsOf(2_048) });
    clock.advance("1h");
    const renewed = cache.getOrSet("k", (ctx) => ctx.stale!.notModified() as never, { tags: ["new"], staleIfError: 0 });
    await expect(renewed).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});
