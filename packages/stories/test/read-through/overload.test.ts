import { OverloadedError } from "@hotset/core";
import { gate } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { never, open, STACKS, STACKS_WITH_MEMORY } from "../support/stacks.ts";

const OVERLOADED = { name: "OverloadedError", code: "OVERLOADED" } as const;
const same = <T>(value: T): T => value;

describe.each(STACKS)("maxWaiting over %s", (stack) => {
  it("refuses the calls beyond it at once, of the same and of other keys, and takes calls again afterwards", async () => {
    const { cache } = open(stack, { maxWaiting: 3 });
    const loading = gate<number>();
    const waiting = [cache.getOrSet("a", loading.pass), cache.getOrSet("a", never), cache.getOrSet("b", loading.pass)];
    await loading.arrived(2);
    expect(cache.stats()).toMatchObject({ waiting: 3, overloaded: 0 });
    const first: unknown = await cache.getOrSet("a", never).catch(same);
    const second: unknown = await cache.namespace("below").getOrSet("c", never).catch(same);
    expect(first).toBeInstanceOf(OverloadedError);
    expect(first).toMatchObject({ ...OVERLOADED, message: expect.stringContaining("maxWaiting: 3 calls") as string });
    expect(second).toBe(first);
    expect(cache.stats()).toMatchObject({ waiting: 3, overloaded: 2, misses: 2, loads: 2 });
    loading.open(1);
    expect(await Promise.all(waiting)).toEqual([1, 1, 1]);
    expect(await cache.getOrSet("c", () => 2)).toBe(2);
    expect(cache.stats()).toMatchObject({ waiting: 0, overloaded: 2 });
  });

  it("callers that leave, by their signal or their time, make room", async () => {
    const { cache, clock } = open(stack, { maxWaiting: 2 });
    const leaving = new AbortController();
    const hung = gate<number>();
    const first = cache.getOrSet("a", hung.pass, { signal: leaving.signal }).catch(same);
    const second = cache.getOrSet("b", hung.pass, { hardTimeout: 100 }).catch(same);
    await hung.arrived(2);
    leaving.abort("left");
    expect([await first, cache.stats().waiting]).toEqual(["left", 1]);
    clock.advance(100);
    expect([await second, cache.stats().waiting]).toMatchObject([{ code: "LOAD_TIMEOUT" }, 0]);
    expect(await cache.getOrSet("c", () => 1)).toBe(1);
  });

  it("a batch is accepted or refused as a whole, and each of its items counts", async () => {
    const { cache } = open(stack, { maxWaiting: 2 });
    const loading = gate<[string, number][]>();
    const batch = cache.getOrSetMany(["a", "b", "c", "d"], same, loading.pass);
    await loading.arrived();
    expect(cache.stats()).toMatchObject({ waiting: 4, overloaded: 0 });
    await expect(cache.getOrSetMany(["e", "f"], same, never)).rejects.toMatchObject(OVERLOADED);
    expect(cache.stats()).toMatchObject({ waiting: 4, overloaded: 2 });
    loading.open([["a", 1]]);
    expect([...(await batch)]).toEqual([["a", 1]]);
    expect(cache.stats()).toMatchObject({ waiting: 0 });
  });
});

describe.each(STACKS_WITH_MEMORY)("maxWaiting over %s", (stack) => {
  it("the copy that staleIfError covers is served instead", async () => {
    const { cache, clock } = open(stack, { maxWaiting: 1, ttl: 100, staleIfError: 1_000 });
    await cache.set("kept", "old");
    clock.advance(100);
    const hung = gate<number>();
    const call = cache.getOrSet("a", hung.pass);
    await hung.arrived();
    let served: unknown;
    expect(await cache.getOrSet("kept", never, { onServed: (how) => (served = how) })).toBe("old");
    expect(served).toMatchObject({ status: "stale", cause: "error", error: OVERLOADED });
    hung.open(1);
    await call;
  });
});
