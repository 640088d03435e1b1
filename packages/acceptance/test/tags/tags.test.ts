import v8 from "node:v8";
import vm from "node:vm";
import type { Cache, Namespace, Policy, Served } from "@hotset/core";
import { flush, gate, outcome, TestClock } from "@hotset/core/testing";
import { describe, expect, it } from "vitest";
import { failing, numbered } from "../support/sources.ts";
import { open, STACKS, STACKS_WITH_BACKEND } from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

const sourceDown = new Error("the source is down");

/** In which ways of asking for `key` there is anything to be found, fresh or stale. */
async function waysToFind(space: Namespace, key: string): Promise<readonly string[]> {
  const ways: Readonly<Record<string, () => unknown>> = {
    peek: () => space.peek(key),
    get: () => space.get(key),
    "get, stale": () => space.get(key, { allowStale: true }),
    has: async () => (await space.has(key)) || undefined,
    getMany: async () => (await space.getMany([key, "no such key"])).get(key),
    "getMany, stale": async () => (await space.getMany([key, "no such key"], { allowStale: true })).get(key),
    inspect: () => space.inspect(key),
    getOrSet: () =>
      space.getOrSet(key, failing(sourceDown)).catch((error: unknown) => (error === sourceDown ? undefined : error)),
  };
  const found: string[] = [];
  for (const [way, ask] of Object.entries(ways)) if ((await ask()) !== undefined) found.push(way);
  return found;
}

describe.each(STACKS)("over %s", (stack) => {
  describe("C68 tags", () => {
    it("invalidate what carries one of them, and nothing else", async () => {
      const { cache } = open(stack, { ttl: "1h" });
      await cache.set("a", "A", { tags: ["one", "two"] });
      await cache.set("b", "B", { tags: ["two", "three"] });
      await cache.getOrSet("c", () => "C", { tags: ["three"] });
      await cache.getOrSet(
        "d",
        ({ setOptions }) => {
          setOptions({ tags: ["two"] });
          return "D";
        },
        { tags: ["four"] },
      );
      await cache.set("e", "E");

      expect(await cache.invalidateTags("two", "no such tag")).toEqual({ status: "done", token: expect.any(String) });
      expect(await waysToFind(cache, "a")).toEqual([]);
      expect(await waysToFind(cache, "b")).toEqual([]);
      expect(await waysToFind(cache, "d")).toEqual([]);
      expect(await cache.getMany(["a", "b", "c", "d", "e"])).toEqual(
        new Map([
          ["c", "C"],
          ["e", "E"],
        ]),
      );
    });

    it("mark stale what carries one of them, and nothing else", async () => {
      const { cache } = open(stack, { ttl: "1h", staleIfError: "1h" });
      await cache.set("a", "A", { tags: ["one"] });
      await cache.set("b", "B", { tags: ["two"] });
      await cache.markTagsStale("one");
      expect(await cache.get("a")).toBeUndefined();
      expect(await cache.get("a", { allowStale: true })).toBe("A");
      expect(await cache.get("b")).toBe("B");
    });

    it("reach the namespaces below, and neither those above nor those beside", async () => {
      const { cache } = open(stack, { ttl: "1h" });
      const spaces = {
        root: cache,
        a: cache.namespace("a"),
        ab: cache.namespace("a").namespace("b"),
        c: cache.namespace("c"),
      };
      const fill = async (): Promise<void> => {
        for (const space of Object.values(spaces)) await space.set("k", "value", { tags: ["t"] });
      };
      const left = async (): Promise<string[]> => {
        const found = await Promise.all(
          Object.entries(spaces).map(async ([name, space]) => ((await space.has("k")) ? [name] : [])),
        );
        return found.flat();
      };
      await fill();
      await spaces.a.invalidateTags("t");
      expect(await left()).toEqual(["root", "c"]);
      await fill();
      await spaces.ab.invalidateTags("t");
      expect(await left()).toEqual(["root", "a", "c"]);
      await fill();
      await cache.invalidateTags("t");
      expect(await left()).toEqual([]);
      await fill();
      await spaces.a.markTagsStale("t");
      expect(await left()).toEqual(["root", "c"]);
    });

    it("may be called anything", async () => {
      const { cache } = open(stack, { ttl: "1h" });
      const tags = [":", "::", "a:b", "{a}", "%", "~", "__proto__", "\0", "\u{1f98a}", "a b", "*", "t".repeat(512)];
      for (const [i, tag] of tags.entries()) await cache.set(`k${i}`, tag, { tags: [tag] });
      for (const [i, tag] of tags.entries()) {
        await cache.invalidateTags(tag);
        expect(await cache.has(`k${i}`)).toBe(false);
        expect((await cache.getMany(tags.map((_, j) => `k${j}`))).size).toBe(tags.length - i - 1);
      }
    });

    it("stand in inspect, each once, and the caller's list stays as it was (bentocache)", async () => {
      const { cache } = open(stack, { ttl: "1h" });
      const ofCall = Object.freeze(["b", "a", "b"]);
      const ofLoad = Object.freeze(["c", "a"]);
      await cache.getOrSet(
        "k",
        ({ setOptions }) => {
          setOptions({ tags: ofLoad });
          return "value";
        },
        { tags: ofCall },
      );
      expect((await cache.inspect("k"))?.tags).toEqual(["b", "a", "c"]);
      expect([ofCall, ofLoad]).toEqual([
        ["b", "a", "b"],
        ["c", "a"],
      ]);
    });

    it("without a name are nothing to do", async () => {
      const { cache, backend } = open(stack, { ttl: "1h" });
      await cache.set("k", "value");
      backend.forgetCalls();
      expect(await cache.invalidateTags()).toEqual({ status: "done" });
      expect(await cache.markTagsStale()).toEqual({ status: "done" });
      expect(await cache.get("k")).toBe("value");
      expect(backend.count("write")).toBe(0);
    });

    it("are told as an event", async () => {
      const { cache } = open(stack, { ttl: "1h" });
      const seen = watch(cache, "invalidate");
      await cache.namespace("users").invalidateTags("a", "b");
      await cache.markTagsStale("c");
      await cache.clear();
      expect(seen.map(([, event]) => event)).toEqual([
        { cache: "test", namespace: ["users"], scope: "tags", mode: "remove", origin: "here", tags: ["a", "b"] },
        { cache: "test", namespace: [], scope: "tags", mode: "stale", origin: "here", tags: ["c"] },
        { cache: "test", namespace: [], scope: "namespace", mode: "remove", origin: "here" },
      ]);
    });
  });

  describe("C69 what a tag has invalidated", () => {
    it("is found by nobody, fresh or stale (bentocache)", async () => {
      const { cache, clock } = open(stack, { ttl: 100, staleWhileRevalidate: "1h", staleIfError: "1h" });
      await cache.set("fresh", "value", { tags: ["t"] });
      await cache.set("stale", "value", { tags: ["t"], ttl: 1 });
      clock.advance(50);
      await cache.invalidateTags("t");
      expect(await waysToFind(cache, "fresh")).toEqual([]);
      expect(await waysToFind(cache, "stale")).toEqual([]);
    });

    it("does not stand in for a load that was running", async () => {
      const { cache, clock } = open(stack, { ttl: 100, staleIfError: "1h" });
      await cache.set("k", "value", { tags: ["t"] });
      clock.advance(100);
      const loading = gate<string>();
      const waiter = cache.getOrSet("k", loading.pass, { tags: ["t"] });
      await loading.arrived();
      await cache.invalidateTags("t");
      loading.fail(sourceDown);
      await expect(waiter).rejects.toBe(sourceDown);
    });

    it("nor for one that takes too long", async () => {
      const { cache, clock } = open(stack, { ttl: 100, staleIfError: "1h", softTimeout: 10, hardTimeout: 50 });
      await cache.set("k", "value", { tags: ["t"] });
      clock.advance(100);
      const loading = gate<string>();
      const waiter = cache.getOrSet("k", loading.pass, { tags: ["t"] });
      await loading.arrived();
      await cache.invalidateTags("t");
      clock.advance(10);
      expect(await outcome(waiter)).toEqual({ status: "pending" });
      clock.advance(40);
      await expect(waiter).rejects.toMatchObject({ code: "LOAD_TIMEOUT" });
      loading.open("late");
      await cache.drain();
    });

    it("nor within the back-off of an earlier failure", async () => {
      const { cache, clock } = open(stack, { ttl: 100, staleIfError: "1h", errorBackoff: "1h" });
      await cache.set("k", "value", { tags: ["t"] });
      clock.advance(100);
      expect(await cache.getOrSet("k", failing())).toBe("value");
      await cache.invalidateTags("t");
      expect(await cache.getOrSet("k", () => "new")).toBe("new");
    });

    it("is given to no loader as ctx.stale", async () => {
      const { cache, clock } = open(stack, { ttl: 100, staleIfError: "1h" });
      await cache.set("k", "value", { tags: ["t"], etag: '"1"' });
      clock.advance(100);
      await cache.invalidateTags("t");
      let stale: unknown = "not asked";
      await cache.getOrSet("k", (ctx) => {
        stale = ctx.stale;
        return "new";
      });
      expect(stale).toBeUndefined();
    });
  });

  describe("C70 markStale", () => {
    it("begins both stale windows now", async () => {
      const { cache, clock } = open(stack, {
        ttl: 10_000,
        staleWhileRevalidate: 100,
        staleIfError: 300,
        errorBackoff: 0,
      });
      await cache.set("k", "value");
      clock.advance(1_000);
      await cache.markStale("k");
      expect(await cache.inspect("k")).toMatchObject({ state: "stale", freshForMs: 0, expiresInMs: 300 });
      clock.advance(99);
      const load = failing(sourceDown);
      let served: Served | undefined;
      const options: Policy & { onServed: (each: Served) => void } = { onServed: (each) => void (served = each) };
      expect(await cache.getOrSet("k", load, options)).toBe("value");
      expect(served).toMatchObject({ status: "stale", cause: "revalidating", freshForMs: -99 });
      await cache.drain();
      clock.advance(1);
      expect(await cache.getOrSet("k", load, options)).toBe("value");
      expect(served).toMatchObject({ status: "stale", cause: "error", freshForMs: -100 });
      clock.advance(199);
      expect(await cache.getOrSet("k", load, options)).toBe("value");
      clock.advance(1);
      await expect(cache.getOrSet("k", load, options)).rejects.toBe(sourceDown);
      expect(await cache.get("k", { allowStale: true })).toBeUndefined();
    });

    it.for<readonly [string, Policy]>([
      ["a finite ttl", { ttl: "1d" }],
      ["an infinite one", { ttl: Infinity }],
    ])("of %s", async ([, policy]) => {
      const { cache, clock } = open(stack, { ...policy, staleIfError: 300, errorBackoff: 0 });
      await cache.set("k", "value");
      clock.advance("1h");
      expect(await cache.markStale("k")).toEqual({ status: "stale" });
      expect(await cache.get("k")).toBeUndefined();
      clock.advance(299);
      expect(await cache.getOrSet("k", failing())).toBe("value");
      clock.advance(1);
      await expect(cache.getOrSet("k", failing(sourceDown))).rejects.toBe(sourceDown);
      expect(await cache.get("k", { allowStale: true })).toBeUndefined();
    });

    it("does not prolong the life of what is stale already", async () => {
      const { cache, clock } = open(stack, { ttl: 100, staleIfError: 300, errorBackoff: 0 });
      await cache.set("k", "value");
      clock.advance(250);
      expect(await cache.markStale("k")).toEqual({ status: "stale" });
      clock.advance(149);
      expect(await cache.getOrSet("k", failing())).toBe("value");
      clock.advance(1);
      await expect(cache.getOrSet("k", failing(sourceDown))).rejects.toBe(sourceDown);
    });

    it("a second time changes nothing", async () => {
      const { cache, clock } = open(stack, { ttl: "1d", staleIfError: 300 });
      await cache.set("k", "value");
      await cache.markStale("k");
      clock.advance(200);
      await cache.markStale("k");
      expect(await cache.inspect("k")).toMatchObject({ state: "stale", freshForMs: -200, expiresInMs: 100 });
    });
  });

  describe("C70 markTagsStale", () => {
    it("makes entries stale at once, and their windows end with the old lifetime", async () => {
      const { cache, clock } = open(stack, {
        ttl: 1_000,
        staleWhileRevalidate: 100,
        staleIfError: 300,
        errorBackoff: 0,
      });
      await cache.set("k", "value", { tags: ["t"] });
      clock.advance(400);
      expect(await cache.markTagsStale("t")).toMatchObject({ status: "done" });
      expect(cache.peek("k")).toBeUndefined();
      expect(await cache.get("k")).toBeUndefined();
      expect(await cache.inspect("k")).toMatchObject({ state: "stale", expiresInMs: 900 });
      const load = failing(sourceDown);
      clock.advance(899);
      expect(await cache.getOrSet("k", load)).toBe("value");
      clock.advance(1);
      await expect(cache.getOrSet("k", load)).rejects.toBe(sourceDown);
    });

    it("lets one load refresh them behind a stale answer", async () => {
      const { cache } = open(stack, { ttl: "1h", staleWhileRevalidate: 100 });
      await cache.set("k", "old", { tags: ["t"] });
      await cache.markTagsStale("t");
      const load = numbered();
      expect(await cache.getOrSet("k", load, { tags: ["t"] })).toBe("old");
      await cache.drain();
      expect(await cache.getOrSet("k", load, { tags: ["t"] })).toBe("value-1");
      expect(load.runs).toBe(1);
    });

    it("removes those without a window", async () => {
      const { cache } = open(stack, { ttl: "1h" });
      await cache.set("k", "value", { tags: ["t"] });
      await cache.markTagsStale("t");
      await expect(cache.getOrSet("k", failing(sourceDown))).rejects.toBe(sourceDown);
      expect(await cache.getOrSet("k", () => "new")).toBe("new");
    });

    it("and a hard call after it removes them", async () => {
      const { cache } = open(stack, { ttl: "1h", staleWhileRevalidate: "1h", staleIfError: "1h" });
      await cache.set("k", "value", { tags: ["t"] });
      await cache.markTagsStale("t");
      await cache.invalidateTags("t");
      expect(await waysToFind(cache, "k")).toEqual([]);
    });

    it("and a soft call after a hard one brings nothing back", async () => {
      const { cache } = open(stack, { ttl: "1h", staleWhileRevalidate: "1h", staleIfError: "1h" });
      await cache.set("k", "value", { tags: ["t"] });
      await cache.invalidateTags("t");
      await cache.markTagsStale("t");
      expect(await waysToFind(cache, "k")).toEqual([]);
    });
  });

  describe("C72 within one millisecond", () => {
    it("two invalidations and a set between and after them", async () => {
      const { cache } = open(stack, { ttl: "1h" });
      await cache.set("k", "first", { tags: ["t"] });
      await cache.invalidateTags("t");
      expect(await cache.get("k")).toBeUndefined();
      await cache.set("k", "second", { tags: ["t"] });
      expect(await cache.get("k")).toBe("second");
      await cache.invalidateTags("t");
      expect(await cache.get("k")).toBeUndefined();
      await cache.set("k", "third", { tags: ["t"] });
      expect(await cache.get("k")).toBe("third");
      expect(await cache.getOrSet("k", failing())).toBe("third");
    });

    it("two invalidations at once", async () => {
      const { cache } = open(stack, { ttl: "1h" });
      await cache.set("k", "old", { tags: ["t"] });
      await Promise.all([
        cache.invalidateTags("t"),
        cache.invalidateTags("t"),
        cache.markTagsStale("t"),
        cache.clear(),
      ]);
      expect(await cache.get("k")).toBeUndefined();
      await cache.getOrSet("k", () => "new", { tags: ["t"] });
      expect(await cache.get("k")).toBe("new");
    });

    it("a set that is called before the invalidation is answered is not older than it", async () => {
      const { cache } = open(stack, { ttl: "1h" });
      await cache.set("k", "old", { tags: ["t"] });
      const invalidating = cache.invalidateTags("t");
      const setting = cache.set("k", "new", { tags: ["t"] });
      await Promise.all([invalidating, setting]);
      expect(await cache.get("k")).not.toBe("old");
      await cache.set("k", "newest", { tags: ["t"] });
      expect(await cache.get("k")).toBe("newest");
    });

    it("a load right after it", async () => {
      const { cache } = open(stack, { ttl: "1h" });
      await cache.set("k", "old", { tags: ["t"] });
      await cache.invalidateTags("t");
      const load = numbered();
      for (let i = 0; i < 3; i += 1) expect(await cache.getOrSet("k", load, { tags: ["t"] })).toBe("value-1");
    });
  });

  describe("C75 a value loaded under other tags", () => {
    it.for(["set", "a forced load", "a refresh", "ctx.setOptions"] as const)(
      "is no longer reached through its former ones: %s",
      async (how) => {
        const { cache, clock } = open(stack, { ttl: 100, staleWhileRevalidate: "1h" });
        await cache.set("k", "old", { tags: ["former", "both"] });
        switch (how) {
          case "set":
            await cache.set("k", "new", { tags: ["both", "latter"] });
            break;
          case "a forced load":
            await cache.getOrSet("k", () => "new", { tags: ["both", "latter"], forceRefresh: true });
            break;
          case "a refresh":
            clock.advance(100);
            expect(await cache.getOrSet("k", () => "new", { tags: ["both", "latter"] })).toBe("old");
            await cache.drain();
            break;
          case "ctx.setOptions":
            clock.advance(100);
            await cache.getOrSet(
              "k",
              ({ setOptions }) => {
                setOptions({ tags: ["latter"] });
                return "new";
              },
              { tags: ["both"] },
            );
            await cache.drain();
        }
        expect((await cache.inspect("k"))?.tags).toEqual(["both", "latter"]);
        await cache.invalidateTags("former");
        expect(await cache.get("k")).toBe("new");
        await cache.invalidateTags("latter");
        expect(await waysToFind(cache, "k")).toEqual([]);
      },
    );

    it("keeps its tags through notModified, and can be invalidated by them", async () => {
      const { cache, clock } = open(stack, { ttl: 100, staleIfError: "1h" });
      await cache.set("k", "value", { tags: ["t"] });
      clock.advance(100);
      expect(await cache.getOrSet("k", (ctx) => ctx.stale!.notModified(), { tags: ["added"] })).toBe("value");
      expect((await cache.inspect("k"))?.tags).toEqual(["added", "t"]);
      await cache.invalidateTags("t");
      expect(await waysToFind(cache, "k")).toEqual([]);
    });
  });

  describe("C78 clear", () => {
    it("empties a namespace and those below it, and leaves its siblings", async () => {
      const { cache } = open(stack, { ttl: "1h" });
      const paths = [[], ["a"], ["ab"], ["a", "b"], ["a", "b", "c"], ["b"], ["a:b"], ["a%3Ab"]];
      const spaceAt = (path: readonly string[]): Namespace =>
        path.reduce<Namespace>((space, name) => space.namespace(name), cache);
      const fill = async (): Promise<void> => {
        for (const path of paths) await spaceAt(path).set("k", path.join("/"));
      };
      const left = async (): Promise<string[]> => {
        const found = await Promise.all(paths.map((path) => spaceAt(path).get<string>("k")));
        return found.filter((each) => each !== undefined);
      };
      await fill();
      expect(await spaceAt(["a"]).clear()).toMatchObject({ status: "done" });
      expect(await left()).toEqual(["", "ab", "b", "a:b", "a%3Ab"]);
      await fill();
      await spaceAt(["a", "b"]).clear();
      expect(await left()).toEqual(["", "a", "ab", "b", "a:b", "a%3Ab"]);
      await fill();
      await cache.clear();
      expect(await left()).toEqual([]);
      await fill();
      expect(await left()).toEqual(paths.map((path) => path.join("/")));
    });

    it("leaves caches of another name, one that begins alike and one of none among them", async () => {
      const clock = new TestClock();
      const first = open(stack, { clock, name: "shop", ttl: "1h" });
      const { backend } = first;
      const caches: Record<string, Cache> = {
        shop: first.cache,
        shops: open(stack, { clock, backend, name: "shops", ttl: "1h" }).cache,
        "shop@2": open(stack, { clock, backend, name: "shop", version: 2, ttl: "1h" }).cache,
        none: open(stack, { clock, backend, name: "", ttl: "1h" }).cache,
      };
      const fill = () => Promise.all(Object.entries(caches).map(([name, cache]) => cache.set("k", name)));
      const left = async (): Promise<string[]> =>
        (await Promise.all(Object.values(caches).map((cache) => cache.get<string>("k")))).filter(
          (each) => each !== undefined,
        );
      for (const [name, cache] of Object.entries(caches)) {
        await fill();
        await cache.clear();
        expect(await left()).toEqual(Object.keys(caches).filter((each) => each !== name));
      }
    });

    it("of a cache without a name clears (bentocache)", async () => {
      const { cache } = open(stack, { name: "", ttl: "1h", staleIfError: "1h" });
      await cache.set("k", "value");
      await cache.namespace("a").set("k", "value");
      await cache.clear();
      expect(await waysToFind(cache, "k")).toEqual([]);
      expect(await waysToFind(cache.namespace("a"), "k")).toEqual([]);
    });

    it("gives the memory back", async () => {
      const { cache } = open(stack, { ttl: "1h" });
      for (let i = 0; i < 100; i += 1) await cache.set(`k${i}`, i);
      await cache.clear();
      const { entries } = cache.stats().tiers[0]!;
      expect(entries).toBe(stack === "backend" ? undefined : 0);
    });

    it("leaves values that are fresh elsewhere where they are", async () => {
      const { cache } = open(stack, { ttl: "1h" });
      const load = numbered();
      await cache.namespace("b").getOrSet("k", load);
      await cache.namespace("a").clear();
      expect(await cache.namespace("b").getOrSet("k", load)).toBe("value-1");
    });
  });
});

it("C78 clear reaches a namespace that is only local", async () => {
  const { cache } = open("memory over backend", { ttl: "1h" });
  const functions = cache.namespace("functions", { localOnly: true });
  const greet = (): string => "hello";
  await functions.set("greet", greet);
  expect(functions.peek("greet")).toBe(greet);
  await cache.clear();
  expect(await waysToFind(functions, "greet")).toEqual([]);
});

describe("C80 what is remembered about tags is bounded", () => {
  it.for(STACKS)("in the process, and forgetting costs misses only: %s", { timeout: 60_000 }, async (stack) => {
    v8.setFlagsFromString("--expose-gc");
    const collectGarbage = vm.runInNewContext("gc") as () => void;
    const { cache, backend } = open(stack, { ttl: "1h" });
    await cache.set("before", "value", { tags: ["t0"] });
    const invalidate = async (from: number, to: number): Promise<void> => {
      for (let i = from; i < to; i += 100) {
        await cache.invalidateTags(...Array.from({ length: 100 }, (_, n) => `tag ${i + n} of many`));
        backend.forgetCalls();
      }
    };
    await invalidate(0, 20_000);
    backend.store.clear();
    collectGarbage();
    const heapBefore = process.memoryUsage().heapUsed;
    await invalidate(20_000, 120_000);
    backend.store.clear();
    collectGarbage();
    // A Map of 100,000 such strings takes 12 MB and more.
    expect(process.memoryUsage().heapUsed - heapBefore).toBeLessThan(4_000_000);

    await cache.set("k", "value", { tags: ["t1"] });
    expect(await cache.get("k")).toBe("value");
    await cache.invalidateTags("t1");
    await invalidate(0, 20_000);
    expect(await cache.get("k")).toBeUndefined();
    expect(await cache.get("before")).toBeUndefined();
  });

  it("in the backend, where a tag version that nobody uses ends by itself", async () => {
    const { cache, clock, backend } = open("backend", { ttl: "1h" });
    for (let i = 0; i < 100; i += 1) {
      await cache.set(`k${i}`, i, { tags: [`tag ${i}`] });
      await cache.invalidateTags(`tag ${i}`, `tag without an entry ${i}`);
    }
    const versions = backend.store.keys().filter((key) => key.startsWith("{~"));
    expect(versions.length).toBeGreaterThan(100);
    for (const key of versions) expect(backend.store.get(key)!.expiresInMs).toBeLessThanOrEqual(30 * 86_400_000);
    clock.advance("30d");
    expect(backend.store.keys()).toEqual([]);
  });

  it("and does not grow with entries or with calls", async () => {
    const { cache, backend } = open("backend", { ttl: "1h" });
    for (let i = 0; i < 100; i += 1) await cache.set(`k${i}`, i, { tags: ["t"] });
    const count = backend.store.keys().length;
    for (let i = 0; i < 100; i += 1) await cache.invalidateTags("t");
    expect(backend.store.keys().length).toBe(count);
  });
});

describe.each(STACKS_WITH_BACKEND)("two processes over one backend, here over %s", (stack) => {
  const both = (policy: Policy) => {
    const here = open(stack, policy);
    // What a process without a hearing for changes may keep is bounded by localTtl.
    const there = open("backend", { ...policy, clock: here.clock, backend: here.backend });
    return { here: here.cache, there: there.cache, clock: here.clock, backend: here.backend };
  };

  describe("C67 a tag call hides entries at once", () => {
    it("that the other process has stored", async () => {
      const { here, there } = both({ ttl: "1h", staleIfError: "1h" });
      await there.set("k", "value", { tags: ["t"] });
      await here.invalidateTags("t");
      expect(await waysToFind(here, "k")).toEqual([]);
      expect(await waysToFind(there, "k")).toEqual([]);
    });

    it("at a cost that does not depend on how many there are", async () => {
      const { here, there, backend } = both({ ttl: "1h" });
      const costs: number[] = [];
      for (const entries of [1, 100, 1_000]) {
        for (let i = 0; i < entries; i += 1) await there.set(`k${i}`, i, { tags: ["t"] });
        backend.forgetCalls();
        await here.invalidateTags("t");
        costs.push(backend.calls.length);
        expect((await there.getMany(Array.from({ length: entries }, (_, i) => `k${i}`))).size).toBe(0);
      }
      expect(new Set(costs).size).toBe(1);
      expect(costs[0]).toBeLessThan(5);
    });
  });

  it("C71 clocks that differ by an hour behave the same", async () => {
    for (const offset of ["1h", "0ms"] as const) {
      const backendClock = new TestClock();
      const clocks = [new TestClock(), new TestClock()] as const;
      clocks[0].advance(offset);
      const { backend } = open("backend", { clock: backendClock });
      const [here, there] = clocks.map(
        (clock) => open("backend", { clock, backend, ttl: 1_000, staleIfError: 1_000 }).cache,
      ) as [Cache, Cache];
      const elapse = (ms: number): void => [backendClock, ...clocks].forEach((clock) => clock.advance(ms));

      for (const [writer, reader] of [
        [here, there],
        [there, here],
      ] as const) {
        await writer.set("k", "value", { tags: ["t"] });
        elapse(999);
        expect(await reader.get("k")).toBe("value");
        elapse(1);
        expect(await reader.get("k")).toBeUndefined();
        expect(await reader.getOrSet("k", failing())).toBe("value");

        await writer.set("k", "value", { tags: ["t"] });
        await reader.invalidateTags("t");
        expect(await writer.get("k")).toBeUndefined();
        const load = numbered();
        for (let i = 0; i < 3; i += 1) expect(await writer.getOrSet("k", load, { tags: ["t"] })).toBe("value-1");
      }
    }
  });

  describe("C73 a tag version that is lost", () => {
    it.for<readonly [string, (key: string) => boolean]>([
      ["the tag's", (key) => key === "{~test}::t"],
      ["its soft half", (key) => key === "{~~test}::t"],
      ["the namespace's", (key) => key === "{~test}::"],
      ["all, and their issuer", (key) => key.startsWith("{~")],
    ])("causes a miss: %s", async ([, isLost]) => {
      const { there, backend } = both({ ttl: "1h" });
      await there.set("k", "value", { tags: ["t"] });
      for (const key of backend.store.keys()) if (isLost(key)) backend.store.delete(key);
      expect(await waysToFind(there, "k")).toEqual([]);
      const load = numbered();
      for (let i = 0; i < 3; i += 1) expect(await there.getOrSet("k", load, { tags: ["t"] })).toBe("value-1");
    });

    it("brings nothing back that was invalidated before", async () => {
      const { here, there, backend } = both({ ttl: "1h", staleIfError: "1h" });
      await there.set("k", "value", { tags: ["t"] });
      await here.invalidateTags("t");
      const lose = (): void => {
        for (const key of backend.store.keys()) if (key.startsWith("{~")) backend.store.delete(key);
      };
      lose();
      await there.set("other", "value", { tags: ["t"] });
      expect(await waysToFind(there, "k")).toEqual([]);
      lose();
      await here.invalidateTags("t");
      await here.getOrSet("another", () => "value", { tags: ["t"] });
      expect(await waysToFind(here, "k")).toEqual([]);
    });

    it("while a load runs leaves that load's entry hidden, and nothing wrong", async () => {
      const { there, here, backend } = both({ ttl: "1h" });
      await there.set("other", "value", { tags: ["t"] });
      const loading = gate<string>();
      const waiter = there.getOrSet("k", loading.pass, { tags: ["t"] });
      await loading.arrived();
      for (const key of backend.store.keys()) if (key.startsWith("{~")) backend.store.delete(key);
      await here.invalidateTags("t");
      loading.open("old");
      expect(await waiter).toBe("old");
      expect(await waysToFind(there, "k")).toEqual([]);
    });

    it("and a tag that a loader adds late is refused", async () => {
      const { there, here, backend } = both({ ttl: "1h" });
      const loading = gate<string>();
      const waiter = there.getOrSet("k", async ({ setOptions }) => {
        const value = await loading.pass();
        setOptions({ tags: ["late"] });
        return value;
      });
      await loading.arrived();
      await here.invalidateTags("late");
      backend.store.delete("{~test}::late");
      backend.store.delete("{~~test}::late");
      loading.open("old");
      expect(await waiter).toBe("old");
      expect(await waysToFind(there, "k")).toEqual([]);
    });
  });

  it("C74 entries that outlive their tag versions are missed, never wrongly found", async () => {
    const { here, there, clock } = both({ ttl: "90d", staleIfError: "90d" });
    await there.set("k", "value", { tags: ["t"] });
    clock.advance("29d");
    expect(await there.get("k")).toBe("value");
    await here.invalidateTags("t");
    clock.advance("2d");
    expect(await waysToFind(there, "k")).toEqual([]);
    clock.advance("29d");
    expect(await waysToFind(there, "k")).toEqual([]);
    await there.set("k", "new", { tags: ["t"] });
    expect(await there.get("k")).toBe("new");
  });

  it("C76 reading and pinning a tag version again costs nobody a miss", async () => {
    const { here, there } = both({ ttl: "1h" });
    const load = numbered();
    await there.getOrSet("k", load, { tags: ["t"] });
    for (let i = 0; i < 5; i += 1) {
      await here.getOrSet(`here ${i}`, () => i, { tags: ["t"] });
      await here.set(`set ${i}`, i, { tags: ["t", `new ${i}`] });
      expect(await there.getOrSet("k", load, { tags: ["t"] })).toBe("value-1");
      expect(await here.get("k")).toBe("value-1");
    }
    expect(load.runs).toBe(1);
  });

  describe("C77 an invalidation that races with the first read of its tag is honoured", () => {
    it.for<readonly [string, string]>([
      ["before the tag is renewed", "{~test}::late"],
      ["before its soft half is", "{~~test}::late"],
    ])("by a load that reads it %s", async ([, key]) => {
      const { here, there, backend } = both({ ttl: "1h", staleIfError: "1h" });
      const loading = gate<string>();
      const waiter = there.getOrSet("k", async ({ setOptions }) => {
        const value = await loading.pass();
        setOptions({ tags: ["late"] });
        return value;
      });
      await loading.arrived();
      const renewing = gate();
      backend.script("write", { key, before: renewing });
      const invalidating = here.invalidateTags("late");
      await renewing.arrived();
      loading.open("old");
      expect(await waiter).toBe("old");
      renewing.open();
      await invalidating;
      expect(await waysToFind(there, "k")).toEqual([]);
    });

    it("by a load that reads it while it is renewed", async () => {
      const { here, there, backend } = both({ ttl: "1h", staleIfError: "1h" });
      const reading = gate();
      const waiter = there.getOrSet("k", ({ setOptions }) => {
        setOptions({ tags: ["late"] });
        backend.script("read", { key: "{~test}::late", before: reading });
        return "old";
      });
      await reading.arrived();
      await here.invalidateTags("late");
      reading.open();
      expect(await waiter).toBe("old");
      expect(await waysToFind(there, "k")).toEqual([]);
    });

    it("by a load that has read it, and has not yet stored", async () => {
      const { here, there, backend } = both({ ttl: "1h", staleIfError: "1h" });
      const storing = gate();
      backend.script("write", { key: "test::k", before: storing });
      const waiter = there.getOrSet("k", ({ setOptions }) => {
        setOptions({ tags: ["late"] });
        return "old";
      });
      await storing.arrived();
      await here.invalidateTags("late");
      storing.open();
      expect(await waiter).toBe("old");
      expect(await waysToFind(there, "k")).toEqual([]);
    });

    it("a load that read the source before the call stores nothing valid", async () => {
      const { here, there } = both({ ttl: "1h" });
      const loading = gate<string>();
      const waiter = there.getOrSet("k", loading.pass, { tags: ["t"] });
      await loading.arrived();
      await here.invalidateTags("t");
      loading.open("old");
      expect(await waiter).toBe("old");
      expect(await waysToFind(there, "k")).toEqual([]);
    });
  });

  describe("C79 clear", () => {
    it("takes constant time, and neither lists keys nor removes them one by one", async () => {
      const { here, there, backend } = both({ ttl: "1h" });
      const costs: number[] = [];
      for (const entries of [1, 100, 1_000]) {
        for (let i = 0; i < entries; i += 1) await there.set(`k${i}`, i);
        backend.forgetCalls();
        await here.clear();
        costs.push(backend.calls.length);
        expect(backend.calls.map(({ operation }) => operation)).not.toContain("remove");
      }
      expect(new Set(costs).size).toBe(1);
    });

    it("is seen by the other process, whose load in flight stores nothing", async () => {
      const { here, there } = both({ ttl: "1h" });
      await there.set("k", "value");
      const loading = gate<string>();
      const waiter = there.getOrSet("loaded", loading.pass);
      await loading.arrived();
      await here.clear();
      loading.open("old");
      expect(await waiter).toBe("old");
      await flush();
      expect(await waysToFind(there, "k")).toEqual([]);
      expect(await waysToFind(there, "loaded")).toEqual([]);
      expect(await waysToFind(here, "loaded")).toEqual([]);
    });
  });
});
