/** Bytes that stay on the heap: each process of these tests measures its own, so they run alone. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isNightly } from "@hotset/test-servers";
import { flush } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { heapGrowth } from "../support/heap-growth.ts";
import { failing } from "../support/sources.ts";
import { open, STACKS, type Stack } from "../support/stacks.ts";

/** Noise was at most 300 kB in each run. A leak of 5 bytes per read exceeds the limit, one of 1 byte in the
 * longest test of the night. */
const MAX_GROWTH_BYTES = 1_000_000;

describe("C107 the heap does not grow", () => {
  it.for<readonly [number, Stack]>([
    [isNightly ? 1_000_000 : 200_000, "memory"],
    [isNightly ? 1_000_000 : 200_000, "memory over backend"],
    [200_000, "backend"],
  ])("with %i reads of absent keys: %s", async ([reads, stack]) => {
    const { cache, backend } = open(stack);
    const miss = async (from: number, to: number): Promise<void> => {
      for (let i = from; i < to; i += 1_000) {
        // A batch where reads are backend calls, to save time.
        if (stack === "memory") for (let n = i; n < i + 1_000; n += 1) await cache.get(`no such key ${n}`);
        else await cache.getMany(Array.from({ length: 1_000 }, (_, n) => `no such key ${i + n}`));
        backend.forgetCalls();
      }
    };
    await miss(0, 100_000);
    let done = 100_000;
    const growth = await heapGrowth(MAX_GROWTH_BYTES, async () => {
      await miss(done, done + reads);
      done += reads;
    });
    expect(growth).toBeLessThan(MAX_GROWTH_BYTES);
    expect(cache.stats().misses).toBe(done);
  });

  it.for(STACKS)("with loads that store nothing and loads that fail: %s", async (stack) => {
    const { cache, backend } = open(stack, { staleIfError: "1h" });
    const load = failing();
    const miss = async (from: number, to: number): Promise<void> => {
      for (let i = from; i < to; i += 1) {
        await (i % 2 === 0
          ? cache.getOrSet(`k${i}`, () => undefined)
          : cache.getOrSet(`k${i}`, load).catch(() => undefined));
        if (i % 1_000 === 0) backend.forgetCalls();
      }
    };
    await miss(0, 10_000);
    backend.forgetCalls();
    // A leak of 17 bytes per load exceeds it.
    const maxBytes = 500_000;
    const growth = await heapGrowth(maxBytes, async (run) => {
      await miss(10_000 + run * 30_000, 40_000 + run * 30_000);
      backend.forgetCalls();
    });
    expect(growth).toBeLessThan(maxBytes);
  });

  it("with deletions of absent keys whose events have no listener", async () => {
    const { cache, backend } = open("memory over backend");
    const remove = async (from: number, to: number): Promise<void> => {
      for (let i = from; i < to; i += 1_000) {
        await cache.deleteMany(Array.from({ length: 1_000 }, (_, n) => `k${i + n}`));
        backend.forgetCalls();
      }
    };
    await remove(0, 10_000);
    const growth = await heapGrowth(MAX_GROWTH_BYTES, (run) => remove(10_000 + run * 100_000, 110_000 + run * 100_000));
    expect(growth).toBeLessThan(MAX_GROWTH_BYTES);
  });
});

it("an entry takes at most 175 bytes beside its key and its value", async () => {
  const count = 32_000;
  const caches = Array.from({ length: 4 }, () => open("memory", { ttl: "1h", memory: { maxEntries: count } }));
  const keys = Array.from({ length: count }, (_, i) => `user:${i}`);
  const value = { name: "Ada" };
  const limitBytes = 175 * count;
  const growth = await heapGrowth(limitBytes, async (run) => {
    const { cache, clock } = caches[run]!;
    clock.advance(0.7);
    for (const key of keys) await cache.set(key, value);
  });
  expect(caches[0]!.cache.stats().tiers[0]!.entries).toBe(count);
  expect(growth).toBeLessThan(limitBytes);
});

it.for(STACKS)(
  "C80 the memory for tags is bounded: in the process, and forgetting a tag only causes misses: %s",
  async (stack) => {
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
    // A Map of that many such strings takes 4 MB and more.
    const MANY = 35_000;
    const limitBytes = 2_000_000;
    const growth = await heapGrowth(limitBytes, async (run) => {
      await invalidate(20_000 + run * MANY, 20_000 + (run + 1) * MANY);
      backend.store.clear();
    });
    expect(growth).toBeLessThan(limitBytes);

    await cache.set("k", "value", { tags: ["t1"] });
    expect(await cache.get("k")).toBe("value");
    await cache.invalidateTags("t1");
    await invalidate(0, 20_000);
    expect(await cache.get("k")).toBeUndefined();
    expect(await cache.get("before")).toBe(stack === "backend" ? undefined : "value");
  },
);

it("a source that hangs under 150,000 calls does not fill the memory", async () => {
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  const { cache } = open("memory");
  const heldBytes = async (): Promise<number> => {
    await flush();
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  const call = (from: number, to: number): void => {
    for (let i = from; i < to; i += 1) cache.getOrSet(`k${i}`, () => new Promise(() => {})).catch(() => {});
  };
  call(0, 100_000);
  const full = await heldBytes();
  call(100_000, 150_000);
  expect((await heldBytes()) - full).toBeLessThan(500_000);
  expect(cache.stats()).toMatchObject({ waiting: 100_000, overloaded: 50_000 });
});
