/** The budget of new keys: what a flood of keys that are asked for once leaves in the tiers. */
import { ConfigurationError, InvalidArgumentError } from "@hotset/core";
import { createTestCache, flush, gate } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { inStep } from "../support/processes.ts";
import { counted, never, open, STACKS, STACKS_WITH_BACKEND } from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

const ONE = { perSecond: 0, burst: 1 } as const;
const NONE = { perSecond: 0, burst: 0 } as const;

describe.each(STACKS)("C747 over %s", (stack) => {
  it("a new key beyond the budget is answered and kept nowhere; its second miss is stored", async () => {
    const { cache, stored } = open(stack, { newKeys: ONE });
    const seen = watch(cache, "load:unadmitted");
    const { load } = counted("first", "second", "third");
    expect(await cache.getOrSet("within", () => 1)).toBe(1);
    expect(await cache.getOrSet("k", load)).toBe("first");
    expect([await cache.get("k"), await cache.inspect("k")]).toEqual([undefined, undefined]);
    expect(await cache.getOrSet("k", load)).toBe("second");
    expect(await cache.getOrSet("k", never)).toBe("second");
    expect(await cache.getOrSet("within", never)).toBe(1);
    expect(stored()).toEqual(stack === "memory" ? [] : ["test::within", "test::k"]);
    expect(seen).toEqual([["load:unadmitted", { cache: "test", namespace: [], key: "k" }]]);
    expect(cache.stats()).toMatchObject({ misses: 4, loads: 3, unadmitted: 1 });
  });

  it("a thousand random keys leave what the budget says, and what was there stays", async () => {
    const { cache, clock } = open(stack, {
      newKeys: { perSecond: 5, burst: 20 },
      ttl: "1h",
      memory: { maxEntries: 100 },
    });
    for (let i = 0; i < 20; i += 1) await cache.getOrSet(`hot:${i}`, () => i);
    let kept = 0;
    for (let i = 0; i < 1_000; i += 1) {
      clock.advance(10);
      await cache.getOrSet(`random:${i}`, () => i);
      if ((await cache.inspect(`random:${i}`)) !== undefined) kept += 1;
    }
    expect(kept).toBe(50);
    for (let i = 0; i < 20; i += 1) expect(await cache.getOrSet(`hot:${i}`, never)).toBe(i);
  });

  it("callers of one first miss share its load", async () => {
    const { cache } = open(stack, { newKeys: NONE });
    const loading = gate<string>();
    const answers = [1, 2, 3].map(() => cache.getOrSet("k", () => loading.pass()));
    await flush();
    loading.open("once");
    expect(await Promise.all(answers)).toEqual(["once", "once", "once"]);
    expect(cache.stats()).toMatchObject({ loads: 1, coalesced: 2, unadmitted: 1 });
  });

  it("an absent row is remembered from its second miss on, and a failed load changes nothing", async () => {
    const { cache } = open(stack, { newKeys: NONE, negativeTtl: "1m" });
    const { load } = counted(null, null);
    expect([await cache.getOrSet("gone", load), await cache.getOrSet("gone", load)]).toEqual([null, null]);
    expect(await cache.getOrSet("gone", never)).toBe(null);
    const fails = (): never => {
      throw new Error("source down");
    };
    await expect(cache.getOrSet("fails", fails)).rejects.toThrow("source down");
    expect(await cache.getOrSet("fails", () => 1)).toBe(1);
    expect(await cache.getOrSet("fails", never)).toBe(1);
  });

  it("`set`, a forced load and a stale value need no budget, nor does a refresh in the background", async () => {
    const { cache, clock } = open(stack, { newKeys: NONE, ttl: "1m", staleWhileRevalidate: "1h" });
    await cache.set("set", 1);
    expect(await cache.getOrSet("set", never)).toBe(1);
    expect(await cache.getOrSet("forced", () => 2, { forceRefresh: true })).toBe(2);
    expect(await cache.getOrSet("forced", never)).toBe(2);
    clock.advance("10m");
    expect(await cache.getOrSet("set", () => 3)).toBe(1);
    await flush();
    expect(await cache.getOrSet("set", never)).toBe(3);
    expect(cache.stats().unadmitted).toBe(0);
  });

  it("tags of a value that is not kept end nothing, and a tagged one is invalidated as any", async () => {
    const { cache } = open(stack, { newKeys: NONE });
    const { load } = counted(1, 2, 3, 4);
    for (const expected of [1, 2]) expect(await cache.getOrSet("k", load, { tags: ["t"] })).toBe(expected);
    expect(await cache.getOrSet("k", never)).toBe(2);
    await cache.invalidateTags("t");
    expect(await cache.getOrSet("k", load, { tags: ["t"] })).toBe(3);
    expect(await cache.getOrSet("k", never)).toBe(3);
  });

  it("each item of a batch counts for itself", async () => {
    const { cache } = open(stack, { newKeys: { perSecond: 0, burst: 2 } });
    const load = (items: readonly string[]): Map<string, string> => new Map(items.map((item) => [item, item]));
    const items = ["a", "b", "c", "d"];
    expect([...(await cache.getOrSetMany(items, (item) => item, load)).values()]).toEqual(items);
    expect([...(await cache.getMany(items)).keys()]).toEqual(["a", "b"]);
    await cache.getOrSetMany(items, (item) => item, load);
    expect([...(await cache.getMany(items)).keys()]).toEqual(items);
  });

  it("namespaces inherit the option, and each has its own budget", async () => {
    const { cache } = open(stack, { newKeys: ONE });
    const [users, pages] = [cache.namespace("users"), cache.namespace("pages")];
    for (const space of [users, cache.namespace("users"), pages]) {
      await space.getOrSet("a", () => 1);
      await space.getOrSet("b", () => 1);
    }
    const open2 = cache.namespace("open", { newKeys: { perSecond: 0, burst: 9 } });
    for (const key of ["a", "b", "c"]) await open2.getOrSet(key, () => 1);
    // A view that is made again has the budget of the first.
    expect([users, pages, open2].map((space) => space.stats().unadmitted)).toEqual([1, 1, 0]);
  });

  it("a call that hangs ends with close", async () => {
    const { cache } = open(stack, { newKeys: NONE });
    const hanging = cache.getOrSet("k", () => new Promise<never>(() => undefined));
    await flush();
    await cache.close({ timeout: 0 });
    await expect(hanging).rejects.toMatchObject({ code: "CACHE_CLOSED" });
  });
});

describe.each(STACKS_WITH_BACKEND)("C747 over %s", (stack) => {
  it("a key that the backend has is known, even if a read of it comes first in this process", async () => {
    const first = open(stack);
    await first.cache.set("k", "there");
    const { cache } = open(stack, { clock: first.clock, backend: first.backend, newKeys: NONE });
    expect(await cache.getOrSet("k", never)).toBe("there");
    expect(cache.stats().unadmitted).toBe(0);
  });
});

describe("C747 between processes", () => {
  it("a first miss costs one read and no lease, even where misses are expected", async () => {
    const { p1 } = await inStep({ newKeys: NONE });
    await p1.cache.getOrSet("before", () => 0);
    const { length } = p1.backend.calls;
    for (let i = 0; i < 40; i += 1) await p1.cache.getOrSet(`random:${i}`, () => i);
    const asked = p1.backend.calls.slice(length).map(({ operation }) => operation);
    // Versions of the namespace, once.
    expect(asked.filter((operation) => operation !== "tags.read")).toEqual(Array(40).fill("read"));
  });

  it("an entry that was invalidated is no new key", async () => {
    const { p1, p2 } = await inStep({ newKeys: NONE });
    await p1.cache.set("k", 1, { tags: ["t"] });
    await p1.cache.invalidateTags("t");
    expect(await p2.cache.getOrSet("k", () => 2)).toBe(2);
    expect(await p1.cache.getOrSet("k", never)).toBe(2);
  });

  it("a `current` first miss gives its lease back before it loads", async () => {
    const { p1, p2 } = await inStep({ newKeys: NONE });
    const loading = gate<number>();
    const slow = p1.cache.getOrSet("k", () => loading.pass(), { current: true });
    await loading.arrived();
    expect(await p2.cache.getOrSet("k", () => 1, { forceRefresh: false })).toBe(1);
    expect(await p2.cache.getOrSet("k", () => 2)).toBe(2);
    loading.open(0);
    expect(await slow).toBe(0);
    expect(await p1.cache.getOrSet("k", never)).toBe(2);
  });

  it("a first miss in each waits for no other; the second in one is stored for both", async () => {
    const { p1, p2 } = await inStep({ newKeys: NONE });
    const { load } = counted(1, 2, 3);
    const loading = gate<number>();
    const slow = p1.cache.getOrSet("k", () => loading.pass());
    await flush();
    expect(await p2.cache.getOrSet("k", load)).toBe(1);
    loading.open(0);
    expect(await slow).toBe(0);
    expect(await p1.cache.getOrSet("k", load)).toBe(2);
    expect(await p2.cache.getOrSet("k", never)).toBe(2);
  });

  it("a `current` call finds what another process stored, and keeps nothing of a new key", async () => {
    const { p1, p2, store } = await inStep({ newKeys: NONE });
    await p1.cache.set("k", "there");
    expect(await p2.cache.getOrSet("k", never, { current: true })).toBe("there");
    expect(await p2.cache.getOrSet("new", () => 1, { current: true })).toBe(1);
    await flush();
    expect(store.keys().filter((key) => key.includes("new"))).toEqual([]);
    expect(await p2.cache.getOrSet("new", () => 2, { current: true })).toBe(2);
    expect(await p1.cache.getOrSet("new", never)).toBe(2);
  });
});

describe("newKeys", () => {
  it("is checked where it is given", () => {
    expect(() => createTestCache({ newKeys: { perSecond: -1 } })).toThrow(
      new ConfigurationError("createCache: newKeys.perSecond must be a number of at least 0, got -1"),
    );
    const cache = createTestCache();
    const wrong = { perSeconds: 1 } as unknown as { readonly perSecond: number };
    expect(() => cache.namespace("n", { newKeys: wrong })).toThrow(InvalidArgumentError);
  });

  it("shows keys in its event as `redactKeys` says, at most ten a second", async () => {
    const { cache } = open("memory", { newKeys: NONE, redactKeys: true });
    const seen = watch(cache, "load:unadmitted");
    for (let i = 0; i < 50; i += 1) await cache.getOrSet(`random:${i}`, () => i);
    expect(seen).toEqual(
      Array.from({ length: 10 }, () => ["load:unadmitted", { cache: "test", namespace: [], key: "[redacted]" }]),
    );
    expect(cache.stats().unadmitted).toBe(50);
  });
});
