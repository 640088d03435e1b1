import { json, systemClock, type Cache } from "@hotset/core";
import { redis } from "@hotset/redis";
import { randomPrefix, startOwnRedis } from "@hotset/test-servers";
import { createTestCache } from "@hotset/testing";
import { afterAll, expect, it, onTestFinished } from "vitest";

const server = await startOwnRedis();
afterAll(() => server.stop());

it.each(["full", "string"] as const)("C592: tags of the reader count in both processes: layout %s", async (layout) => {
  const prefix = randomPrefix();
  const [a, b] = [1, 2].map(() => {
    const backend = redis(server.url).valueFormat(json()).keyPrefix(prefix).layout(layout).build();
    return createTestCache({ clock: systemClock, ttl: "1h", backend });
  }) as [Cache, Cache];
  onTestFinished(async () => void (await Promise.all([a.close(), b.close()])));
  const get = async (cache: Cache, ...alsoTags: string[]): Promise<unknown> => cache.get("k", { alsoTags });
  // More than the issuer remembers by name: a tag that is there says it by its own number.
  const others = Array.from({ length: 200 }, (_, i) => `t${i}`);

  await a.set("k", 1, { readerTags: true, since: await a.fence("k") });
  expect([await get(a, "path"), await get(b, "path")]).toEqual([1, 1]);
  for (const tag of others) await b.invalidateTags(tag);
  expect([await get(a, "path"), await get(b, "path")]).toEqual([1, 1]);
  expect(await get(b, "named late"), "not known").toBe(undefined);
  await b.invalidateTags("path");
  for (const cache of [a, b]) {
    await expect.poll(async () => get(cache, "path")).toBe(undefined);
    expect(await cache.get("k")).toBe(1);
  }
  await b.set("k", 2, { readerTags: true });
  for (const cache of [a, b]) await expect.poll(async () => get(cache, "path", "named late")).toBe(2);
});
