// Answers for one caller, between caches over one Redis: a marker in place of a value, in both layouts.

import { flush, gate } from "@hotset/testing";
import { startOwnRedis, type OwnRedis } from "@hotset/test-servers";
import { redis } from "hotset";
import { afterAll, beforeAll, expect, it } from "vitest";
import { LAYOUTS } from "../support/layout.ts";
import { over } from "../support/over-redis.ts";

let server: OwnRedis;
beforeAll(async () => {
  server = await startOwnRedis();
});
afterAll(() => server.stop());

it.for(LAYOUTS)("C453 over the layout %s no cache waits for the load of another", async (layout) => {
  await server.command("FLUSHALL");
  const caches = Array.from({ length: 8 }, () =>
    over(redis(server.url).layout(layout).responseTimeout("20s").build(), { stack: "memory over backend" }),
  );
  for (const cache of caches) await cache.connect();
  const [first, ...others] = caches as [(typeof caches)[0], ...typeof caches];
  expect(await first.getOrSet("k", ({ notShared }) => notShared("ada"), { tags: ["pages"] })).toBe("ada");
  const all = gate();
  const answers = others.map((cache, i) =>
    cache.getOrSet("k", async ({ notShared }) => {
      await all.pass();
      return notShared(i);
    }),
  );
  // Each of them is within its load at the same time.
  await all.arrived(others.length);
  all.open();
  expect(await Promise.all(answers)).toEqual(others.map((_, i) => i));
  expect(await Promise.all(caches.map((cache) => cache.get("k")))).toEqual(Array(8).fill(undefined));
  await first.invalidateTags("pages");
  await flush();
  expect(await first.getOrSet("k", () => "for all")).toBe("for all");
  expect(await Promise.all(caches.map((cache) => cache.getOrSet("k", () => "again")))).toEqual(
    Array(8).fill("for all"),
  );
});
