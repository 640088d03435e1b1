import type { Served } from "@hotset/core";
import { describe, expect, it } from "vitest";
import { failing } from "../support/sources.ts";
import { never, open, STACKS, STACKS_WITH_BACKEND } from "../support/stacks.ts";

describe.each(STACKS)("over %s: onServed says how long the value will live", (stack) => {
  it("from a tier and after a load that stored it, stale windows included, as inspect does", async () => {
    const { cache, clock } = open(stack, { ttl: 100, staleWhileRevalidate: 30, staleIfError: 50 });
    const lives: unknown[] = [];
    const onServed = ({ status, expiresInMs }: Served): void => void lives.push([status, expiresInMs]);
    await cache.getOrSet("k", () => "Ada", { onServed });
    expect((await cache.inspect("k"))?.expiresInMs).toBe(150);
    clock.advance(60);
    await cache.getOrSet("k", never, { onServed });
    clock.advance(60);
    await cache.getOrSet("k", failing(), { onServed });
    await cache.drain();
    await cache.getOrSet("endless", () => "Ada", { onServed, ttl: Infinity });
    expect(lives).toEqual([
      ["miss", 150],
      ["hit", 90],
      ["stale", 30],
      ["miss", Infinity],
    ]);
  });
});

it.each(STACKS_WITH_BACKEND)(
  "over %s: a caller of a value that another process stored gets what is left of its life",
  async (stack) => {
    const { cache: writer, clock, backend } = open(stack, { ttl: 100 });
    await writer.set("k", "Ada", { staleIfError: 1_000 });
    clock.advance(40);
    const { cache } = open(stack, { clock, backend });
    const served: Served[] = [];
    await cache.getOrSet("k", never, { onServed: (each) => void served.push(each) });
    expect(served).toMatchObject([{ status: "hit", freshForMs: 60, expiresInMs: 1_060 }]);
  },
);
