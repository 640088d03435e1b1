import { createTestCache, flush, gate, outcome, scriptedBackend, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { counted, never, open, STACKS, STACKS_WITH_BACKEND, STACKS_WITH_MEMORY } from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

const DOWN = new Error("db down");
const PENDING = { status: "pending" } as const;

describe.each(STACKS)("getMany over %s", (stack) => {
  it("C114 keeps the order of the keys, reads duplicates once, and leaves out absent keys", async () => {
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
});

it("C114 getMany returns a copy that was fresh at the call and ends while others are read", async () => {
  const { cache, clock, backend } = open("memory over backend", { ttl: 100 });
  await cache.set("held", 1);
  const reading = gate();
  backend.script("read", { key: "test::other", before: reading });
  const both = cache.getMany(["held", "other"]);
  await reading.arrived();
  clock.advance(100);
  reading.open();
  expect([...(await both)]).toEqual([["held", 1]]);
  expect(await cache.get("held")).toBeUndefined();
});

describe.each(STACKS_WITH_BACKEND)("getMany in a new process over %s", (stack) => {
  it("C114 sends each key to the backend once, in one batch", async () => {
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
    // The whole batch is sent at once.
    expect(new Set(backend.calls.map(({ at }) => at)).size).toBe(1);
    if (stack !== "backend") {
      backend.forgetCalls();
      expect((await cache.getMany(keys.slice(0, 100))).size).toBe(100);
      expect(backend.count()).toBe(0);
    }
  });

  it("C114 returns the readable entries when one cannot be decoded", async () => {
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

  it("C114 returns the other entries when the tag versions of one are unknown", async () => {
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
    expect(errors.map(([, { operation }]) => operation)).toEqual(["tags"]);
    expect([...(await cache.getMany(["a", "b", "c"]))]).toEqual([
      ["a", 1],
      ["b", 2],
      ["c", 3],
    ]);
  });

  it("C114 returns local copies while the backend is unreachable", async () => {
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

  it("C115 passes the missing items to its loader once and in order, and returns results in the order of the items", async () => {
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

  it("C115 joins running loads, both single ones and those of other batches", async () => {
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

  it("C115 an item that the loader omits or returns as undefined is absent and not stored; null is stored", async () => {
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

  it("C115 rejects with the loader's reason unless a stale value can be served for every item", async () => {
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

  it("C115 refreshes stale answers in the background with the same loader, in one run", async () => {
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

  it("C115 the loader sets options for each item and has one signal for all items", async () => {
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

  it("C115 aborts its loader when no caller waits for any item, and starts none when no caller waits", async () => {
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

  it("C115 counts as one load for maxLoads, for any number of items", async () => {
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

  it("C115 with forceRefresh loads every item and joins no running load", async () => {
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

  it("C49 a caller that joins an item with a tag of its own has it stored under that tag", async () => {
    const { cache } = open(stack);
    const loading = gate<string>();
    const many = cache.getOrSetMany(
      ["a", "b"],
      (key) => key,
      async (missing) => {
        const value = await loading.pass();
        return missing.map((key) => [key, value] as const);
      },
    );
    const joined = [cache.getOrSet("a", never, { tags: ["x"] }), cache.getOrSet("b", never, { tags: ["y"] })];
    await loading.arrived();
    loading.open("loaded");
    expect([(await many).size, ...(await Promise.all(joined))]).toEqual([2, "loaded", "loaded"]);
    expect([await cache.get("a"), await cache.get("b")]).toEqual(["loaded", "loaded"]);
    await cache.invalidateTags("x");
    expect([await cache.get("a"), await cache.get("b")]).toEqual([undefined, "loaded"]);
  });

  it("C115 items with a fresh copy are hits, in the order of the items, and no part of the load", async () => {
    const { cache } = open(stack);
    await cache.setMany([
      ["a", 1],
      ["c", 3],
    ]);
    const hits = watch(cache, "hit");
    const asked: (readonly string[])[] = [];
    const load = (missing: readonly string[]): (readonly [string, number])[] => {
      asked.push(missing);
      return missing.filter((key) => key !== "none").map((key) => [key, 2]);
    };
    const keys: string[] = [];
    const key = (item: string): string => {
      keys.push(item);
      return item;
    };
    expect([...(await cache.getOrSetMany(["a", "b", "none", "c", "a"], key, load))]).toEqual([
      ["a", 1],
      ["b", 2],
      ["c", 3],
    ]);
    expect([asked, keys]).toEqual([[["b", "none"]], ["a", "b", "none", "c"]]);
    expect([...(await cache.getOrSetMany(["c", "a"], key, load))]).toEqual([
      ["c", 3],
      ["a", 1],
    ]);
    expect([asked.length, hits.length]).toEqual([1, 4]);
  });
});

it("C161 a key that a batch cannot read is not absent: memory answers for it, and nothing is loaded", async () => {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, coherence: "reported" });
  const { read } = backend.batch!;
  const cache = createTestCache({ clock, backend, ttl: "1h" });
  await cache.connect();
  await cache.setMany([
    ["away", 1],
    ["there", 2],
  ]);
  const errors = watch(cache, "backend:error");
  Object.assign(backend.batch!, {
    read: async (keys: readonly string[]): ReturnType<typeof read> => {
      const found = await read(keys);
      return found.map((entry, i) => (keys[i]!.endsWith("away") ? new Error("its shard is down") : entry));
    },
  });
  // The copies are not trusted any more, so they are read.
  backend.link.freezeHeartbeat();
  clock.advance(2_000);
  const expected = new Map([
    ["away", 1],
    ["there", 2],
  ]);
  expect(await cache.getMany(["away", "there", "none"])).toEqual(expected);
  expect(await cache.getOrSetMany(["away", "there"], (key) => key, never)).toEqual(expected);
  expect(errors.map(([, { operation }]) => operation)).toEqual(["read", "read"]);
});

describe.each(STACKS_WITH_MEMORY)("setMany over %s", (stack) => {
  const many = (): (readonly [string, { n: number }])[] => Array.from({ length: 1_001 }, (_, i) => [`k${i}`, { n: 0 }]);

  it("C104 frozen: a value that the caller changes during the call throws", async () => {
    const { cache } = open(stack, { memory: { values: "frozen" } });
    const entries = many();
    const done = cache.setMany(entries);
    for (const [, value] of [entries[0]!, entries[1_000]!]) expect(() => (value.n = 1)).toThrow(TypeError);
    await done;
  });
});
