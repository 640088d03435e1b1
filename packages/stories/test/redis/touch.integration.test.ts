/** `touch` over a real Redis, in each form in which an entry is stored there. */
import { createCache, json, type Cache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { redis, type RedisBackendBuilder } from "@hotset/redis";
import { aesGcm } from "@hotset/seal";
import { randomPrefix, startOwnRedis, type OwnRedis } from "@hotset/test-servers";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { LAYOUT } from "../support/layout.ts";

let server: OwnRedis;
beforeAll(async () => {
  server = await startOwnRedis();
});
afterAll(() => server.stop());

type Make = (builder: RedisBackendBuilder) => RedisBackendBuilder;

function open(prefix: string, make: Make): Cache {
  const backend = make(
    redis(server.url).layout(LAYOUT).keyPrefix(prefix).valueFormat(json()).responseTimeout("10s"),
  ).build();
  const cache = createCache({ name: "shop" })
    .tier(memory())
    .tier(backend)
    .defaults({ ttl: "1m", staleIfError: "1h", localTtl: "10m" })
    .build();
  onTestFinished(() => cache.close({ timeout: 0 }));
  return cache;
}

it.for<[string, unknown, Make, boolean]>([
  ["a small value", { a: 1 }, (builder) => builder, true],
  ["a large value, which is staged", "x".repeat(100_000), (builder) => builder, true],
  [
    "a sealed value",
    "secret",
    (builder) => builder.seal(aesGcm({ keys: [{ id: "k", key: Buffer.alloc(32, 1) }] })),
    true,
  ],
  ["hashed keys", "v", (builder) => builder.keyFormat("hashed"), true],
  ["channels", "v", (builder) => builder.coherence("pubsub"), true],
  ["the plain layout", "v", (builder) => builder.layout("plain"), false],
])("C174 touch of %s: the new life holds in Redis and in other processes", async ([, value, make, hasTags]) => {
  const prefix = randomPrefix();
  const [one, other] = [open(prefix, make), open(prefix, make)];
  await Promise.all([one.connect(), other.connect()]);
  await one.set("k", value as string, hasTags ? { tags: ["t"], etag: '"1"' } : {});
  expect(await other.get("k")).toEqual(value);
  expect(await one.touch("k", { ttl: "10m" })).toEqual({ status: "touched" });
  const freshForMs = async (cache: Cache): Promise<number> => (await cache.inspect("k"))!.freshForMs;
  await expect.poll(() => freshForMs(other), { timeout: 20_000 }).toBeGreaterThan(590_000);
  expect(await freshForMs(one)).toBeGreaterThan(590_000);
  expect([await one.get("k"), await other.get("k")]).toEqual([value, value]);
  if (hasTags) {
    expect(await other.inspect("k")).toMatchObject({ tags: ["t"], etag: '"1"' });
    await other.invalidateTags("t");
    await expect.poll(() => one.get("k"), { timeout: 20_000 }).toBe(undefined);
  } else await other.delete("k");
  expect(await one.touch("k")).toEqual({ status: "missing" });
});
