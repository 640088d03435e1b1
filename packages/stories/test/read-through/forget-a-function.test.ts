/** The two ways to forget all values of one wrapped function, as docs/guide/recipes.md shows them. */
import type { Cache } from "@hotset/core";
import { flush, gate } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { inStep } from "../support/processes.ts";
import { open, STACKS } from "../support/stacks.ts";

const WAYS = {
  "a namespace": (cache: Cache, load: (sku: string) => Promise<string>) => {
    const prices = cache.namespace("prices");
    return { price: prices.wrap(load, { name: "price" }), entries: prices, forget: async () => prices.clear() };
  },
  "a tag": (cache: Cache, load: (sku: string) => Promise<string>) => ({
    price: cache.wrap(load, { name: "price", tags: ["prices"] }),
    entries: cache,
    forget: async () => cache.invalidateTags("prices"),
  }),
};
const KINDS = ["a namespace", "a tag"] as const;

describe.each(STACKS)("over %s", (stack) => {
  it.each(KINDS)("all values of a wrapped function are forgotten by %s, and no others", async (kind) => {
    const { cache } = open(stack, { ttl: "1h" });
    let version = "old";
    const { price, entries, forget } = WAYS[kind](cache, async (sku) => `${version} ${sku}`);
    const other = cache.wrap(async (sku: string) => `${version} ${sku}`, { name: "other" });
    expect(await Promise.all([price("a"), price("b"), other("a")])).toEqual(["old a", "old b", "old a"]);
    version = "new";
    expect(await forget()).toMatchObject({ status: "done" });
    expect(await Promise.all([price("a"), price("b"), other("a")])).toEqual(["new a", "new b", "old a"]);
    expect(await entries.get(price.key("b"))).toBe("new b");
  });

  it.each(KINDS)("a load that runs when the function is forgotten, by %s, stores nothing", async (kind) => {
    const { cache } = open(stack, { ttl: "1h" });
    const loads = gate<string>();
    const { price, entries, forget } = WAYS[kind](cache, async () => loads.pass());
    const first = price("a");
    await loads.arrived(1);
    await forget();
    loads.open("old");
    expect(await first).toBe("old");
    await cache.drain();
    expect(await entries.get(price.key("a"), { allowStale: true })).toBeUndefined();
  });
});

it.each(KINDS)("a function that is forgotten by %s is so in every process, during an outage later", async (kind) => {
  const { all, clock } = await inStep();
  let version = "old";
  const [here, there] = all.map(({ cache }) => WAYS[kind](cache, async (sku) => `${version} ${sku}`));
  expect([await here!.price("a"), await there!.price("a")]).toEqual(["old a", "old a"]);
  version = "new";
  expect(await here!.forget()).toMatchObject({ status: "done" });
  expect(there!.entries.peek(there!.price.key("a"))).toBeUndefined();
  expect([await there!.price("a"), await here!.price("a")]).toEqual(["new a", "new a"]);

  all[0].backend.down();
  expect(await here!.forget()).toEqual({ status: "pending" });
  expect(here!.entries.peek(here!.price.key("a"))).toBeUndefined();
  all[0].backend.up();
  clock.advance(1_000);
  await flush();
  expect(there!.entries.peek(there!.price.key("a"))).toBeUndefined();
});
