/** Loads that wait for one of `maxLoads` or `maxBackgroundLoads` slots. */
import { flush, gate, outcome, type Gate } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { numbered } from "../support/sources.ts";
import { counted, never, open, STACKS, STACKS_WITH_BACKEND } from "../support/stacks.ts";

const PENDING = { status: "pending" } as const;

describe.each(STACKS)("over %s", (stack) => {
  it("C50 loads that hold all slots and wait for one that is queued let it run", async () => {
    const { cache } = open(stack, { maxLoads: 2 });
    const rendering = [gate(), gate()];
    const pages = rendering.map(async (each, i) =>
      cache.getOrSet(`page ${i}`, async () => {
        await each.pass();
        return cache.getOrSet("settings", never);
      }),
    );
    await Promise.all(rendering.map(async (each) => each.arrived()));
    // Queued: both slots are taken.
    const direct = cache.getOrSet("settings", () => "settings");
    const other = cache.getOrSet("other", () => "other");
    expect([await outcome(direct), await outcome(other)]).toEqual([PENDING, PENDING]);
    for (const each of rendering) each.open();
    expect(await Promise.all([...pages, direct, other])).toEqual(["settings", "settings", "settings", "other"]);
  });

  it("a queued load whose callers ran out of time does not run; a new key is loaded at once", async () => {
    const { cache, clock } = open(stack, { maxLoads: 1, hardTimeout: 500 });
    const hanging = gate<string>();
    const first = cache.getOrSet("first", hanging.pass, { hardTimeout: Infinity });
    await hanging.arrived();
    const dropped = counted("late");
    const calls = Array.from({ length: 100 }, async (_, i) => outcome(cache.getOrSet(`k${i}`, dropped.load)));
    clock.advance(500);
    await flush();
    const fresh = cache.getOrSet("fresh", () => "at once");
    hanging.open("first");
    expect([await first, await fresh, dropped.runs]).toEqual(["first", "at once", 0]);
    await Promise.all(calls);
    await cache.drain();
    expect(cache.stats().loads).toBe(2);
  });

  it("a caller that got a stale value at its softTimeout has it refreshed all the same", async () => {
    const { cache, clock } = open(stack, { maxLoads: 1, ttl: 100, staleIfError: 10_000, softTimeout: 10 });
    await cache.set("k", "old");
    clock.advance(100);
    const hanging = gate<string>();
    const first = cache.getOrSet("first", hanging.pass);
    await hanging.arrived();
    const call = cache.getOrSet("k", () => "new");
    await flush();
    clock.advance(10);
    expect(await call).toBe("old");
    hanging.open("first");
    await first;
    await cache.drain();
    expect(await cache.get("k")).toBe("new");
  });

  it.each(["b x y", "x y b", "x b y"])(
    "a batch loads, whichever of the loads before it end first: %s",
    async (order) => {
      const { cache } = open(stack, { maxLoads: 3 });
      const source = gate();
      for (const key of order.split(" "))
        void cache.getOrSet(key, async ({ notShared }) => {
          await source.pass();
          return key === "b" ? notShared("for one") : key;
        });
      await flush();
      const batch = cache.getOrSetMany(
        ["a", "b"],
        (item) => item,
        async (items) => items.map((item) => [item, `${item} of the batch`] as const),
      );
      await flush();
      source.open();
      await flush();
      expect(await outcome(batch)).toEqual({
        status: "fulfilled",
        value: new Map([
          ["a", "a of the batch"],
          ["b", "b of the batch"],
        ]),
      });
    },
  );

  it("C115 a batch takes one slot for loads in the background, however many stale items it has", async () => {
    const keys = Array.from({ length: 50 }, (_, i) => `k${i}`);
    const { cache, clock } = open(stack, { ttl: 100, staleWhileRevalidate: "1h", maxBackgroundLoads: 1 });
    await cache.setMany(keys.map((key) => [key, "old"]));
    clock.advance(100);
    const batches: (readonly string[])[] = [];
    const found = await cache.getOrSetMany(
      keys,
      (key) => key,
      (missing) => {
        batches.push(missing);
        return missing.map((key) => [key, "new"]);
      },
    );
    expect(new Set(found.values())).toEqual(new Set(["old"]));
    await cache.drain();
    expect(batches.map((each) => each.length)).toEqual([50]);
    expect(await cache.get("k49")).toBe("new");
  });
});

describe.each(STACKS_WITH_BACKEND)("over %s", (stack) => {
  it("a batch asks for no lease before it has its slot", async () => {
    const { cache, backend } = open(stack, { maxLoads: 1 });
    const hanging: Gate<string> = gate();
    const first = cache.getOrSet("first", hanging.pass);
    await hanging.arrived();
    backend.forgetCalls();
    const batch = cache.getOrSetMany(
      ["a", "b"],
      (key) => key,
      (missing) => missing.map((key) => [key, key]),
    );
    await flush();
    expect(backend.count("leases.acquire")).toBe(0);
    hanging.open("first");
    await Promise.all([first, batch]);
    expect(await cache.get("a")).toBe("a");
  });

  it("C24 during errorBackoff a copy is served without a trip to the backend", async () => {
    const { cache, clock, backend } = open("memory over backend", {
      ttl: 100,
      staleIfError: "1h",
      errorBackoff: 1_000,
    });
    await cache.set("k", "old");
    clock.advance(100);
    const load = numbered();
    await cache.getOrSet("k", () => Promise.reject(new Error("down")));
    backend.forgetCalls();
    expect(await cache.getOrSet("k", load)).toBe("old");
    expect([backend.count(), load.runs]).toEqual([0, 0]);
    clock.advance(1_000);
    expect(await cache.getOrSet("k", load)).toBe("value-1");
  });
});
