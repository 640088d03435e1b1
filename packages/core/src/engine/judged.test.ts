import { createTestCache, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { InvalidArgumentError } from "../contracts/errors.ts";
import type { LoadContext } from "../entry/loader.ts";

const open = () => {
  const clock = new TestClock();
  return { clock, cache: createTestCache({ clock, ttl: 50 }) };
};

describe("C590: functions of the value", () => {
  it("getOrSet: ttl, tags and shouldStore see the loaded value", async () => {
    const { cache } = open();
    const options = {
      ttl: (page: { forMs: number | undefined }) => page.forMs,
      tags: (page: { id: string }) => [page.id],
      shouldStore: (page: { id: string }) => page.id !== "draft",
    };
    const page = async (id: string, forMs?: number): Promise<unknown> =>
      cache.getOrSet(id, () => ({ id, forMs }), options);
    for (const [id, forMs] of [["a", 100], ["b"], ["draft", 100]] as const)
      expect(await page(id, forMs)).toEqual({ id, forMs });
    const info = async (key: string): Promise<unknown> => cache.inspect(key);
    expect([await info("a"), await info("b"), await info("draft")]).toMatchObject([
      { freshForMs: 100, tags: ["a"] },
      { freshForMs: 50, tags: ["b"] },
      undefined,
    ]);
    await cache.invalidateTags("a");
    expect([await cache.get("a"), await cache.get("b")]).toEqual([undefined, { id: "b" }]);
  });

  it("what the loader sets counts: its ttl instead, its tags as well, its etag stays", async () => {
    const { cache } = open();
    const load = ({ setOptions }: LoadContext): string => {
      setOptions({ ttl: 70, tags: ["own"], etag: '"1"' });
      return "v";
    };
    await cache.getOrSet("k", load, { ttl: () => 100, tags: (value) => [value] });
    expect(await cache.inspect("k")).toMatchObject({ freshForMs: 70, tags: ["own", "v"], etag: '"1"' });
  });

  it("a value that is kept as it is, or not found, is not asked about", async () => {
    const { cache, clock } = open();
    const asked: unknown[] = [];
    const options = { keepFor: "1h", ttl: (value: unknown) => void asked.push(value) } as const;
    await cache.getOrSet("k", () => 1, options);
    clock.advance(60);
    await cache.getOrSet<number | undefined>("k", ({ stale }) => stale!.notModified(), options);
    await cache.getOrSet("none", () => undefined, options);
    expect(asked).toEqual([1]);
    expect(await cache.get("k")).toBe(1);
  });

  it("getOrSetMany: with each item and its value, and one that fails fails its item alone", async () => {
    const { cache } = open();
    const load = (ids: readonly number[]): [number, string][] => ids.map((id) => [id, `v${id}`]);
    const options = {
      ttl: (id: number, value: string) => (value === "v1" ? id * 100 : undefined),
      tags: (id: number) => [`t${id}`],
      shouldStore: (id: number) => id !== 3,
    };
    expect(await cache.getOrSetMany([1, 2, 3], String, load, options)).toEqual(
      new Map([
        [1, "v1"],
        [2, "v2"],
        [3, "v3"],
      ]),
    );
    const infos = await Promise.all(["1", "2", "3"].map((key) => cache.inspect(key)));
    expect(infos).toMatchObject([{ freshForMs: 100, tags: ["t1"] }, { freshForMs: 50, tags: ["t2"] }, undefined]);
    const failing = { shouldStore: (id: number) => (id === 5 ? ("no" as never) : true) };
    await expect(cache.getOrSetMany([4, 5], String, load, failing)).rejects.toThrow("shouldStore must return");
    expect([await cache.get("4"), await cache.get("5")]).toEqual(["v4", undefined]);
  });

  it("shouldStore sees undefined too, which removes nothing then; of a batch it sees values alone", async () => {
    const { cache } = open();
    await cache.set("k", 1);
    const load = async (): Promise<undefined> => undefined;
    const seen: unknown[] = [];
    const shouldStore = (value: unknown): boolean => value !== undefined;
    expect(await cache.getOrSet("k", load, { forceRefresh: true, shouldStore })).toBeUndefined();
    expect(await cache.get("k")).toBe(1);
    const ofItem = (item: string): boolean => seen.push(item) > 0;
    await cache.getOrSetMany(["none"], String, () => [], { shouldStore: ofItem, tags: ofItem as never });
    expect(seen).toEqual([]);
  });

  it.each([
    ["ttl", { ttl: () => "soon" }],
    ["tags", { tags: () => "t" }],
    ["shouldStore", { shouldStore: () => 1 }],
    ["shouldStore", { shouldStore: "yes" }],
  ])("%s that is or gives anything else is refused, and nothing is stored", async (option, options) => {
    const { cache } = open();
    for (const call of [
      cache.getOrSet("k", () => 1, options as never),
      cache.getOrSetMany(["k"], String, () => [["k", 1]], options as never),
    ])
      await expect(call).rejects.toSatisfy(
        (error) => error instanceof InvalidArgumentError && error.message.includes(option),
      );
    expect(await cache.get("k")).toBeUndefined();
  });
});
