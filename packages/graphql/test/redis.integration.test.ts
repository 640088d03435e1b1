import { createCache } from "@hotset/core";
import { v8 } from "@hotset/formats";
import { graphqlCache } from "@hotset/graphql";
import { memory } from "@hotset/memory";
import { redis } from "@hotset/redis";
import { randomPrefix } from "@hotset/test-servers";
import { afterAll, expect, inject, it } from "vitest";

const prefix = randomPrefix();
const open = () =>
  createCache({ name: "shop" })
    .tier(memory())
    .tier(redis(inject("redisUrl")).keyPrefix(prefix).valueFormat(v8()).responseTimeout("15s").build())
    .build();

const caches = [open(), open()];
const [here, there] = [graphqlCache(caches[0]!), graphqlCache(caches[1]!)];
afterAll(async () => {
  await Promise.all(caches.map((cache) => cache.close()));
});

const result = { data: { products: [{ at: new Date(0) }] } };

it("C596: over Redis, a list of 1,000 entities ends in both processes by any of them", async () => {
  const entities = Array.from({ length: 1_000 }, (_, id) => ({ typename: "Product", id }));
  for (const one of [0, 512, 999]) {
    await here.set("list", result, entities, 60_000);
    expect([await here.get("list"), await there.get("list")]).toEqual([result, result]);
    await there.invalidate([entities[one]!]);
    expect(await there.get("list")).toBe(undefined);
    await expect.poll(() => here.get("list")).toBe(undefined);
  }
});

it("C596: a query after a mutation sees no older response, though the mutation waits for nothing", async () => {
  await here.set("q", result, [{ typename: "User", id: 1 }], 60_000);
  expect(await here.get("q")).toEqual(result);
  void here.invalidate([{ typename: "User", id: 1 }]);
  expect(await here.get("q")).toBe(undefined);
});
