import { flush } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { gatedLoads, inStep } from "../support/processes.ts";
import { never, open, STACKS } from "../support/stacks.ts";

const WINDOWS = { ttl: 1_000, staleWhileRevalidate: 500, staleIfError: 500 } as const;

describe.each(STACKS)("over %s: clear({ stale: true })", (stack) => {
  const opened = (windows: Parameters<typeof open>[1] = WINDOWS) =>
    open(stack, { ...windows, backend: { tagVersions: true } });

  it.each(["the root", "a namespace"])("of %s marks what is there and below stale, and nothing else", async (of) => {
    const { cache, clock } = opened();
    const cleared = of === "the root" ? cache : cache.namespace("a");
    const spaces = [cleared, cleared.namespace("b"), cache.namespace("a2")];
    for (const space of spaces) await space.set("k", "old", { tags: ["t"] });
    clock.advance(400);
    expect(await cleared.clear({ stale: true })).toMatchObject({ status: "done" });
    const states = await Promise.all(spaces.map((space) => space.inspect("k")));
    const stale = { state: "stale", expiresInMs: 1_100 };
    expect(states).toMatchObject([stale, stale, of === "the root" ? stale : { state: "fresh", freshForMs: 600 }]);
    expect(await cleared.get("k")).toBeUndefined();
    expect(await cleared.get("k", { allowStale: true })).toBe("old");
  });

  it("serves the old value while one load refreshes it", async () => {
    const { cache } = opened();
    await cache.set("k", "old");
    await cache.clear({ stale: true });
    const loads = gatedLoads<string>();
    expect(await Promise.all([cache.getOrSet("k", loads.load), cache.getOrSet("k", loads.load)])).toEqual([
      "old",
      "old",
    ]);
    await loads.arrived(1);
    loads.runs[0]!.open("new");
    await cache.drain();
    expect(await cache.getOrSet("k", never)).toBe("new");
    expect(loads.runs.length).toBe(1);
  });

  it("refuses anything but true and false", async () => {
    const { cache } = opened();
    await cache.set("k", "kept");
    for (const options of [{ stale: "yes" }, { soft: true }, "k", null])
      await expect(cache.clear(options as never)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(await cache.get("k")).toBe("kept");
  });
});

describe("in every process", () => {
  it("the old value is served while one process loads", async () => {
    const {
      all: [p1, p2, p3],
    } = await inStep({ staleWhileRevalidate: "1h" }, 3);
    await p1.cache.namespace("n").set("k", "old");
    const [a, b, c] = [p1, p2, p3].map(({ cache }) => cache.namespace("n"));
    expect([await a!.get("k"), await b!.get("k")]).toEqual(["old", "old"]);
    expect(await p1.cache.clear({ stale: true })).toMatchObject({ status: "done" });
    expect([a!.peek("k"), b!.peek("k"), c!.peek("k")]).toEqual([undefined, undefined, undefined]);
    const loads = gatedLoads<string>();
    for (const space of [a, b, c]) expect(await space!.getOrSet("k", loads.load)).toBe("old");
    await loads.arrived(1);
    loads.runs[0]!.open("new");
    for (const { cache } of [p1, p2, p3]) await cache.drain();
    expect(loads.runs.length).toBe(1);
    for (const space of [a, b, c]) expect(await space!.getOrSet("k", never)).toBe("new");
  });

  it("a pending one is replayed as it was called", async () => {
    const { p1, p2, clock } = await inStep({ staleIfError: "1h" });
    await p1.cache.set("k", "old");
    expect(await p2.cache.get("k")).toBe("old");
    p1.backend.down();
    expect(await p1.cache.clear({ stale: true })).toEqual({ status: "pending" });
    expect([p1.cache.peek("k"), p2.cache.peek("k")]).toEqual([undefined, "old"]);
    p1.backend.up();
    clock.advance(1_000);
    await flush();
    expect(p2.cache.peek("k")).toBeUndefined();
    expect(await p2.cache.get("k", { allowStale: true })).toBe("old");
    expect(await p1.cache.inspect("k")).toMatchObject({ state: "stale" });
  });
});
