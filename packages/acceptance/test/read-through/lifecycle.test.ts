import { createCache, type Cache, type CacheEvents, type Clock, type Namespace, type Policy } from "@hotset/core";
import { flush, gate, mapTier, outcome, scriptedBackend, TestClock } from "@hotset/core/testing";
import { memory } from "@hotset/memory";
import { forkScript } from "@hotset/test-servers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { IdleProcess } from "../support/idle-process.ts";
import {
  counted,
  never,
  open,
  rejectionsDuring,
  STACKS,
  STACKS_WITH_BACKEND,
  STACKS_WITH_MEMORY,
} from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

const DOWN = new Error("db down");
const CLOSED = { name: "CacheClosedError", code: "CACHE_CLOSED" } as const;
const PENDING = { status: "pending" } as const;
const same = <T>(value: T): T => value;

describe.each(STACKS)("getMany over %s", (stack) => {
  it("C114 keeps the order of the keys, folds duplicates, and leaves out what is absent", async () => {
    const { cache } = open(stack);
    await cache.setMany([
      ["a", 1],
      ["b", null],
      ["c", 0],
    ]);
    const found = await cache.getMany(["c", "none", "a", "c", "b", "a"]);
    expect([...found]).toEqual([
      ["c", 0],
      ["a", 1],
      ["b", null],
    ]);
    expect(cache.stats()).toMatchObject({ hits: 3, misses: 1 });
    expect(await cache.getMany([])).toEqual(new Map());
  });

  it("C114 leaves out what is stale, unless it is asked for", async () => {
    const { cache, clock } = open(stack, { ttl: 100, staleIfError: 100 });
    await cache.set("stale", 1);
    clock.advance(100);
    await cache.set("fresh", 2);
    expect([...(await cache.getMany(["stale", "fresh"]))]).toEqual([["fresh", 2]]);
    expect([...(await cache.getMany(["stale", "fresh"], { allowStale: true }))]).toEqual([
      ["stale", 1],
      ["fresh", 2],
    ]);
  });
});

describe.each(STACKS_WITH_BACKEND)("getMany in a new process over %s", (stack) => {
  it("C114 asks the backend once, for each key once", async () => {
    const { cache: writer, clock, backend } = open("backend");
    await writer.setMany(Array.from({ length: 100 }, (_, i) => [`k${i}`, i] as const));
    const { cache } = open(stack, { clock, backend });
    await cache.get("k0");
    backend.forgetCalls();
    const keys = [...Array.from({ length: 100 }, (_, i) => `k${99 - i}`), "k7", "none"];
    const found = await cache.getMany(keys);
    expect([...found.keys()]).toEqual(keys.slice(0, 100));
    expect([...found.values()]).toEqual(Array.from({ length: 100 }, (_, i) => 99 - i));
    const trips = backend.calls.filter(({ keys: [first] }) => first?.startsWith("test::"));
    expect(trips.map(({ operation, keys: asked }) => [operation, asked.length])).toEqual([
      ["batch.read", stack === "backend" ? 101 : 100],
    ]);
    // All that is sent is sent at once.
    expect(new Set(backend.calls.map(({ at }) => at)).size).toBe(1);
    if (stack !== "backend") {
      backend.forgetCalls();
      expect((await cache.getMany(keys.slice(0, 100))).size).toBe(100);
      expect(backend.count()).toBe(0);
    }
  });

  it("C114 asks a backend without batches for each key, all at once", async () => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock, batch: false });
    const { cache: writer } = open("backend", { clock, backend });
    await writer.setMany([
      ["a", 1],
      ["b", 2],
    ]);
    const { cache } = open(stack, { clock, backend });
    const reading = gate();
    backend.script("read", { key: "test::a", before: reading });
    const reads = cache.getMany(["a", "b", "a"]);
    await reading.arrived();
    expect([backend.count("read", "test::a"), backend.count("read", "test::b")]).toEqual([1, 1]);
    reading.open();
    expect([...(await reads)]).toEqual([
      ["a", 1],
      ["b", 2],
    ]);
  });

  it("C114 returns what it can where one entry cannot be read", async () => {
    const { cache: writer, clock, backend } = open("backend");
    await writer.setMany([
      ["a", 1],
      ["b", 2],
      ["c", 3],
    ]);
    backend.store.set("test::b", { ...backend.store.get("test::b")!, data: Buffer.from("{") });
    const { cache } = open(stack, { clock, backend });
    const errors = watch(cache, "decode:error");
    expect([...(await cache.getMany(["a", "b", "c"]))]).toEqual([
      ["a", 1],
      ["c", 3],
    ]);
    expect(errors.map(([, { key, error }]) => [key, error.code])).toEqual([["b", "DECODE_FAILED"]]);
  });

  it("C114 returns what it can where the tag versions of one entry are not told", async () => {
    const { cache: writer, clock, backend } = open("backend");
    await writer.set("a", 1);
    await writer.set("b", 2, { tags: ["t"] });
    await writer.set("c", 3, { tags: ["u"] });
    const { cache } = open(stack, { clock, backend });
    const errors = watch(cache, "backend:error");
    backend.script("read", { key: "{~test}::t", fail: true });
    expect([...(await cache.getMany(["a", "b", "c"]))]).toEqual([
      ["a", 1],
      ["c", 3],
    ]);
    expect(errors.map(([, { operation }]) => operation)).toEqual(["read"]);
    expect([...(await cache.getMany(["a", "b", "c"]))]).toEqual([
      ["a", 1],
      ["b", 2],
      ["c", 3],
    ]);
  });

  it("C114 returns what is here where the backend is away", async () => {
    const { cache, backend } = open(stack);
    await cache.setMany([
      ["a", 1],
      ["b", 2],
    ]);
    backend.down();
    expect((await cache.getMany(["a", "b", "c"])).size).toBe(stack === "backend" ? 0 : 2);
  });
});

describe.each(STACKS)("getOrSetMany over %s", (stack) => {
  interface Item {
    readonly id: number;
  }
  const items = [1, 2, 3, 4].map((id): Item => ({ id }));
  const keyOfItem = ({ id }: Item): string => `item ${id}`;

  it("C115 gives its loader what is missing, once and in order, and the result in the order of the items", async () => {
    const { cache } = open(stack);
    await cache.set("item 2", "two, cached");
    const asked: (readonly Item[])[] = [];
    const load = (missing: readonly Item[]): [Item, string][] => {
      asked.push(missing);
      return missing.toReversed().map((item) => [item, `${item.id}, loaded`]);
    };
    const [one, two, three] = items as [Item, Item, Item];
    const found = await cache.getOrSetMany([three, two, one, three, one], keyOfItem, load);
    expect([...found]).toEqual([
      [three, "3, loaded"],
      [two, "two, cached"],
      [one, "1, loaded"],
    ]);
    expect(asked).toEqual([[three, one]]);
    expect([...(await cache.getOrSetMany([one, two, three], keyOfItem, never))].map(([, value]) => value)).toEqual([
      "1, loaded",
      "two, cached",
      "3, loaded",
    ]);
    expect(cache.stats()).toMatchObject({ hits: 4, misses: 2 });
  });

  it("C115 joins loads that are under way, single ones and those of other batches", async () => {
    const { cache } = open(stack);
    const [single, batch, last] = [gate<string>(), gate(), gate()];
    const asked: number[][] = [];
    const loaderOf =
      (until: ReturnType<typeof gate>) =>
      async (missing: readonly Item[]): Promise<[Item, string][]> => {
        asked.push(missing.map(({ id }) => id));
        await until.pass();
        return missing.map((item) => [item, `${item.id} of ${asked.length}`]);
      };
    const one = cache.getOrSet("item 1", single.pass);
    await single.arrived();
    const twoThree = cache.getOrSetMany([items[1]!, items[2]!], keyOfItem, loaderOf(batch));
    await batch.arrived();
    const all = cache.getOrSetMany(items, keyOfItem, loaderOf(last));
    await last.arrived();
    expect(asked).toEqual([[2, 3], [4]]);
    const three = cache.getOrSet("item 3", never);
    last.open();
    batch.open();
    expect(await outcome(all)).toEqual(PENDING);
    single.open("one");
    expect([...(await all).values()]).toEqual(["one", "2 of 2", "3 of 2", "4 of 2"]);
    expect([await one, await three, (await twoThree).size]).toEqual(["one", "3 of 2", 2]);
  });

  it("C115 does not call its loader where nothing is missing", async () => {
    const { cache } = open(stack);
    await cache.setMany([
      ["item 1", 1],
      ["item 2", 2],
    ]);
    expect([...(await cache.getOrSetMany(items.slice(0, 2), keyOfItem, never)).values()]).toEqual([1, 2]);
    expect(await cache.getOrSetMany([], keyOfItem, never)).toEqual(new Map());
    expect(cache.stats().loads).toBe(0);
  });

  it("C115 what the loader leaves out, or gives as undefined, is absent and not stored; null is remembered", async () => {
    const { cache, stored } = open(stack);
    const found = await cache.getOrSetMany(items, keyOfItem, ([one, two]) => [
      [one!, null],
      [two!, undefined as never],
      [{ id: 9 }, "nobody asked"],
    ]);
    expect([...found]).toEqual([[items[0], null]]);
    expect(stored()).toEqual(stack === "memory" ? [] : ["test::item 1"]);
    expect(await Promise.all(items.map((item) => cache.has(keyOfItem(item))))).toEqual([true, false, false, false]);
    expect(await cache.has("item 9")).toBe(false);
  });

  it("C115 takes any iterable of pairs, at once or later", async () => {
    const { cache } = open(stack);
    expect([...(await cache.getOrSetMany(["a"], same, () => new Map([["a", 1]])))]).toEqual([["a", 1]]);
    expect([
      ...(await cache.getOrSetMany(["b"], same, function* (missing) {
        for (const key of missing) yield [key, 2] as const;
      })),
    ]).toEqual([["b", 2]]);
    expect([...(await cache.getOrSetMany(["c"], same, async () => Object.entries({ c: 3 })))]).toEqual([["c", 3]]);
  });

  it("C115 items that make one key are one load, and both have its value", async () => {
    const { cache } = open(stack);
    const twin = { id: 1 };
    const asked: (readonly Item[])[] = [];
    const found = await cache.getOrSetMany([items[0]!, twin], keyOfItem, (missing) => {
      asked.push(missing);
      return missing.map((item) => [item, "one"] as const);
    });
    expect([found.get(items[0]!), found.get(twin), asked]).toEqual(["one", "one", [[items[0]]]]);
  });

  it("C115 a failing loader rejects with its very reason, unless something stale stands in for every item", async () => {
    const { cache, clock } = open(stack, { ttl: 100, staleIfError: 1_000, errorBackoff: 0 });
    await cache.setMany([
      ["item 1", "old 1"],
      ["item 2", "old 2"],
    ]);
    clock.advance(100);
    const fail = (): never => {
      throw DOWN;
    };
    expect([...(await cache.getOrSetMany(items.slice(0, 2), keyOfItem, fail)).values()]).toEqual(["old 1", "old 2"]);
    await expect(cache.getOrSetMany(items, keyOfItem, fail)).rejects.toBe(DOWN);
    await expect(cache.getOrSetMany(items, keyOfItem, () => Promise.reject(undefined))).rejects.toBe(undefined);
    expect([
      ...(
        await cache.getOrSetMany(items, keyOfItem, (missing) => missing.map((item) => [item, "new"] as const))
      ).values(),
    ]).toEqual(["new", "new", "new", "new"]);
  });

  it("C115 refreshes behind stale answers with the same loader, in one run", async () => {
    const { cache, clock } = open(stack, { ttl: 100, staleWhileRevalidate: 1_000 });
    await cache.setMany([
      ["item 1", "old"],
      ["item 2", "old"],
    ]);
    clock.advance(100);
    const asked: number[][] = [];
    const found = await cache.getOrSetMany(items.slice(0, 3), keyOfItem, (missing) => {
      asked.push(missing.map(({ id }) => id));
      return missing.map((item) => [item, "new"] as const);
    });
    expect([...found.values()]).toEqual(["old", "old", "new"]);
    await cache.drain();
    expect(asked.map((ids) => ids.toSorted())).toEqual([[1, 2, 3]]);
    expect([...(await cache.getOrSetMany(items.slice(0, 3), keyOfItem, never)).values()]).toEqual([
      "new",
      "new",
      "new",
    ]);
  });

  it("C115 the loader sets options for one item, and has one signal for all", async () => {
    const { cache } = open(stack);
    await cache.getOrSetMany(
      items.slice(0, 2),
      keyOfItem,
      (missing, { setOptions }) => {
        setOptions(missing[0]!, { ttl: 5, tags: ["first"] });
        setOptions({ id: 9 }, { ttl: 1 });
        return missing.map((item) => [item, item.id] as const);
      },
      { tags: ["all"], ttl: 50 },
    );
    expect([await cache.inspect("item 1"), await cache.inspect("item 2")]).toMatchObject([
      { freshForMs: 5, tags: ["all", "first"] },
      { freshForMs: 50, tags: ["all"] },
    ]);

    const controller = new AbortController();
    const loading = gate<[Item, number][]>();
    let signal: AbortSignal | undefined;
    const call = cache.getOrSetMany(
      items.slice(2),
      keyOfItem,
      (_, ctx) => {
        ({ signal } = ctx);
        return loading.pass();
      },
      { signal: controller.signal },
    );
    await loading.arrived();
    const joined = cache.getOrSet("item 3", never);
    controller.abort("left");
    expect(await outcome(call)).toEqual({ status: "rejected", reason: "left" });
    expect(signal!.aborted).toBe(false);
    loading.open([[items[2]!, 3]]);
    expect(await joined).toBe(3);
  });

  it("C115 aborts its loader when nobody waits for any item, and does not start one for nobody", async () => {
    const { cache } = open(stack, { maxLoads: 1 });
    const [busy, loading] = [gate<number>(), gate<[Item, number][]>()];
    const controllers = [new AbortController(), new AbortController()];
    let signal: AbortSignal | undefined;
    const first = cache.getOrSetMany(
      items,
      keyOfItem,
      (_, ctx) => {
        ({ signal } = ctx);
        return loading.pass();
      },
      { signal: controllers[0]!.signal },
    );
    await loading.arrived();
    const queued = cache.getOrSetMany([{ id: 5 }, { id: 6 }], keyOfItem, never, { signal: controllers[1]!.signal });
    await flush();
    for (const controller of controllers) controller.abort("left");
    expect(await Promise.all([outcome(first), outcome(queued)])).toEqual([
      { status: "rejected", reason: "left" },
      { status: "rejected", reason: "left" },
    ]);
    expect([signal?.aborted, signal?.reason]).toEqual([true, "left"]);
    loading.open([]);
    busy.open(1);
    expect(await cache.getOrSet("item 5", () => "loads")).toBe("loads");
  });

  it("C115 is one load for maxLoads, whatever the number of items", async () => {
    const { cache } = open(stack, { maxLoads: 1 });
    const loading = gate<string>();
    const first = cache.getOrSet("other", loading.pass);
    await loading.arrived();
    const source = counted([] as [Item, string][]);
    const many = cache.getOrSetMany(items, keyOfItem, source.load);
    await flush();
    expect(source.runs).toBe(0);
    loading.open("done");
    expect([await first, (await many).size, source.runs]).toEqual(["done", 0, 1]);
  });

  it("C115 with forceRefresh asks for every item, and joins nothing", async () => {
    const { cache } = open(stack);
    await cache.setMany([
      ["item 1", "old"],
      ["item 2", "old"],
    ]);
    const found = await cache.getOrSetMany(
      items.slice(0, 2),
      keyOfItem,
      (missing) => missing.map((item) => [item, "new"] as const),
      { forceRefresh: true },
    );
    expect([...found.values()]).toEqual(["new", "new"]);
    expect(await cache.get("item 2")).toBe("new");
  });
});

describe("C116", () => {
  it.for([["idle"], ["busy"], ["failing"], ["closed"]] as const)(
    "no timer keeps a process alive whose cache is %s",
    { timeout: 20_000 },
    async ([how]) => {
      await using script = forkScript<IdleProcess>(new URL("../support/idle-process.ts", import.meta.url));
      expect(await script.call(how)).toBe(`${how} since now`);
      expect(await script.end(5_000)).toEqual({ code: 0, signal: null });
      expect(script.stderr).toBe("");
    },
  );

  it("none of its timers counts as work for Node", async () => {
    await using cache = createCache({ name: "quiet" }).tier(memory()).build();
    const timers = (): number => process.getActiveResourcesInfo().filter((resource) => resource === "Timeout").length;
    const before = timers();
    await cache.set("kept", "value");
    const loading = gate<string>();
    const answer = cache.getOrSet("k", loading.pass, { hardTimeout: "1m" });
    await loading.arrived();
    const during = timers();
    loading.open("value");
    await answer;
    expect(during).toBe(before);
  });
});

/** Counts the timers that wait. */
function watchedClock(clock: TestClock): Clock & { readonly waiting: number } {
  const waiting = new Set<object>();
  return {
    now: () => clock.now(),
    schedule(callback, delayMs) {
      const timer = {};
      if (delayMs !== Infinity) waiting.add(timer);
      const cancel = clock.schedule(() => {
        waiting.delete(timer);
        callback();
      }, delayMs);
      return () => {
        waiting.delete(timer);
        cancel();
      };
    },
    get waiting() {
      return waiting.size;
    },
  };
}

describe.each(STACKS)("close over %s", (stack) => {
  const calls: [string, (cache: Namespace) => unknown][] = [
    ["getOrSet", (cache) => cache.getOrSet("other", never)],
    ["getOrSet of what is there", (cache) => cache.getOrSet("k", never)],
    ["getOrSet with options", (cache) => cache.getOrSet("k", never, { forceRefresh: true })],
    ["getOrSetMany", (cache) => cache.getOrSetMany(["k", "other"], same, never)],
    ["get", (cache) => cache.get("k")],
    ["getMany", (cache) => cache.getMany(["k"])],
    ["has", (cache) => cache.has("k")],
    ["inspect", (cache) => cache.inspect("k")],
    ["set", (cache) => cache.set("k", 2)],
    ["setMany", (cache) => cache.setMany([["k", 2]])],
    ["delete", (cache) => cache.delete("k")],
    ["deleteMany", (cache) => cache.deleteMany(["k"])],
    ["markStale", (cache) => cache.markStale("k")],
    ["invalidateTags", (cache) => cache.invalidateTags("t")],
    ["markTagsStale", (cache) => cache.markTagsStale("t")],
    ["clear", (cache) => cache.clear()],
    ["a wrapped function", (cache) => cache.wrap(never, { name: "w" })()],
    ["connect", (cache) => (cache as Cache).connect?.() ?? cache.get("k")],
  ];

  it.for(calls)(
    "C117 %s is refused from then on, while it drains and afterwards, in every namespace",
    async ([, call]) => {
      const { cache } = open(stack);
      const below = cache.namespace("below");
      await cache.set("k", 1);
      await below.set("k", 1);
      const loading = gate<number>();
      const running = cache.getOrSet("running", loading.pass);
      await loading.arrived();
      const closing = cache.close();
      for (const space of [cache, below]) await expect(call(space)).rejects.toMatchObject(CLOSED);
      expect(() => cache.peek("k")).toThrow(expect.objectContaining(CLOSED) as Error);
      loading.open(1);
      expect(await running).toBe(1);
      await closing;
      for (const space of [cache, below]) await expect(call(space)).rejects.toMatchObject(CLOSED);
      expect(() => cache.peek("k")).toThrow(expect.objectContaining(CLOSED) as Error);
    },
  );

  it("C117 waits for what is under way, and stores it", async () => {
    const { cache, clock, backend, stored } = open(stack, { ttl: 1_000, staleWhileRevalidate: 10_000 });
    await cache.set("stale", "old");
    clock.advance(1_000);
    const loading = gate<string>();
    const waiting = cache.getOrSet("waiting", loading.pass);
    expect(await cache.getOrSet("stale", loading.pass)).toBe("old");
    const setting = cache.set("set", 1);
    await loading.arrived(2);
    const closing = cache.close();
    clock.advance(4_999);
    expect([await outcome(closing), backend.isClosed]).toEqual([PENDING, false]);
    loading.open("new");
    expect([await waiting, (await setting).status]).toEqual(["new", "stored"]);
    await closing;
    expect(backend.isClosed).toBe(stack !== "memory");
    if (stack !== "memory") {
      expect(stored().toSorted()).toEqual(["test::set", "test::stale", "test::waiting"]);
      expect(Buffer.from(backend.store.get("test::stale")!.data).toString()).toBe('"new"');
    }
  });

  it.for([
    [5_000, undefined],
    [70, { timeout: 70 }],
    [0, { timeout: 0 }],
  ] as const)("C117 abandons after %i ms what does not end", async ([limitMs, options]) => {
    const { cache, clock, stored } = open(stack);
    const hung = gate<number>();
    let signal: AbortSignal | undefined;
    const call = cache.getOrSet("k", (ctx) => ((signal = ctx.signal), hung.pass()));
    await hung.arrived();
    const closing = cache.close(options);
    if (limitMs > 0) {
      clock.advance(limitMs - 1);
      expect([await outcome(closing), signal!.aborted]).toEqual([PENDING, false]);
    }
    clock.advance(limitMs === 0 ? 0 : 1);
    await expect(call).rejects.toMatchObject(CLOSED);
    expect(await outcome(closing)).toEqual({ status: "fulfilled", value: undefined });
    expect([signal!.aborted, signal!.reason]).toMatchObject([true, CLOSED]);
    hung.open(1);
    await flush();
    expect(stored()).toEqual([]);
  });

  it("C117 may be repeated, and closes once", async () => {
    const { cache, backend } = open(stack);
    await cache.set("k", 1);
    await Promise.all([cache.close(), cache.close({ timeout: 1 })]);
    await cache.close();
    await cache[Symbol.asyncDispose]();
    expect(backend.count("close")).toBe(stack === "memory" ? 0 : 1);
  });

  it("C117 closes what was never used, and a block that ends", async () => {
    const { cache, backend } = open(stack);
    {
      await using own = cache;
      expect(own).toBe(cache);
    }
    await expect(cache.get("k")).rejects.toMatchObject(CLOSED);
    expect(backend.calls.map(({ operation }) => operation)).toEqual(stack === "memory" ? [] : ["close"]);
  });

  it.for([["soon"], [NaN], [null]] as const)(
    "C117 with timeout %s is refused, and closes nothing",
    async ([timeout]) => {
      const { cache } = open(stack);
      await expect(cache.close({ timeout: timeout as never })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
      await expect(cache.close({ timeOut: 5 } as never)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
      expect((await cache.set("k", 1)).status).toBe("stored");
    },
  );

  it("C116 C117 leaves no timer behind, whatever it abandons", async () => {
    const clock = new TestClock();
    const watched = watchedClock(clock);
    const { cache, backend } = open(stack, {
      clock: watched as unknown as TestClock,
      ttl: 100,
      staleWhileRevalidate: 1_000,
      hardTimeout: 10_000,
      softTimeout: 5_000,
    });
    await cache.set("k", 1);
    await cache.set("end", 1);
    clock.advance(100);
    const hung = gate<number>();
    const calls = [cache.getOrSet("hung", hung.pass), cache.getOrSet("hung", never)].map((call) => outcome(call));
    await cache.getOrSet("k", hung.pass);
    await hung.arrived(2);
    if (stack !== "memory") {
      backend.down();
      expect(await cache.delete("k")).toEqual({ status: "pending" });
      backend.script("remove", { before: gate() });
      const removing = cache.delete("end");
      clock.advance(1_000);
      expect(await removing).toEqual({ status: "pending" });
    }
    expect(watched.waiting).toBeGreaterThan(0);
    const closing = cache.close({ timeout: 2_000 });
    clock.advance(2_000);
    await Promise.all(calls);
    await closing;
    // The deadline of a call to the backend runs out unheard.
    clock.advance(stack === "memory" ? 0 : 1_000);
    expect(watched.waiting).toBe(0);
    backend.forgetCalls();
    clock.advance("1h");
    await flush();
    expect([watched.waiting, backend.calls]).toEqual([0, []]);
  });
});

describe.each(STACKS_WITH_BACKEND)("close of a shared backend, over %s", (stack) => {
  it("C117 is left to the last cache that uses it", async () => {
    const { cache: one, clock, backend } = open(stack);
    const { cache: two } = open(stack, { clock, backend, name: "other" });
    await one.close();
    expect([backend.isClosed, (await two.set("k", 1)).status]).toEqual([false, "stored"]);
    await one.close();
    expect(backend.isClosed).toBe(false);
    await two.close();
    expect(backend.isClosed).toBe(true);
  });

  it("C117 replays what is pending first", async () => {
    const { cache, backend, stored } = open(stack);
    await cache.set("k", "old");
    backend.down();
    expect(await cache.delete("k")).toEqual({ status: "pending" });
    expect([cache.stats().pending, stored()]).toEqual([1, ["test::k"]]);
    backend.up();
    await cache.close();
    expect([stored(), backend.isClosed]).toEqual([[], true]);
  });

  it("C117 gives a replay no more than its limit, and gives up afterwards", async () => {
    const { cache, clock, backend, stored } = open(stack, { ttl: "1d" });
    await cache.set("k", "old");
    backend.down();
    expect(await cache.delete("k")).toEqual({ status: "pending" });
    backend.up();
    backend.script("remove", { before: gate() });
    const closing = cache.close({ timeout: 300 });
    await flush();
    clock.advance(299);
    expect(await outcome(closing)).toEqual(PENDING);
    clock.advance(1);
    expect(await outcome(closing)).toEqual({ status: "fulfilled", value: undefined });
    backend.forgetCalls();
    clock.advance("1h");
    await flush();
    expect([backend.calls, stored()]).toEqual([[], ["test::k"]]);
  });

  it("C117 does not fail for a backend that fails to close, and does not wait for one that hangs", async () => {
    const { cache: failing, backend } = open(stack);
    backend.script("close", { fail: true });
    await failing.close();
    const { cache, clock, backend: hanging } = open(stack);
    hanging.script("close", { before: gate() });
    const closing = cache.close();
    await flush();
    clock.advance(1_000);
    expect(await outcome(closing)).toEqual({ status: "fulfilled", value: undefined });
  });

  it("C117 a write that ends after it leaves nothing in the local tier", async () => {
    const { cache, clock, backend } = open(stack);
    const [slow, slowSet] = [gate(), gate()];
    backend.script("write", { key: "test::k", before: slow });
    backend.script("write", { key: "test::set", before: slowSet });
    const calls = [outcome(cache.getOrSet("k", () => 1)), outcome(cache.set("set", 1))];
    await Promise.all([slow.arrived(), slowSet.arrived()]);
    const closing = cache.close({ timeout: 10 });
    clock.advance(10);
    await closing;
    slow.open();
    slowSet.open();
    await Promise.all(calls);
    expect(cache.stats().tiers.map(({ label, entries }) => [label, entries])).toEqual(
      stack === "backend"
        ? [["scripted", undefined]]
        : [
            ["memory", 0],
            ["scripted", undefined],
          ],
    );
  });
});

describe("close of a local tier", () => {
  it("C117 empties it, and it belongs to no other cache afterwards either", async () => {
    const clock = new TestClock();
    const tier = memory();
    const build = (): Cache => createCache({ name: "own", clock }).tier(tier).build();
    const cache = build();
    await cache.set("k", 1);
    expect(build).toThrow(expect.objectContaining({ code: "INVALID_CONFIGURATION" }) as Error);
    await cache.close();
    expect(tier.entryCount).toBe(0);
  });
});

const NAMES = [
  "hit",
  "stale",
  "miss",
  "load",
  "load:error",
  "store",
  "fenced",
  "coalesced",
  "invalidate",
  "backend:error",
  "backend:state",
  "decode:error",
  "evict",
  "recover",
] as const satisfies readonly (keyof CacheEvents)[];

/** Whatever a cache can go through, in one story; gives every answer. */
async function story({
  withListeners,
}: {
  readonly withListeners: boolean;
}): Promise<{ readonly answers: unknown[]; readonly told: Set<string> }> {
  const { cache, clock, backend, stored } = open("memory over backend", {
    ttl: 100,
    staleWhileRevalidate: 100,
    staleIfError: 1_000,
    errorBackoff: 0,
    memory: { maxEntries: 5 },
  });
  const told = new Set<string>();
  if (withListeners)
    for (const name of NAMES)
      cache.on(name, () => {
        told.add(name);
        throw new Error(`a listener of ${name}`);
      });
  const onServed = (): void => {
    if (!withListeners) return;
    told.add("onServed");
    throw new Error("onServed");
  };
  const answers: unknown[] = [];
  /** Without what is new in each run. */
  const note = async (answer: PromiseLike<unknown>): Promise<void> =>
    void answers.push(
      JSON.parse(
        JSON.stringify(await outcome(answer), (name, value: unknown) =>
          name === "token" ? "a token" : (value ?? null),
        ),
      ),
    );
  const loading = gate<string>();
  const [first, second] = [cache.getOrSet("k", loading.pass, { onServed }), cache.getOrSet("k", never, { onServed })];
  await loading.arrived();
  await cache.delete("k");
  loading.open("fenced");
  await note(first);
  await note(second);
  await note(cache.getOrSet("k", () => "one", { onServed, tags: ["t"] }));
  await note(cache.getOrSet("k", never, { onServed }));
  clock.advance(100);
  await note(cache.getOrSet("k", () => "two", { onServed }));
  await cache.drain();
  await note(cache.get("k"));
  clock.advance(200);
  await note(cache.getOrSet("k", () => Promise.reject(DOWN), { onServed }));
  await note(cache.getOrSet("other", () => Promise.reject(DOWN), { onServed }));
  await note(cache.invalidateTags("t"));
  for (let i = 0; i < 10; i += 1) await cache.set(`many ${i}`, i);
  backend.store.set("test::many 0", { ...backend.store.get("test::many 0")!, data: Buffer.from("{") });
  await note(cache.get("many 0"));
  backend.down();
  for (let i = 0; i < 6; i += 1) await note(cache.delete(`many ${i}`));
  backend.up();
  clock.advance("1m");
  await flush();
  await note(cache.get("many 6"));
  answers.push(stored().toSorted());
  await cache.close();
  return { answers, told };
}

describe("observing", () => {
  it("C118 listeners that throw change nothing", async () => {
    const quiet = await story({ withListeners: false });
    let watched = quiet;
    const rejections = await rejectionsDuring(async () => {
      watched = await story({ withListeners: true });
    });
    expect(watched.answers).toEqual(quiet.answers);
    expect([...watched.told].toSorted()).toEqual([...NAMES, "onServed"].toSorted());
    expect(rejections).toEqual([]);
  });

  it("C118 a listener that throws keeps no other from hearing, and one that was removed hears nothing", async () => {
    const { cache } = open("memory");
    const heard: string[] = [];
    cache.on("miss", () => {
      throw new Error("first");
    });
    const off = cache.on("miss", () => heard.push("second"));
    cache.on("miss", ({ key }) => {
      heard.push(`third: ${key}`);
      off();
    });
    await cache.get("a");
    await cache.get("b");
    off();
    expect(heard).toEqual(["second", "third: a", "third: b"]);
  });

  it("C118 one listener added twice is called twice, and each is taken back alone", async () => {
    const { cache } = open("memory");
    let calls = 0;
    const listener = (): void => void (calls += 1);
    const [off] = [cache.on("miss", listener), cache.on("miss", listener)];
    await cache.get("a");
    off();
    await cache.get("a");
    expect(calls).toBe(3);
  });

  it("an event or a listener that does not exist is refused", () => {
    const { cache } = open("memory");
    expect(() => cache.on("hits" as never, never)).toThrow(
      expect.objectContaining({
        code: "INVALID_ARGUMENT",
        message: expect.stringContaining('"hits"') as string,
      }) as Error,
    );
    expect(() => cache.on("hit", undefined as never)).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT" }) as Error,
    );
    expect(() => cache.on("constructor" as never, never)).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT" }) as Error,
    );
  });
});

describe.each(STACKS)("counting over %s", (stack) => {
  const secret = "user:4711";
  const refused = (): never => {
    throw DOWN;
  };
  const policy: Policy = { ttl: 100, staleWhileRevalidate: 50, staleIfError: 500, errorBackoff: 0 };
  type Step = readonly [
    what: string,
    counted: readonly [hits: number, stale: number, misses: number],
    run: (cache: Cache, clock: TestClock) => Promise<unknown>,
  ];
  const steps: Step[] = [
    ["getOrSet, a miss", [0, 0, 1], (cache) => cache.getOrSet(secret, () => 1)],
    ["getOrSet, a hit", [1, 0, 0], (cache) => cache.getOrSet(secret, never)],
    [
      "getOrSet, a hit with options",
      [1, 0, 0],
      (cache) => cache.getOrSet(secret, never, { tags: ["t"], onServed: () => {} }),
    ],
    ["getOrSet, forced", [0, 0, 1], (cache) => cache.getOrSet(secret, () => 2, { forceRefresh: true })],
    ["get, a hit", [1, 0, 0], (cache) => cache.get(secret)],
    ["has, a miss", [0, 0, 1], (cache) => cache.has("none")],
    ["getMany of three, one twice", [1, 0, 2], (cache) => cache.getMany([secret, "none", secret, "never"])],
    [
      "getOrSetMany of two",
      [1, 0, 1],
      (cache) => cache.getOrSetMany([secret, "batch"], same, (missing) => missing.map((key) => [key, 1] as const)),
    ],
    [
      "five at once",
      [0, 0, 5],
      (cache) => Promise.all(Array.from({ length: 5 }, () => cache.getOrSet("five", () => flush(1).then(() => 1)))),
    ],
    [
      "five that fail at once",
      [0, 0, 5],
      (cache) => Promise.allSettled(Array.from({ length: 5 }, () => cache.getOrSet("fails", refused))),
    ],
    [
      "a caller who has left before",
      [0, 0, 1],
      (cache) => outcome(cache.getOrSet("left", never, { signal: AbortSignal.abort() })),
    ],
    [
      "one who leaves, and one who stays",
      [0, 0, 2],
      async (cache) => {
        const [loading, controller] = [gate<number>(), new AbortController()];
        const calls = [
          cache.getOrSet("leaves", loading.pass, { signal: controller.signal }),
          cache.getOrSet("leaves", never),
        ].map((call) => outcome(call));
        await loading.arrived();
        controller.abort();
        loading.open(1);
        return Promise.all(calls);
      },
    ],
    [
      "one who runs out of time",
      [0, 0, 1],
      async (cache, clock) => {
        const loading = gate<number>();
        const call = outcome(cache.getOrSet("late", loading.pass, { hardTimeout: 1 }));
        await loading.arrived();
        clock.advance(1);
        await call;
        loading.open(1);
        await cache.drain();
      },
    ],
    [
      "a loader that asks for itself",
      [0, 0, 2],
      (cache) => outcome(cache.getOrSet("self", () => cache.getOrSet("self", never))),
    ],
    ["in a namespace", [0, 0, 1], (cache) => cache.namespace("below").getOrSet(secret, () => 1)],
    [
      "stale, and refreshed behind",
      [0, 1, 0],
      async (cache, clock) => {
        clock.advance(100);
        await cache.getOrSet(secret, () => 3);
        await cache.drain();
      },
    ],
    ["stale instead of an error", [0, 1, 0], (cache, clock) => (clock.advance(200), cache.getOrSet(secret, refused))],
    ["stale where it is asked for", [0, 1, 0], (cache) => cache.get(secret, { allowStale: true })],
    [
      "writes, and inspect",
      [0, 0, 0],
      async (cache) => {
        await cache.set(secret, 1);
        await cache.inspect(secret);
        await cache.markStale(secret);
        await cache.delete(secret);
        await cache.invalidateTags("t");
        await cache.clear();
      },
    ],
    [
      "a call that is refused",
      [0, 0, 0],
      (cache) => Promise.allSettled([cache.get(""), cache.getOrSet(secret, 5 as never), cache.getMany([secret, ""])]),
    ],
  ];

  it("C119 each call is one hit, stale hit or miss, in numbers and in events", async () => {
    const { cache, clock } = open(stack, policy);
    const seen = watch(cache, "hit", "stale", "miss");
    const numbers = (): number[] => {
      const { hits, staleHits, misses } = cache.stats();
      return [hits, staleHits, misses];
    };
    const events = (): number[] =>
      ["hit", "stale", "miss"].map((name) => seen.filter(([each]) => each === name).length);
    for (const [what, counted, run] of steps) {
      const before = numbers();
      await run(cache, clock);
      expect([what, numbers().map((count, i) => count - before[i]!)]).toEqual([what, counted]);
      expect([what, events()]).toEqual([what, numbers()]);
    }
    const { hits, staleHits, misses, hitRatio } = cache.stats();
    expect(hitRatio).toBe((hits + staleHits) / (hits + staleHits + misses));
  });

  it("C119 numbers and hits are labelled by tier, and numbers by nothing else", async () => {
    const { cache, clock } = open(stack, policy);
    const seen = watch(cache, "hit", "stale");
    expect(cache.stats().hitRatio).toBe(NaN);
    for (const [, , run] of steps) await run(cache, clock);
    const labels = stack === "memory" ? ["memory"] : stack === "backend" ? ["scripted"] : ["memory", "scripted"];
    const stats = cache.stats();
    expect(stats.tiers.map(({ label }) => label)).toEqual(labels);
    expect(seen.every(([, { tier }]) => labels.includes(tier))).toBe(true);
    expect(stats.tiers.reduce((sum, tier) => sum + tier.hits, 0)).toBe(stats.hits + stats.staleHits);
    for (const key of [secret, "five", "batch", "below"]) expect(JSON.stringify(stats)).not.toContain(key);
  });
});

describe.each(STACKS_WITH_MEMORY)("counting peeks over %s", (stack) => {
  it("C119 peek is a hit or a miss of the local tier, and asks no other", async () => {
    const { cache, backend } = open(stack);
    await cache.set("k", 1);
    backend.forgetCalls();
    expect([cache.peek("k"), cache.peek("none")]).toEqual([1, undefined]);
    expect(cache.stats()).toMatchObject({ hits: 1, misses: 1 });
    expect(cache.stats().tiers.map(({ hits, misses }) => [hits, misses])).toEqual(
      stack === "memory"
        ? [[1, 1]]
        : [
            [1, 1],
            [0, 0],
          ],
    );
    expect(backend.calls).toEqual([]);
  });
});

describe("time", () => {
  beforeEach(() => {
    for (const name of ["setTimeout", "setInterval"] as const)
      vi.spyOn(globalThis, name).mockImplementation(() => {
        throw new Error(`${name}: only the cache's clock may be asked for time`);
      });
    vi.spyOn(Date, "now").mockImplementation(() => {
      throw new Error("Date.now: only the cache's clock may be asked for time");
    });
    vi.spyOn(performance, "now").mockImplementation(() => {
      throw new Error("performance.now: only the cache's clock may be asked for time");
    });
  });
  afterEach(() => void vi.restoreAllMocks());

  type Rule = readonly [
    rule: string,
    atMs: number,
    policy: Policy,
    begin: (tools: ReturnType<typeof open>) => Promise<() => Promise<unknown>>,
    before: unknown,
    after: unknown,
  ];
  const hung = (): Promise<never> => new Promise(() => {});
  const later = (call: Promise<unknown>) => {
    const settled = outcome(call);
    let status = "pending";
    call.then(
      () => (status = "fulfilled"),
      (error: { readonly code?: string }) => (status = error.code ?? "rejected"),
    );
    return async () => (await flush(), await settled, status);
  };
  const rules: Rule[] = [
    ["ttl", 100, { ttl: 100 }, async ({ cache }) => (await cache.set("k", 1), () => cache.get("k")), 1, undefined],
    [
      "negativeTtl",
      50,
      { ttl: 100, negativeTtl: 50 },
      async ({ cache }) => (await cache.getOrSet("k", () => null), () => cache.has("k")),
      true,
      false,
    ],
    [
      "localTtl",
      40,
      { ttl: 100, localTtl: 40 },
      async ({ cache }) => (await cache.set("k", 1), async () => cache.peek("k")),
      1,
      undefined,
    ],
    [
      "staleWhileRevalidate",
      130,
      { ttl: 100, staleWhileRevalidate: 30 },
      async ({ cache }) => (await cache.set("k", 1), () => cache.getOrSet("k", async () => 2)),
      1,
      2,
    ],
    [
      "staleIfError",
      170,
      { ttl: 100, staleIfError: 70, errorBackoff: 0 },
      async ({ cache }) => (
        await cache.set("k", 1),
        async () => (await outcome(cache.getOrSet("k", () => Promise.reject(DOWN)))).status
      ),
      "fulfilled",
      "rejected",
    ],
    [
      "errorBackoff",
      20,
      { ttl: 0.5, staleIfError: "1h", errorBackoff: 20 },
      async ({ cache, clock }) => {
        await cache.set("k", 1);
        clock.advance(1);
        await cache.getOrSet("k", () => Promise.reject(DOWN));
        return () => cache.getOrSet("k", () => 2);
      },
      1,
      2,
    ],
    [
      "refreshAhead",
      75,
      { ttl: 100, refreshAhead: 0.75 },
      async ({ cache }) => {
        await cache.set("k", 1);
        return async () => (await cache.getOrSet("k", () => 2), await cache.drain(), cache.get("k"));
      },
      1,
      2,
    ],
    [
      "softTimeout",
      30,
      { ttl: 0.5, staleIfError: "1h", softTimeout: 30 },
      async ({ cache, clock }) => {
        await cache.set("k", 1);
        clock.advance(1);
        return later(cache.getOrSet("k", hung));
      },
      "pending",
      "fulfilled",
    ],
    [
      "hardTimeout",
      60,
      { hardTimeout: 60 },
      async ({ cache }) => later(cache.getOrSet("k", hung)),
      "pending",
      "LOAD_TIMEOUT",
    ],
    [
      "loadTimeout",
      90,
      { loadTimeout: 90 },
      async ({ cache }) => later(cache.getOrSet("k", hung)),
      "pending",
      "LOAD_TIMEOUT",
    ],
    [
      "the deadline of a backend",
      1_000,
      {},
      async ({ cache, backend }) => {
        backend.script("read", { before: gate() });
        return later(cache.get("none"));
      },
      "pending",
      "fulfilled",
    ],
    [
      "the breaker",
      1_000,
      {},
      async ({ cache, backend }) => {
        backend.down();
        for (let i = 0; i < 5; i += 1) await cache.get("none");
        backend.up();
        backend.forgetCalls();
        return async () => (await cache.get("none"), backend.count("read", "test::none"));
      },
      0,
      1,
    ],
    [
      "the replay of what is pending",
      1_000,
      {},
      async ({ cache, backend }) => {
        await cache.set("k", 1);
        backend.down();
        await cache.delete("k");
        backend.up();
        return async () => (await flush(), backend.store.get("test::k") !== undefined);
      },
      true,
      false,
    ],
    [
      "the reclaiming of memory",
      2_000,
      { ttl: 100 },
      async ({ cache }) => (await cache.set("k", 1), async () => cache.stats().tiers[0]!.entries),
      1,
      0,
    ],
    [
      "the limit of close",
      5_000,
      {},
      async ({ cache }) => {
        void outcome(cache.getOrSet("k", hung));
        await flush();
        return later(cache.close());
      },
      "pending",
      "fulfilled",
    ],
  ];

  it.for(rules)(
    "C120 %s is driven by the cache's clock alone, to the millisecond",
    async ([rule, atMs, policy, begin, before, after]) => {
      // Twice, since looking may change what is looked at.
      for (const [advanceMs, expected] of [
        [rule === "the reclaiming of memory" ? 0 : atMs - 1, before],
        [atMs, after],
      ] as const) {
        const tools = open("memory over backend", policy);
        const look = await begin(tools);
        await flush();
        tools.clock.advance(advanceMs);
        expect([rule, await look()]).toEqual([rule, expected]);
      }
    },
  );

  it("C120 jitter takes from ttl by the clock's time", async () => {
    const { cache, clock } = open("memory over backend", { ttl: 1_000, jitter: 0.5 });
    vi.spyOn(Math, "random").mockReturnValue(0.5);
    const random = vi.spyOn(Math, "random");
    await cache.set("k", 1);
    const { freshForMs } = (await cache.inspect("k"))!;
    expect(freshForMs).toBeLessThanOrEqual(1_000);
    expect(freshForMs).toBeGreaterThan(500);
    clock.advance(freshForMs - 1);
    expect(await cache.get("k")).toBe(1);
    clock.advance(1);
    expect(await cache.get("k")).toBe(undefined);
    random.mockRestore();
  });

  it("C120 nothing happens while the clock stands still", async () => {
    const { cache } = open("memory over backend", { ttl: 1, local: mapTier() } as never);
    await cache.set("k", 1);
    await flush(50);
    expect(await cache.inspect("k")).toMatchObject({ ageMs: 0, freshForMs: 1 });
  });
});
