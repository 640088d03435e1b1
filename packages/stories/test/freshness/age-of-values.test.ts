import type { GetOptions, Served } from "@hotset/core";
import { describe, expect, it } from "vitest";
import { never, open, STACKS, STACKS_WITH_BACKEND } from "../support/stacks.ts";

const tierOf = { memory: "memory", backend: "scripted", "memory over backend": "memory" } as const;

describe.each(STACKS)("over %s", (stack) => {
  it("get says to onServed whether and how its value was found: status, tier, age and remaining life", async () => {
    const { cache, clock } = open(stack, { ttl: 100, staleIfError: 50 });
    const served: Served[] = [];
    const options: GetOptions = { allowStale: true, onServed: (each) => void served.push(each) };
    await cache.set("k", "Ada");
    clock.advance(30);
    expect(await cache.get("k", options)).toBe("Ada");
    clock.advance(90);
    expect(await cache.get("k", options)).toBe("Ada");
    expect(await cache.get("other", options)).toBe(undefined);
    const [hit, stale, miss] = served;
    expect(hit).toEqual({
      status: "hit",
      tier: tierOf[stack],
      ageMs: 30,
      freshForMs: 70,
      expiresInMs: 120,
      coalesced: false,
    });
    expect(stale).toMatchObject({ status: "stale", ageMs: 120, freshForMs: -20, expiresInMs: 30, cause: "age" });
    expect(miss).toEqual({ status: "miss", ageMs: 0, freshForMs: 0, coalesced: false });
    expect(served.length).toBe(3);
  });

  it("and an onServed that throws or is no function changes no value", async () => {
    const { cache } = open(stack);
    await cache.set("k", "Ada");
    const onServed = (): never => {
      throw new Error("a listener that fails");
    };
    expect(await cache.get("k", { onServed })).toBe("Ada");
    await expect(cache.get("k", { onServed: 1 as never })).rejects.toThrow("onServed must be a function, got a number");
    await expect(cache.getMany(["k"], { onServed: () => undefined } as never)).rejects.toThrow("unknown option");
  });

  it("a loader sees the age and the remaining freshness of the value that it replaces", async () => {
    const { cache, clock } = open(stack, { ttl: 100, staleIfError: 1_000 });
    const lives: unknown[] = [];
    const load = async (forced: boolean): Promise<unknown> =>
      cache.getOrSet("k", ({ stale }) => (lives.push([stale?.ageMs, stale?.freshForMs]), "Ada"), {
        forceRefresh: forced,
      });
    await load(false);
    clock.advance(40);
    await load(true);
    clock.advance(130);
    await load(false);
    expect(lives).toEqual([
      [undefined, undefined],
      [40, 60],
      [130, -30],
    ]);
  });
});

it.each(STACKS_WITH_BACKEND)("over %s: the age counts from the load of another process", async (stack) => {
  const { cache: writer, clock, backend } = open(stack, { ttl: 100, staleIfError: 1_000 });
  await writer.getOrSet("k", () => "Ada");
  clock.advance(130);
  const { cache } = open(stack, { clock, backend, ttl: 7, staleIfError: 1_000 });
  const ages: unknown[] = [];
  await cache.get("k", { allowStale: true, onServed: ({ ageMs, freshForMs }) => void ages.push([ageMs, freshForMs]) });
  await cache.getOrSet("k", ({ stale }) => (ages.push([stale!.ageMs, stale!.freshForMs]), "Bob"));
  expect(ages).toEqual([
    [130, -30],
    [130, -30],
  ]);
  expect(await cache.getOrSet("k", never)).toBe("Bob");
});
