import { describe, expect, it } from "vitest";
import { open, STACKS } from "../support/stacks.ts";

describe.each(STACKS)("C477 over %s: maxTtl", (stack) => {
  it("bounds the ttl of every value, wherever it is set, and leaves shorter ones", async () => {
    const { cache } = open(stack, { ttl: "1h", negativeTtl: "30m", maxTtl: 1_000, staleIfError: 500 });
    const wrapped = cache.wrap((id: number) => id, { name: "f", ttl: () => "1d" });
    await cache.getOrSet("default", () => 1);
    await cache.getOrSet("call", () => 1, { ttl: "1d" });
    await cache.getOrSet("null", () => null);
    await cache.getOrSet("endless", () => 1, { ttl: Infinity });
    await cache.getOrSet("loader", (context) => {
      context.setOptions({ ttl: "1d" });
      return 1;
    });
    await cache.getOrSetMany(["batch"], String, async () => [["batch", 1] as const], { ttl: "1d" });
    await cache.set("set", 1, { ttl: Infinity });
    await cache.setMany([["many", 1]], { ttl: "1d" });
    await cache.set("window", 1, { staleIfError: "1h" });
    await wrapped(1);
    await cache.set("shorter", 1, { ttl: 10 });
    const lives: Record<string, unknown> = {};
    for (const key of ["default", "call", "null", "endless", "loader", "batch", "set", "many", "window"])
      lives[key] = await cache.inspect(key).then((info) => [info?.freshForMs, info?.expiresInMs]);
    const bounded = [1_000, 1_500];
    expect(lives).toEqual({
      ...Object.fromEntries(Object.keys(lives).map((key) => [key, bounded])),
      window: [1_000, 3_601_000],
    });
    expect(await cache.inspect(wrapped.key(1))).toMatchObject({ freshForMs: 1_000 });
    expect(await cache.inspect("shorter")).toMatchObject({ freshForMs: 10, expiresInMs: 510 });
  });

  it("must be a duration of at least 1 ms", () => {
    const { cache } = open(stack);
    for (const maxTtl of [0, -1, "soon" as never, null as never])
      expect(() => cache.namespace("n", { maxTtl })).toThrow(/maxTtl/);
  });
});
