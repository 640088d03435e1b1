import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { ConfigurationError, createCache, InvalidArgumentError, type LocalEntry } from "@hotset/core";
import { createTestCache, flush, scriptedBackend, TestClock } from "@hotset/testing";
import { describeLocalTier } from "@hotset/testing/contract-suites";
import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { memory, type MemoryOptions } from "./memory.ts";

describeLocalTier("memory", { open: ({ maxEntries }) => memory({ maxEntries }) });
describeLocalTier("memory, adaptive", { open: ({ maxEntries }) => memory({ maxEntries, eviction: "adaptive" }) });
describeLocalTier("memory, adaptive, without a bound on bytes", {
  open: ({ maxEntries }) => memory({ maxEntries, maxBytes: Infinity, eviction: "adaptive" }),
});
describeLocalTier("memory with a bound on bytes", {
  open: ({ maxEntries }) => memory({ maxEntries, maxBytes: 10_000_000 }),
});

/** An attached tier, and its reported evictions. */
function open(options?: MemoryOptions) {
  const clock = new TestClock();
  const evicted: (readonly [key: string, reason: "entries" | "bytes"])[] = [];
  const tier = memory(options);
  tier.attach({ clock, evicted: (key, reason) => void evicted.push([key, reason]) });
  return { tier, clock, evicted };
}

const lasting = (value: unknown, encodedBytes?: number): LocalEntry => ({
  value,
  deadAt: Infinity,
  ...(encodedBytes === undefined ? {} : { encodedBytes }),
});

const sizeOf = (value: unknown): number => value as number;

/** CPU time. */
function microseconds(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

it.each(["lru", "adaptive"] as const)("drops 100,000 entries without a look at each, %s", (eviction) => {
  // The least of some rounds: the collector may run in one.
  const shares = Array.from({ length: 4 }, () => {
    const { tier, evicted } = open({ maxEntries: 100_000, eviction });
    const filled = microseconds(() => {
      for (let i = 0; i < 100_000; i += 1) tier.set(`key ${i}`, lasting(i, 100));
    });
    const cleared = microseconds(() => tier.clear());
    expect([tier.entryCount, tier.usedBytes, evicted.length]).toEqual([0, 0, 0]);
    return cleared / filled;
  });
  expect(Math.min(...shares)).toBeLessThan(1 / 5);
});

it.each(["lru", "adaptive"] as const)("drops a few entries without making room for a million, %s", (eviction) => {
  let tier!: ReturnType<typeof memory>;
  const made = microseconds(() => ({ tier } = open({ maxEntries: 1_000_000, eviction: "lru" })));
  ({ tier } = open({ maxEntries: 1_000_000, eviction }));
  for (let i = 0; i < 10; i += 1) tier.set(`key ${i}`, lasting(i, 100));
  const cleared = microseconds(() => tier.clear());
  expect([tier.entryCount, tier.usedBytes]).toEqual([0, 0]);
  expect(cleared).toBeLessThan(made / 4);
});

describe.each(["lru", "adaptive"] as const)("a walk, %s", (eviction) => {
  it("gives each entry with its size, and uses none", () => {
    const { tier, evicted } = open({ maxEntries: 2, eviction });
    const [one, other] = [lasting("a", 1_000), lasting("b", 50)];
    tier.set("a", one);
    tier.set("b", other);
    expect([...tier.walk!()].toSorted((a, b) => (a.key < b.key ? -1 : 1))).toEqual([
      { key: "a", entry: one, bytes: 1_302 },
      { key: "b", entry: other, bytes: 352 },
    ]);
    tier.set("c", lasting("c"));
    expect(evicted).toEqual([["a", "entries"]]);
  });

  it("has no size where bytes do not count, and leaves out what is removed meanwhile", () => {
    const { tier } = open({ maxBytes: Infinity, eviction });
    for (const key of ["a", "b", "c"]) tier.set(key, lasting(key));
    const walked = [];
    for (const each of tier.walk!()) {
      tier.delete("b");
      walked.push(each);
    }
    expect(walked.map(({ key }) => key).toSorted()).toEqual(["a", "c"]);
    expect(walked.every((each) => !("bytes" in each))).toBe(true);
  });
});

describe("C102 neither bound is ever exceeded", () => {
  it("evicts the least recently used entry when there are too many", () => {
    const { tier, evicted } = open({ maxEntries: 3 });
    for (const key of ["a", "b", "c"]) tier.set(key, lasting(key));
    tier.get("a");
    tier.set("b", lasting("b2"));
    tier.set("d", lasting("d"));
    expect(evicted).toEqual([["c", "entries"]]);
    tier.set("e", lasting("e"));
    expect(evicted).toEqual([
      ["c", "entries"],
      ["a", "entries"],
    ]);
    expect(tier.entryCount).toBe(3);
  });

  it("holds 10,000 entries by default", () => {
    const { tier, evicted } = open();
    for (let i = 0; i < 10_001; i += 1) tier.set(`${i}`, lasting(i));
    expect(tier.entryCount).toBe(10_000);
    expect(evicted).toEqual([["0", "entries"]]);
  });

  it.each<[MemoryOptions, number]>([
    [{ maxBytes: "1kb" }, 1_024],
    [{ maxBytes: "0.5mb" }, 524_288],
    [{ maxBytes: 100 }, 100],
  ])("takes a size as text, %j", (options, bytes) => {
    const { tier, evicted } = open({ ...options, maxEntryBytes: bytes, sizeOf });
    tier.set("a", lasting(bytes));
    expect([tier.usedBytes, evicted]).toEqual([bytes, []]);
    tier.set("b", lasting(1));
    expect([tier.usedBytes, evicted]).toEqual([1, [["a", "bytes"]]]);
  });

  it("holds an eighth of the heap limit by default, and of one value a tenth of that", () => {
    const most = Math.floor(getHeapStatistics().heap_size_limit / 8);
    const { tier, evicted } = open({ sizeOf });
    for (let i = 0; i < 9; i += 1) tier.set(`${i}`, lasting(Math.floor(most / 10)));
    tier.set("a", lasting(most - tier.usedBytes! - 20));
    expect([tier.entryCount, evicted]).toEqual([10, []]);
    tier.set("b", lasting(20));
    expect([tier.usedBytes, evicted]).toEqual([most, []]);
    tier.set("c", lasting(1));
    expect(evicted).toEqual([["0", "bytes"]]);
    tier.set("c", lasting(Math.floor(most / 10) + 1));
    expect(tier.get("c")).toBe(undefined);
  });

  it("evicts as many entries as necessary when they are too large", () => {
    const { tier, evicted } = open({ maxBytes: 100, maxEntryBytes: 100, sizeOf });
    for (const [key, size] of [
      ["a", 30],
      ["b", 30],
      ["c", 40],
    ] as const)
      tier.set(key, lasting(size));
    expect([tier.usedBytes, evicted]).toEqual([100, []]);
    tier.set("d", lasting(50));
    expect([tier.usedBytes, evicted]).toEqual([
      90,
      [
        ["a", "bytes"],
        ["b", "bytes"],
      ],
    ]);
  });

  it("reports which bound was exceeded", () => {
    const { tier, evicted } = open({ maxEntries: 3, maxBytes: 100, maxEntryBytes: 100, sizeOf });
    for (const key of ["a", "b", "c"]) tier.set(key, lasting(30));
    tier.set("d", lasting(30));
    expect(evicted).toEqual([["a", "entries"]]);
    tier.set("e", lasting(80));
    expect(evicted).toEqual([
      ["a", "entries"],
      ["b", "entries"],
      ["c", "bytes"],
      ["d", "bytes"],
    ]);
    expect([tier.entryCount, tier.usedBytes]).toEqual([1, 80]);
  });

  it("evicts others to make room for an entry that grew", () => {
    const { tier, evicted } = open({ maxBytes: 100, maxEntryBytes: 100, sizeOf });
    for (const key of ["a", "b", "c"]) tier.set(key, lasting(30));
    tier.set("a", lasting(60));
    expect([tier.usedBytes, evicted]).toEqual([90, [["b", "bytes"]]]);
    expect(tier.get("a")?.value).toBe(60);
  });

  it("skips a value that is too large, and keeps no older value in its place", () => {
    const { tier, evicted } = open({ maxBytes: 100, maxEntryBytes: 50, sizeOf });
    tier.set("a", lasting(10));
    tier.set("b", lasting(10));
    tier.set("a", lasting(51));
    expect(tier.get("a")).toBe(undefined);
    expect(tier.get("b")?.value).toBe(10);
    tier.set("c", lasting(50));
    expect([tier.usedBytes, tier.entryCount, evicted]).toEqual([60, 2, []]);
  });

  it("skips values larger than a tenth of maxBytes by default", () => {
    const { tier } = open({ maxBytes: 100, sizeOf });
    tier.set("a", lasting(10));
    tier.set("b", lasting(11));
    expect([tier.get("a")?.value, tier.get("b")]).toEqual([10, undefined]);
  });

  it("skips a value that is too large if only maxEntryBytes is given", () => {
    const { tier } = open({ maxBytes: Infinity, maxEntryBytes: 50, sizeOf });
    for (const size of [50, 51, 20]) tier.set(`${size}`, lasting(size));
    expect([tier.get("50")?.value, tier.get("51"), tier.usedBytes]).toEqual([50, undefined, 70]);
  });

  it("leaves a value that is too large for it to the backend", async () => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock });
    const local = memory({ maxBytes: 10_000, maxEntryBytes: 500 });
    await using cache = createTestCache({ clock, local, backend });
    const large = "x".repeat(5_000);
    await cache.set("k", "small");
    expect((await cache.inspect("k"))?.tier).toBe("memory");

    expect((await cache.set("k", large)).status).toBe("stored");
    expect([local.entryCount, cache.peek("k")]).toEqual([0, undefined]);
    expect(await cache.get("k")).toBe(large);
    expect((await cache.inspect("k"))?.tier).toBe("scripted");
    expect(await cache.getOrSet("loaded", () => large)).toBe(large);
    expect(await cache.getOrSet("loaded", () => "loaded again")).toBe(large);
    expect([local.entryCount, local.usedBytes]).toEqual([0, 0]);
  });

  it("keeps both bounds and the order of use, under random operations", () => {
    const key = fc.constantFrom("a", "b", "c", "d", "e", "f");
    const step = fc.oneof(
      {
        weight: 25,
        arbitrary: fc.record({
          do: fc.constant("set" as const),
          key,
          size: fc.integer({ min: 0, max: 60 }),
          livesMs: fc.constantFrom(Infinity, 500, 1_000, 3_000, 600_000),
        }),
      },
      { weight: 15, arbitrary: fc.record({ do: fc.constant("get" as const), key }) },
      { weight: 5, arbitrary: fc.record({ do: fc.constant("delete" as const), key }) },
      {
        weight: 5,
        arbitrary: fc.record({
          do: fc.constant("advance" as const),
          byMs: fc.constantFrom(1, 499, 1_000, 2_500, 512_000),
        }),
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant("clear" as const) }) },
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 20, max: 120 }),
        fc.array(step, { maxLength: 60 }),
        (maxEntries, maxBytes, steps) => {
          const { tier, clock, evicted } = open({
            maxEntries,
            maxBytes,
            maxEntryBytes: Math.min(50, maxBytes),
            sizeOf,
          });
          /** In the order of use, least recent first. */
          const model = new Map<string, { readonly entry: LocalEntry; readonly size: number }>();
          const modelEvicted: (readonly [string, string])[] = [];
          const used = () => [...model.values()].reduce((sum, { size }) => sum + size, 0);
          const evict = (reason: string) => {
            const [oldest] = model.keys();
            model.delete(oldest!);
            modelEvicted.push([oldest!, reason]);
          };
          for (const action of steps) {
            let answer: unknown;
            let modelAnswer: unknown;
            switch (action.do) {
              case "set": {
                const entry = { value: action.size, deadAt: clock.now() + action.livesMs };
                tier.set(action.key, entry);
                const wasThere = model.delete(action.key);
                if (action.size > Math.min(50, maxBytes)) break;
                const size = Math.max(1, action.size);
                if (!wasThere && model.size === maxEntries) evict("entries");
                while (used() + size > maxBytes) evict("bytes");
                model.set(action.key, { entry, size });
                break;
              }
              case "get": {
                const held = model.get(action.key);
                answer = tier.get(action.key);
                modelAnswer = held?.entry;
                if (held === undefined) break;
                model.delete(action.key);
                model.set(action.key, held);
                break;
              }
              case "delete":
                answer = tier.delete(action.key);
                modelAnswer = model.delete(action.key);
                break;
              case "advance":
                clock.advance(action.byMs);
                for (const [name, { entry }] of model) {
                  if (Math.floor(entry.deadAt / 1_000) < Math.floor(clock.now() / 1_000)) model.delete(name);
                }
                break;
              case "clear":
                tier.clear();
                model.clear();
                break;
            }
            expect(answer).toBe(modelAnswer);
            expect(tier.entryCount).toBeLessThanOrEqual(maxEntries);
            expect(tier.usedBytes).toBeLessThanOrEqual(maxBytes);
            expect([tier.entryCount, tier.usedBytes, evicted]).toEqual([model.size, used(), modelEvicted]);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe.each(["lru", "adaptive"] as const)("C103 sizes are counted anew at every store, eviction: %s", (eviction) => {
  it("when a value is replaced by a smaller or larger one", () => {
    const { tier } = open({ eviction, maxBytes: 1_000, sizeOf });
    tier.set("a", lasting(10));
    tier.set("a", lasting(90));
    expect(tier.usedBytes).toBe(90);
    tier.set("a", lasting(20));
    expect(tier.usedBytes).toBe(20);
    tier.delete("a");
    expect(tier.usedBytes).toBe(0);
  });

  it("when a value comes back from the backend", async () => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock });
    const local = memory({ eviction, maxBytes: 100_000 });
    await using cache = createTestCache({ clock, local, backend, ttl: "1m" });
    await using other = createTestCache({ clock, backend, local: false, ttl: "1m" });
    await cache.set("k", "x".repeat(100));
    const small = local.usedBytes!;
    await other.set("k", "x".repeat(3_100));
    local.clear();
    expect((await cache.get<string>("k"))?.length).toBe(3_100);
    expect(local.usedBytes).toBe(small + 3_000);
  });

  it("when a backend reports the encoded size of a value whose size was estimated", () => {
    const { tier } = open({ eviction, maxBytes: 100_000 });
    tier.set("k", lasting("small", 1_000));
    expect(tier.usedBytes).toBe(1_302);
    tier.set("k", lasting("small", 3_000));
    expect(tier.usedBytes).toBe(3_302);
  });

  it("C598 with the tags of its entry, for each namespace", async () => {
    const local = memory({ eviction, maxBytes: 1_000_000 });
    await using cache = createTestCache({ name: "shop", local, ttl: "1m" });
    const users = cache.namespace("users");
    await users.set("k", 1);
    const small = local.usedBytes!;
    await users.set("k", 1, { tags: Array.from({ length: 2_000 }, (_, i) => String(i).padStart(10, "t")) });
    const [root, below] = ["{~shop}::".length, "{~shop}:users::".length];
    expect(local.usedBytes! - small).toBe(2_001 * (200 + root + below) + 2_000 * 20);
    await users.set("k", 1);
    expect(local.usedBytes).toBe(small);
  });

  it("when the very same entry is stored again and its value has grown", () => {
    const { tier } = open({
      eviction,
      maxBytes: 1_000,
      maxEntryBytes: 500,
      sizeOf: (value) => (value as number[]).length,
    });
    const entry = lasting([1, 2, 3]);
    tier.set("k", entry);
    (entry.value as number[]).push(4, 5);
    tier.set("k", entry);
    expect(tier.usedBytes).toBe(5);
    (entry.value as number[]).length = 600;
    tier.set("k", entry);
    expect([tier.usedBytes, tier.get("k")]).toEqual([0, undefined]);
  });
});

describe("the size of an entry", () => {
  it.each<[what: string, entry: LocalEntry, bytes: number]>([
    ["300 bytes, 2 for each character of the key, and the encoded size", lasting({ name: "Ada" }, 57), 300 + 6 + 57],
    ["an estimate where no encoded size is known", lasting("four"), 300 + 6 + 16],
    ["an estimate, with no value", lasting(null), 300 + 6 + 8],
    ["whole bytes", lasting("x", 0.5), 300 + 6 + 1],
  ])("is %s", (_, entry, bytes) => {
    const { tier } = open({ maxBytes: 100_000 });
    tier.set("key", entry);
    expect(tier.usedBytes).toBe(bytes);
  });

  it("is the result of sizeOf alone, in whole bytes and at least one", () => {
    const { tier } = open({ maxBytes: 100, sizeOf: (value) => value as number });
    tier.set("a long key", lasting(2.5, 1_000));
    expect(tier.usedBytes).toBe(3);
    tier.set("b", lasting(0));
    expect(tier.usedBytes).toBe(4);
  });

  it("is not measured if bytes are not bounded", () => {
    const asked = vi.fn<(value: unknown) => number>(() => 1);
    const { tier } = open({ maxBytes: Infinity, sizeOf: asked });
    tier.set("a", lasting(1));
    expect(asked).not.toHaveBeenCalled();
    expect("usedBytes" in tier).toBe(false);
  });

  it.each([
    ["NaN", NaN],
    ["a negative number", -1],
    ["Infinity", Infinity],
    ["text", "12"],
    ["nothing", undefined],
    ["a bigint", 12n],
  ])("is refused as %s, and an older value under the key is removed", (_, answer) => {
    let size: unknown = 10;
    const { tier } = open({ maxBytes: 100, sizeOf: () => size as number });
    tier.set("a", lasting("old"));
    tier.set("b", lasting("other"));
    size = answer;
    expect(() => tier.set("a", lasting("new"))).toThrow(InvalidArgumentError);
    expect(() => tier.set("a", lasting("new"))).toThrow("memory: sizeOf must return a size in bytes");
    expect([tier.get("a"), tier.get("b")?.value, tier.usedBytes]).toEqual([undefined, "other", 10]);
  });

  it("is refused when sizeOf throws, with its error as the cause", () => {
    const cause = new RangeError("no size");
    const { tier } = open({
      maxBytes: 100,
      sizeOf() {
        throw cause;
      },
    });
    expect(() => tier.set("a", lasting(1))).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT", tier: "memory", cause }),
    );
  });
});

describe.each(["lru", "adaptive"] as const)(
  "C106 an ended entry is reclaimed without being read, eviction: %s",
  (eviction) => {
    it("within a second of its end", () => {
      const { tier, clock, evicted } = open({ eviction, maxBytes: 100_000 });
      for (let i = 0; i < 100; i += 1) tier.set(`k${i}`, { value: i, deadAt: clock.now() + 10 * i });
      tier.set("forever", lasting(1));
      clock.advance(990 + 1_000);
      expect(tier.entryCount).toBe(1);
      expect(tier.get("forever")?.value).toBe(1);
      expect(evicted).toEqual([]);
      tier.clear();
      expect(tier.usedBytes).toBe(0);
    });

    it("not before its end", () => {
      const { tier, clock } = open({ eviction });
      tier.set("k", { value: 1, deadAt: clock.now() + 86_400_000 });
      clock.advance(86_399_999);
      expect(tier.get("k")?.value).toBe(1);
      clock.advance(1_001);
      expect(tier.entryCount).toBe(0);
    });

    it("at the end of the present entry, not of one that it replaced", () => {
      const { tier, clock } = open({ eviction });
      tier.set("prolonged", { value: 1, deadAt: clock.now() + 1_000 });
      tier.set("prolonged", { value: 2, deadAt: clock.now() + 60_000 });
      tier.set("made endless", { value: 1, deadAt: clock.now() + 1_000 });
      tier.set("made endless", lasting(2));
      tier.set("cut short", lasting(1));
      tier.set("cut short", { value: 2, deadAt: clock.now() + 1_000 });
      tier.set("deleted and stored again", { value: 1, deadAt: clock.now() + 1_000 });
      tier.delete("deleted and stored again");
      tier.set("deleted and stored again", { value: 2, deadAt: clock.now() + 60_000 });
      clock.advance(2_000);
      expect(tier.get("prolonged")?.value).toBe(2);
      expect(tier.get("made endless")?.value).toBe(2);
      expect(tier.get("cut short")).toBe(undefined);
      expect(tier.get("deleted and stored again")?.value).toBe(2);
      clock.advance(60_000);
      expect(tier.entryCount).toBe(1);
    });

    it("500 at a time when very many end together", () => {
      const { tier, clock } = open({ eviction, maxEntries: 10_000 });
      for (let i = 0; i < 10_000; i += 1) tier.set(`k${i}`, { value: i, deadAt: clock.now() + 500 });
      clock.advance(1_000);
      expect(tier.entryCount).toBe(9_500);
      clock.advance(1);
      expect(tier.entryCount).toBe(9_000);
      clock.advance(18);
      expect(tier.entryCount).toBe(0);
    });

    it("in one go when few of many are left: evicted keys are not checked", () => {
      const { tier, clock, evicted } = open({ eviction, maxEntries: 10 });
      for (let i = 0; i < 5_000; i += 1) tier.set(`k${i}`, { value: i, deadAt: clock.now() + 500 });
      expect(evicted.length).toBe(4_990);
      clock.advance(1_000);
      expect(tier.entryCount).toBe(0);
    });

    it("also after it was emptied and filled again", () => {
      const { tier, clock } = open({ eviction });
      tier.set("a", { value: 1, deadAt: clock.now() + 1_000 });
      tier.clear();
      tier.set("b", { value: 1, deadAt: clock.now() + 5_000 });
      clock.advance(6_000);
      expect(tier.entryCount).toBe(0);
    });
  },
);

/** What holds options, and their names, are configuration; values are arguments. */
const refusalOf = (message: string): typeof ConfigurationError | typeof InvalidArgumentError =>
  /unknown option|must be an object, got/.test(message) ? ConfigurationError : InvalidArgumentError;

describe("memory", () => {
  it("belongs to one cache, and to one before it stores", () => {
    const tier = memory({ label: "near" });
    expect(() => tier.set("k", lasting(1))).toThrow(ConfigurationError);
    const host = { clock: new TestClock(), evicted: () => undefined };
    tier.attach(host);
    expect(() => tier.attach(host)).toThrow(ConfigurationError);
    expect(() => tier.attach(host)).toThrow("near: this tier already belongs to a cache; call memory() once per cache");
    tier.set("k", lasting(1));
    expect(tier.get("k")?.value).toBe(1);
  });

  it("is called memory and shares values by default", () => {
    expect([memory().label, memory().values]).toEqual(["memory", "shared"]);
    expect([memory({ label: "near", values: "frozen" }).label, memory({ values: "cloned" }).values]).toEqual([
      "near",
      "cloned",
    ]);
  });

  it("treats undefined as not given", () => {
    expect(() =>
      memory({
        label: undefined,
        maxEntries: undefined,
        maxBytes: undefined,
        maxEntryBytes: undefined,
        sizeOf: undefined,
        values: undefined,
        eviction: undefined,
      }),
    ).not.toThrow();
  });

  it.each<[options: unknown, message: string]>([
    [
      { maxItems: 5 },
      'memory: unknown option "maxItems"; did you mean maxEntries?; accepted: label, maxEntries, maxBytes, maxEntryBytes, sizeOf, values, eviction',
    ],
    [null, "memory: options must be an object, got null"],
    [5, "memory: options must be an object, got a number"],
    // The values() of an array would be its option.
    [[], "memory: options must be an object, got an array"],
    [{ label: "" }, 'memory: label must be a non-empty string, got ""'],
    [{ label: 5 }, "memory: label must be a non-empty string, got 5"],
    [{ maxEntries: 0 }, "memory: maxEntries must be a whole number from 1 to 16777216, got 0"],
    [{ maxEntries: -1 }, "memory: maxEntries must be a whole number from 1 to 16777216, got -1"],
    [{ maxEntries: NaN }, "memory: maxEntries must be a whole number from 1 to 16777216, got NaN"],
    [{ maxEntries: 1.5 }, "memory: maxEntries must be a whole number from 1 to 16777216, got 1.5"],
    [{ maxEntries: Infinity }, "memory: maxEntries must be a whole number from 1 to 16777216, got Infinity"],
    [{ maxEntries: "10" }, 'memory: maxEntries must be a whole number from 1 to 16777216, got "10"'],
    [{ maxEntries: 10n }, "memory: maxEntries must be a whole number from 1 to 16777216, got 10n"],
    [{ maxEntries: null }, "memory: maxEntries must be a whole number from 1 to 16777216, got null"],
    [
      { maxBytes: 0 },
      'memory: maxBytes must be a whole number of bytes, at least 1, a size like "64mb", or Infinity, got 0',
    ],
    [
      { maxBytes: -5 },
      'memory: maxBytes must be a whole number of bytes, at least 1, a size like "64mb", or Infinity, got -5',
    ],
    [
      { maxBytes: NaN },
      'memory: maxBytes must be a whole number of bytes, at least 1, a size like "64mb", or Infinity, got NaN',
    ],
    [
      { maxBytes: [1] },
      'memory: maxBytes must be a whole number of bytes, at least 1, a size like "64mb", or Infinity, got an array',
    ],
    [
      { maxBytes: 100, maxEntryBytes: 101 },
      'memory: maxEntryBytes must be a whole number of bytes from 1 to maxBytes (100), or a size like "1mb", got 101',
    ],
    [
      { maxBytes: 100, maxEntryBytes: null },
      'memory: maxEntryBytes must be a whole number of bytes from 1 to maxBytes (100), or a size like "1mb", got null',
    ],
    [
      { maxBytes: Infinity, maxEntryBytes: 0 },
      'memory: maxEntryBytes must be a whole number of bytes from 1 to 9007199254740991, or a size like "1mb", got 0',
    ],
    [{ maxBytes: "64 mb" }, 'memory: maxBytes must be a whole number of bytes, at least 1, a size like "64mb"'],
    [{ maxBytes: "0.5b" }, 'memory: maxBytes must be a whole number of bytes, at least 1, a size like "64mb"'],
    [{ maxBytes: "1e9mb" }, 'memory: maxBytes must be a whole number of bytes, at least 1, a size like "64mb"'],
    [{ sizeOf: 5 }, "memory: sizeOf must be a function of a value, got a number"],
    [{ values: "copied" }, 'memory: values must be "shared" or "frozen" or "cloned", got "copied"'],
    [{ eviction: "lfu" }, 'memory: eviction must be "lru" or "adaptive", got "lfu"'],
    [{ eviction: null }, 'memory: eviction must be "lru" or "adaptive", got null'],
    [{ values: {} }, 'memory: values must be "shared" or "frozen" or "cloned", got an object'],
  ])("refuses %o", (options, message) => {
    const build = () => memory(options as MemoryOptions);
    expect(build).toThrow(refusalOf(message));
    expect(build).toThrow(message);
  });
});

describe("a cache that is dropped without close", () => {
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;

  it.each(["lru", "adaptive"] as const)(
    "is collected with its entries, long before these end: %s",
    async (eviction) => {
      const dropped: WeakRef<object>[] = [];
      const kept = createCache({ name: "kept" }).tier(memory({ eviction })).defaults({ ttl: "1h" }).build();
      const fill = async (): Promise<void> => {
        for (const name of ["a", "b", "c"]) {
          const tier = memory({ eviction });
          const cache = createCache({ name }).tier(tier).defaults({ ttl: "1h" }).build();
          const value = await cache.getOrSet("user:1", async () => ({ name: "Ada" }));
          dropped.push(new WeakRef(value), new WeakRef(tier));
        }
        await kept.set("user:1", "Ada");
      };
      await fill();
      for (let turn = 0; turn < 5; turn += 1) {
        await flush();
        collectGarbage();
      }
      expect(dropped.map((each) => each.deref())).toEqual(Array.from({ length: 6 }, () => undefined));
      expect(await kept.get("user:1")).toBe("Ada");
      await kept.close();
    },
  );
});
