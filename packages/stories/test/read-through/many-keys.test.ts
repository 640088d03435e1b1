import { createTestCache, flush, gate, outcome, scriptedBackend, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { counted, never, open, STACKS, STACKS_WITH_BACKEND } from "../support/stacks.ts";
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
    ]);
    expect([...found]).toEqual([[items[0], null]]);
    expect(stored()).toEqual(stack === "memory" ? [] : ["test::item 1"]);
    expect(await Promise.all(items.map((item) => cache.has(keyOfItem(item))))).toEqual([true, false, false, false]);
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
});

it("a key that a batch cannot read is not absent: memory answers for it, and nothing is loaded", async () => {
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
