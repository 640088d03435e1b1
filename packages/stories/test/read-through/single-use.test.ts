import { Readable } from "node:stream";
import { flush } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { open, STACKS } from "../support/stacks.ts";

const KINDS: readonly (readonly [kind: string, make: () => object])[] = [
  [
    "a generator",
    () =>
      (function* () {
        yield 1;
      })(),
  ],
  [
    "a generator",
    () =>
      (async function* () {
        yield await Promise.resolve(1);
      })(),
  ],
  ["an iterator", () => new Map([[1, 2]]).entries()],
  [
    "an iterator",
    () => ({
      next: () => ({ done: true }),
      [Symbol.asyncIterator]() {
        return this;
      },
    }),
  ],
  ["a stream", () => Readable.from(["a"])],
  ["a stream", () => new ReadableStream()],
  ["a stream", () => new WritableStream()],
  ["a Response or a Request", () => new Response("a")],
  ["a Response or a Request", () => new Request("http://localhost")],
];

describe.each(STACKS)("over %s", (stack) => {
  it.each(KINDS)("%s that a loader gives is a failed load for each caller, and is not stored", async (kind, make) => {
    const { cache, stored } = open(stack);
    let runs = 0;
    const load = async (): Promise<unknown> => {
      runs += 1;
      await flush();
      return make();
    };
    const refused = {
      name: "InvalidValueError",
      message: `the loader gave ${kind}, which can be read once, and its value is shared; return what it holds, or use ctx.notShared`,
    };
    const calls = [cache.getOrSet("k", load), cache.getOrSet("k", load)];
    for (const outcome of await Promise.allSettled(calls))
      expect(outcome).toMatchObject({ status: "rejected", reason: refused });
    expect([runs, stored(), await cache.get("k")]).toEqual([1, [], undefined]);
    await expect(cache.getOrSet("k", (ctx) => ctx.noStore(make()))).rejects.toMatchObject(refused);
    await expect(
      cache.getOrSetMany(
        [1],
        (id) => `item:${id}`,
        () => [[1, make()]],
      ),
    ).rejects.toMatchObject(refused);
  });

  it.each(KINDS)("%s is refused by set and setMany, and changes nothing", async (kind, make) => {
    const { cache } = open(stack);
    await cache.set("k", "before");
    const message = `value must not be ${kind}, which can be read once; read it, and give what it holds`;
    await expect(cache.set("k", make())).rejects.toMatchObject({ name: "InvalidArgumentError", message });
    await expect(
      cache.setMany([
        ["other", 1],
        ["k", make()],
      ]),
    ).rejects.toMatchObject({ message });
    expect([await cache.get("k"), await cache.get("other")]).toEqual(["before", undefined]);
  });

  it("a stale value covers it, as it covers a failed load", async () => {
    const { cache, clock } = open(stack, { ttl: 100, staleIfError: 1_000 });
    await cache.set("k", "before");
    clock.advance(100);
    expect(await cache.getOrSet<unknown>("k", () => new Response("a"))).toBe("before");
  });
});

it("a loader gives a response to its own caller alone by notShared", async () => {
  const { cache } = open("memory");
  const answer = await cache.getOrSet<Response>("k", (ctx) => ctx.notShared(new Response("a")));
  expect(await answer.text()).toBe("a");
});

it("values that can be read again are kept in memory: a Blob, headers, a list, an object with a property next", async () => {
  const { cache } = open("memory");
  const again = [new Blob(["a"]), new Headers(), [1], { next: "page" }, new Map([[1, 2]]), Buffer.from("a")];
  for (const [i, value] of again.entries()) expect(await cache.getOrSet<unknown>(`k${i}`, () => value)).toBe(value);
});
