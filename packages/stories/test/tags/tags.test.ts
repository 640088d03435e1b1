import type { Namespace, Policy, Served } from "@hotset/core";
import { gate, outcome } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { failing } from "../support/sources.ts";
import { open, STACKS, STACKS_WITH_BACKEND } from "../support/stacks.ts";

const sourceDown = new Error("the source is down");

/** The methods that find a value under `key`, fresh or stale. */
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
    it("invalidateTags removes exactly the entries that carry one of them", async () => {
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

      expect(await cache.invalidateTags("two", "no such tag")).toEqual({ status: "done" });
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

    it("markTagsStale marks exactly the entries that carry one of them", async () => {
      const { cache } = open(stack, { ttl: "1h", staleIfError: "1h" });
      await cache.set("a", "A", { tags: ["one"] });
      await cache.set("b", "B", { tags: ["two"] });
      await cache.markTagsStale("one");
      expect(await cache.get("a")).toBeUndefined();
      expect(await cache.get("a", { allowStale: true })).toBe("A");
      expect(await cache.get("b")).toBe("B");
    });

    it("apply to nested namespaces, and not to parents or siblings", async () => {
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
  });

  describe("C69 an entry invalidated by tag", () => {
    it("is found by no method, fresh or stale (bentocache)", async () => {
      const { cache, clock } = open(stack, { ttl: 100, staleWhileRevalidate: "1h", staleIfError: "1h" });
      await cache.set("fresh", "value", { tags: ["t"] });
      await cache.set("stale", "value", { tags: ["t"], ttl: 1 });
      clock.advance(50);
      await cache.invalidateTags("t");
      expect(await waysToFind(cache, "fresh")).toEqual([]);
      expect(await waysToFind(cache, "stale")).toEqual([]);
    });

    it("is not the fallback for a load that was running", async () => {
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

    it("is not the fallback for a load that times out", async () => {
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
  });

  describe("C70 markStale", () => {
    it("starts both stale windows at the time of the call", async () => {
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
      ["an infinite ttl", { ttl: Infinity }],
    ])("ends the fallback of an entry with %s after staleIfError", async ([, policy]) => {
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

    it("does not prolong the lifetime of a stale entry", async () => {
      const { cache, clock } = open(stack, { ttl: 100, staleIfError: 300, errorBackoff: 0 });
      await cache.set("k", "value");
      clock.advance(250);
      expect(await cache.markStale("k")).toEqual({ status: "stale" });
      clock.advance(149);
      expect(await cache.getOrSet("k", failing())).toBe("value");
      clock.advance(1);
      await expect(cache.getOrSet("k", failing(sourceDown))).rejects.toBe(sourceDown);
    });
  });

  describe("C70 markTagsStale", () => {
    it("makes entries stale at once, with windows that end with their old lifetime", async () => {
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

    it("removes entries without a stale window", async () => {
      const { cache } = open(stack, { ttl: "1h" });
      await cache.set("k", "value", { tags: ["t"] });
      await cache.markTagsStale("t");
      await expect(cache.getOrSet("k", failing(sourceDown))).rejects.toBe(sourceDown);
      expect(await cache.getOrSet("k", () => "new")).toBe("new");
    });
  });

  it("C72 within one millisecond: sets between and after two invalidations are valid, and earlier ones are not", async () => {
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

  it.for(["set", "a forced load", "a refresh", "ctx.setOptions"] as const)(
    "C75 a value stored with other tags: is not invalidated by its former tags: %s",
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

  it("C78 clear: empties a namespace and its nested ones, and keeps its siblings", async () => {
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
});

it("C80 the memory for tags is bounded: in the backend, where an unused tag version expires", async () => {
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

describe.each(STACKS_WITH_BACKEND)("two processes over one backend, here over %s", (stack) => {
  const both = (policy: Policy) => {
    const here = open(stack, policy);
    // A process that receives no messages may keep copies for localTtl at most.
    const there = open("backend", { ...policy, clock: here.clock, backend: here.backend });
    return { here: here.cache, there: there.cache, clock: here.clock, backend: here.backend };
  };

  it("C67 invalidateTags hides at once: any number of entries with the same number of backend calls", async () => {
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

  describe("C77 an invalidation during a load's first read of its tag is effective", () => {
    it.for<readonly [string, string]>([
      ["before the tag is renewed", "{~test}::late"],
      ["before its soft half is renewed", "{~~test}::late"],
    ])("when the load reads it %s", async ([, key]) => {
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

    it.for([
      ["the load reads it while it is renewed", "read", "{~test}::late"],
      ["the load has read it and has not stored yet", "write", "test::k"],
    ] as const)("when %s", async ([, operation, key]) => {
      const { here, there, backend } = both({ ttl: "1h", staleIfError: "1h" });
      const before = gate();
      const waiter = there.getOrSet("k", ({ setOptions }) => {
        setOptions({ tags: ["late"] });
        backend.script(operation, { key, before });
        return "old";
      });
      await before.arrived();
      await here.invalidateTags("late");
      before.open();
      expect(await waiter).toBe("old");
      expect(await waysToFind(there, "k")).toEqual([]);
    });

    it("when the load read its source before the call", async () => {
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
});

describe.each(STACKS)("a list of tags, over %s", (stack) => {
  it.for(["invalidateTags", "markTagsStale"] as const)("%s takes 200,000 of them", async (method) => {
    const { cache } = open(stack, { backend: { tagVersions: true } });
    await cache.set("first", 1, { tags: ["0"] });
    await cache.set("last", 1, { tags: ["199999"] });
    await cache.set("other", 1, { tags: ["other"] });
    const tags = Array.from({ length: 200_000 }, (_, i) => String(i));
    expect(await cache[method](tags)).toMatchObject({ status: "done" });
    expect([await cache.get("first"), await cache.get("last")]).toEqual([undefined, undefined]);
    if (stack !== "memory") expect(await cache.get("other")).toBe(1);
  });

  it("is refused beside other arguments, and an empty one changes nothing", async () => {
    const { cache } = open(stack);
    await cache.set("k", 1, { tags: ["t"] });
    expect(await cache.invalidateTags([])).toEqual({ status: "done" });
    const mixed = cache.invalidateTags as (...given: unknown[]) => Promise<unknown>;
    await expect(mixed.call(cache, ["t"], "t")).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: "invalidateTags takes tags, or one list of tags, got a list among 2 arguments",
    });
    await expect(mixed.call(cache, [["t"]])).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(await cache.get("k")).toBe(1);
  });
});

it("a long list goes in steps of at most 63 tags, 16 at a time; only those that failed are pending", async () => {
  const { cache, backend } = open("memory over backend", { backend: { tagVersions: true } });
  const tags = Array.from({ length: 63 * 20 }, (_, i) => String(i));
  const held = gate();
  backend.script("tags.renew", { before: held, times: 16 });
  const call = cache.invalidateTags(tags);
  await held.arrived();
  const sizes = (): readonly number[] =>
    backend.calls.filter(({ operation }) => operation === "tags.renew").map(({ keys }) => keys.length);
  expect(sizes()).toEqual(Array(16).fill(63));
  backend.script("tags.renew", { fail: new Error("refused"), times: 2 });
  held.open();
  expect(await call).toEqual({ status: "pending" });
  expect([sizes(), cache.stats().pending]).toEqual([Array(20).fill(63), 126]);
});
