// Entries that inherit, between caches over one Redis, in both layouts.

import { startOwnRedis, type OwnRedis } from "@hotset/test-servers";
import { redis } from "hotset";
import { afterAll, beforeAll, expect, it } from "vitest";
import { LAYOUTS } from "../support/layout.ts";
import { over } from "../support/over-redis.ts";
import { never } from "../support/stacks.ts";

let server: OwnRedis;
beforeAll(async () => {
  server = await startOwnRedis();
});
afterAll(() => server.stop());

it.for(LAYOUTS)("C454 C455 over the layout %s a page ends with its product, in every process", async (layout) => {
  await server.command("FLUSHALL");
  const open = () =>
    over(redis(server.url).layout(layout).responseTimeout("20s").build(), { stack: "memory over backend" });
  const [here, there] = [open(), open()];
  for (const cache of [here, there]) await cache.connect();
  const results: string[] = [];
  for (const cache of [here, there]) cache.on("load", ({ key, result }) => results.push(`${key} ${result}`));
  const product = { ttl: "5m", tags: ["product:1"] } as const;
  // Loaded for the page, read from Redis, and found in memory.
  for (const [cache, key] of [
    [here, "page:1"],
    [there, "page:2"],
    [there, "page:3"],
  ] as const) {
    const load = async (): Promise<string> => `${key} of ${await cache.getOrSet("product", () => "product", product)}`;
    expect(await cache.getOrSet(key, load, { inherit: true })).toBe(`${key} of product`);
  }
  expect(results).toEqual(["product stored", "page:1 stored", "page:2 stored", "page:3 stored"]);
  for (const key of ["page:1", "page:2", "page:3"])
    for (const cache of [here, there]) {
      expect(await cache.getOrSet(key, never)).toBe(`${key} of product`);
      const { tags, freshForMs } = (await cache.inspect(key))!;
      expect(tags).toEqual(["product:1"]);
      expect(freshForMs).toBeLessThanOrEqual(300_000);
      expect(freshForMs).toBeGreaterThan(0);
    }
  await there.invalidateTags("product:1");
  await expect.poll(() => here.getMany(["page:1", "page:2", "page:3", "product"])).toEqual(new Map());
  expect(await there.getMany(["page:1", "page:2", "page:3", "product"])).toEqual(new Map());
});
