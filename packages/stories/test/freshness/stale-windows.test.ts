import { describe, expect, it } from "vitest";
import { open, STACKS } from "../support/stacks.ts";

const down = (): never => {
  throw new Error("db down");
};

describe.each(STACKS)("over %s", (stack) => {
  it("C21 a window set by the writer applies to readers that set none", async () => {
    const { cache, clock } = open(stack, { ttl: 1_000 });
    await cache.set("k", "old", { staleIfError: 5_000 });
    clock.advance(1_000);
    expect(await cache.getOrSet("k", down)).toBe("old");
    clock.advance(5_000);
    await expect(cache.getOrSet("k", down)).rejects.toThrow("db down");
  });

  it("C25 a reader can shorten the stored window but not extend it", async () => {
    const { cache, clock } = open(stack, { ttl: 1_000, errorBackoff: 0 });
    await cache.set("k", "old", { staleIfError: 5_000 });
    clock.advance(3_000);
    await expect(cache.getOrSet("k", down, { staleIfError: 0 })).rejects.toThrow("db down");
    await expect(cache.getOrSet("k", down, { staleIfError: 2_000 })).rejects.toThrow("db down");
    expect(await cache.getOrSet("k", down, { staleIfError: 2_001 })).toBe("old");
    clock.advance(3_000);
    await expect(cache.getOrSet("k", down, { staleIfError: "1h" })).rejects.toThrow("db down");
  });

  it("C11 C24 a forced call loads during the backoff, and other calls do not", async () => {
    const { cache, clock } = open(stack, { ttl: 1_000, staleIfError: "1h", errorBackoff: "1m" });
    await cache.set("k", "old");
    clock.advance(1_000);
    expect(await cache.getOrSet("k", down)).toBe("old");
    expect(await cache.getOrSet("k", () => "not asked")).toBe("old");
    expect(await cache.getOrSet("k", () => "new", { forceRefresh: true })).toBe("new");
    expect(await cache.getOrSet("k", () => "not asked")).toBe("new");
  });

  it("C13 a window that the loader sets applies to later readers", async () => {
    const { cache, clock } = open(stack, { ttl: 1_000 });
    await cache.getOrSet("k", (ctx) => {
      ctx.setOptions({ staleWhileRevalidate: 500 });
      return 1;
    });
    clock.advance(1_499);
    expect(await cache.getOrSet("k", () => 2)).toBe(1);
  });
});
