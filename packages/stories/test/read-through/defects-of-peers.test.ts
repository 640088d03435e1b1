/** Defects seen in other caches by running them, which no other test covers. */
import { v8 } from "@hotset/formats";
import { flush, gate, outcome, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { never, open, STACKS, STACKS_WITH_BACKEND, STACKS_WITH_MEMORY } from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

describe.each(STACKS)("over %s", (stack) => {
  it("C69 a value invalidated by tag is not read again, not even as fallback for a failed load (bentocache)", async () => {
    const { cache, clock } = open(stack, { ttl: 100, staleIfError: "6h", staleWhileRevalidate: "1h" });
    for (const afterMs of [0, 200]) {
      await cache.set("k", "old", { tags: ["t"] });
      clock.advance(afterMs);
      await cache.invalidateTags("t");
      expect([
        await cache.get("k"),
        await cache.get("k", { allowStale: true }),
        cache.peek("k"),
        await cache.has("k"),
      ]).toEqual([undefined, undefined, undefined, false]);
      expect(await outcome(cache.getOrSet("k", () => Promise.reject(new Error("db down"))))).toMatchObject({
        status: "rejected",
      });
    }
  });

  it("C78 C146 clear empties a cache with an empty name, which has no namespaces (bentocache)", async () => {
    const { cache, stored } = open(stack, { name: "" });
    const spaces = [cache];
    for (const space of spaces) await space.set("k", 1);
    expect(stored()).toEqual(stack === "memory" ? [] : ["::k"]);
    expect(() => cache.namespace("a")).toThrow(/^namespace needs a cache with a name, got createCache/);
    expect(await cache.clear()).toMatchObject({ status: "done" });
    for (const space of spaces)
      expect([await space.get("k"), space.peek("k"), await space.inspect("k")]).toEqual([
        undefined,
        undefined,
        undefined,
      ]);
    for (const space of spaces) expect(await space.getOrSet("k", () => 2)).toBe(2);
  });

  it("C109 no two pairs of namespace and key share an entry (bentocache)", async () => {
    const { cache } = open(stack);
    const pairs = [
      [[], "a:b"],
      [["a"], "b"],
      [[], "a::b"],
      [["a"], ":b"],
      [["a:"], "b"],
      [["a", "b"], "c"],
      [["a:b"], "c"],
      [["a"], "b:c"],
      [["a"], "b::c"],
      [["a%3Ab"], "c"],
    ] as const;
    const space = (path: readonly string[]) =>
      path.reduce((above, name) => above.namespace(name), cache.namespace("top"));
    for (const [i, [path, key]] of pairs.entries()) await space(path).set(key, i);
    expect(await Promise.all(pairs.map(([path, key]) => space(path).get(key)))).toEqual(pairs.map((_, i) => i));
  });

  it("C70 an entry with an infinite ttl that is marked stale is served while one load refreshes it (cachified)", async () => {
    const { cache, clock } = open(stack, { ttl: Infinity, staleWhileRevalidate: 500 });
    await cache.set("k", "old");
    expect(await cache.markStale("k")).toEqual({ status: "stale" });
    clock.advance(499);
    const loading = gate<string>();
    expect(await cache.getOrSet("k", loading.pass)).toBe("old");
    loading.open("new");
    await cache.drain();
    expect(await cache.get("k")).toBe("new");
    await cache.markStale("k");
    clock.advance(500);
    expect(await cache.getOrSet("k", () => "newer")).toBe("newer");
  });

  it("wrapped.invalidate removes the result for its own arguments only, falsy ones included (async-cache-dedupe)", async () => {
    const { cache } = open(stack);
    const runs: unknown[] = [];
    const wrapped = cache.wrap((...args: (number | string | boolean | null | undefined)[]) => runs.push(args), {
      name: "w",
    });
    const falsy = [0, "", false, null] as const;
    for (const arg of falsy) await wrapped(arg);
    for (const arg of falsy) {
      runs.length = 0;
      expect(await wrapped.invalidate(arg)).toMatchObject({ status: "deleted" });
      for (const each of falsy) await wrapped(each);
      expect(runs).toEqual([[arg]]);
    }
  });

  it("C60 a load that was running during clear stores nothing (async-cache-dedupe)", async () => {
    const { cache, stored, backend } = open(stack);
    const loading = gate<string>();
    const call = cache.getOrSet("k", loading.pass);
    await loading.arrived();
    await cache.clear();
    loading.open("old");
    expect(await call).toBe("old");
    await cache.drain();
    expect([await cache.get("k"), stored().map((key) => backend.store.get(key))]).toEqual([undefined, []]);
  });
});

describe.each(STACKS_WITH_MEMORY)("values: cloned, over %s", (stack) => {
  interface User {
    name: string;
    readonly tags: string[];
  }
  const user = (): User => ({ name: "Ada", tags: ["a"] });
  const spoil = (value: unknown): void => {
    (value as User).name = "spoilt";
    (value as User).tags.push("spoilt");
  };

  it("C104 a caller never sees changes that another caller made to a value (async-cache-dedupe, layered-loader)", async () => {
    const { cache, clock, backend } = open(stack, {
      memory: { values: "cloned" },
      ttl: 100,
      staleWhileRevalidate: 1_000,
      staleIfError: 1_000,
      errorBackoff: 0,
    });
    const given = user();
    await cache.set("k", given);
    spoil(given);
    expect(await cache.get("k")).toEqual(user());

    const loading = gate<User>();
    const loaded = user();
    const [first, second] = [cache.getOrSet("j", loading.pass), cache.getOrSet("j", never)];
    loading.open(loaded);
    spoil(await first);
    expect(await second).toEqual(user());
    spoil(loaded);

    const reads = [
      () => cache.get("j"),
      () => cache.getOrSet("j", never),
      async () => cache.peek("j"),
      async () => (await cache.getMany(["j"])).get("j"),
      async () => (await cache.getOrSetMany(["j"], (key) => key, never)).get("j"),
    ];
    for (const read of reads) {
      const value = await read();
      expect(value).toEqual(user());
      spoil(value);
    }

    clock.advance(100);
    spoil(
      await cache.getOrSet("j", ({ stale }) => {
        spoil(stale!.value);
        throw new Error("db down");
      }),
    );
    await cache.drain();
    spoil(await cache.get("j", { allowStale: true }));
    expect(await cache.get("j", { allowStale: true })).toEqual(user());
    await cache.getOrSet("j", ({ stale }) => {
      spoil(stale!.value);
      return stale!.notModified();
    });
    await cache.drain();
    expect(await cache.get("j")).toEqual(user());
    if (stack !== "memory") expect(await open("backend", { clock, backend }).cache.get("j")).toEqual(user());
  });

  it("C104 a value changed by its caller during set is stored as it was given", async () => {
    const { cache, clock, backend } = open(stack, { memory: { values: "cloned" } });
    const [slow, given] = [gate(), user()];
    const calls = [];
    if (stack !== "memory") backend.script("write", { key: "test::k", before: slow });
    calls.push(cache.set("k", "before"), cache.set("k", given));
    spoil(given);
    slow.open();
    await Promise.all(calls);
    expect(await cache.get("k")).toEqual(user());
    if (stack !== "memory") expect(await open("backend", { clock, backend }).cache.get("k")).toEqual(user());
  });
});

describe.each(STACKS_WITH_BACKEND)("over %s", (stack) => {
  it("C92 getOrSet answers from its loader when every backend call throws (cachified)", async () => {
    const { cache, backend } = open(stack);
    await cache.set("k", "old");
    backend.down(new TypeError("not even a CacheError"));
    await cache.delete("k");
    expect(await cache.getOrSet("k", () => "loaded")).toBe("loaded");
    expect(await cache.getOrSet("j", () => "loaded")).toBe("loaded");
    expect([await cache.get("none"), await cache.has("none"), (await cache.getMany(["x", "y"])).size]).toEqual([
      undefined,
      false,
      0,
    ]);
  });

  it("C98 undecodable entries do not open the circuit breaker (bentocache)", async () => {
    const { cache: writer, clock, backend } = open("backend");
    const keys = Array.from({ length: 20 }, (_, i) => `k${i}`);
    await writer.setMany(keys.map((key) => [key, 1] as const));
    for (const key of keys)
      backend.store.set(`test::${key}`, { ...backend.store.get(`test::${key}`)!, data: Buffer.from("{") });
    const { cache } = open(stack, { clock, backend });
    const states = watch(cache, "backend:state");
    for (const key of keys) expect(await cache.get(key)).toBe(undefined);
    await writer.set("good", 1);
    expect(await cache.get("good")).toBe(1);
    expect(states.map(([, { state }]) => state)).toEqual(["up"]);
  });

  it("C94 after a set during an outage no process reads the older value (bentocache)", async () => {
    const { cache, clock, backend } = open(stack, { ttl: "1h", localTtl: 500 });
    const { cache: other } = open("backend", { clock, backend });
    await cache.set("k", "old");
    backend.down();
    expect(await cache.set("k", "new")).toEqual({ status: "pending" });
    expect(await cache.get("k")).toBe(stack === "backend" ? undefined : "new");
    backend.up();
    clock.advance(500);
    expect(await cache.get("k")).toBe(undefined);
    await flush();
    expect(await other.get("k")).toBe(undefined);
    expect(cache.stats().pending).toBe(0);
  });

  it("a value found in the backend can be read repeatedly with its types intact (bentocache)", async () => {
    const { cache: writer, clock, backend } = open("backend", { backend: { format: v8() } });
    const value = { at: new Date(0), ids: new Set([1]) };
    await writer.set("k", value);
    const { cache } = open(stack, { clock, backend });
    for (let i = 0; i < 3; i += 1) {
      expect(await cache.getOrSet("k", never)).toEqual(value);
      expect(await cache.get("k")).toEqual(value);
    }
  });

  it("C60 an invalidation during a load holds in both tiers and in another process (layered-loader)", async () => {
    const { cache, clock, backend } = open(stack);
    const loading = gate<string>();
    const call = cache.getOrSet("k", loading.pass, { tags: ["t"] });
    await loading.arrived();
    await cache.invalidateTags("t");
    loading.open("old");
    await call;
    await cache.drain();
    expect([cache.peek("k"), await cache.get("k")]).toEqual([undefined, undefined]);
    expect(await open(stack, { clock, backend }).cache.get("k")).toBe(undefined);
  });

  it.for([[-3_600_000], [-60_000], [60_000], [3_600_000]] as const)(
    "C71 an invalidateTags by a process whose clock is off by %i ms works the same in every process (bentocache)",
    async ([offsetMs]) => {
      const { cache: here, clock, backend } = open("backend", { ttl: "1d" });
      const elsewhere = new TestClock();
      elsewhere.advance(7_200_000 + offsetMs);
      clock.advance(7_200_000);
      const { cache: there } = open(stack, { clock: elsewhere, backend, ttl: "1d" });
      await here.set("k", "old", { tags: ["t"] });
      expect(await there.invalidateTags("t")).toMatchObject({ status: "done" });
      expect(await here.get("k")).toBe(undefined);
      expect(await here.getOrSet("k", () => "new", { tags: ["t"] })).toBe("new");
      expect([await here.getOrSet("k", never), await there.getOrSet("k", never)]).toEqual(["new", "new"]);
      await here.invalidateTags("t");
      expect(await open("backend", { clock: elsewhere, backend }).cache.get("k")).toBe(undefined);
      await there.set("j", "there", { tags: ["t"] });
      expect(await here.get("j")).toBe("there");
      expect(await here.inspect("j")).toMatchObject({ state: "fresh", ageMs: 0 });
    },
  );
});
