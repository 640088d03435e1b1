/** `touch` over a real Redis, in each form in which an entry is stored there. */
import { createCache, json, type Cache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { redis, type RedisBackendBuilder } from "@hotset/redis";
import { aesGcm } from "@hotset/seal";
import { randomPrefix, startOwnRedis } from "@hotset/test-servers";
import { afterAll, expect, it, onTestFinished } from "vitest";
import { LAYOUT } from "../support/layout.ts";

const server = await startOwnRedis();
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
])("touch of %s: the new life holds in Redis and in other processes", async ([, value, make, hasTags]) => {
  const prefix = randomPrefix();
  const [one, other] = [open(prefix, make), open(prefix, make)];
  await Promise.all([one.connect(), other.connect()]);
  await one.set("k", value as string, hasTags ? { tags: ["t"], etag: '"1"' } : {});
  expect(await other.get("k")).toEqual(value);
  expect(await one.touch("k", { ttl: "10m" })).toEqual({ status: "touched" });
  const freshForMs = async (cache: Cache): Promise<number> => (await cache.inspect("k"))!.freshForMs;
  await expect.poll(() => freshForMs(other)).toBeGreaterThan(590_000);
  expect(await freshForMs(one)).toBeGreaterThan(590_000);
  expect([await one.get("k"), await other.get("k")]).toEqual([value, value]);
  if (hasTags) {
    expect(await other.inspect("k")).toMatchObject({ tags: ["t"], etag: '"1"' });
    await other.invalidateTags("t");
    await expect.poll(() => one.get("k")).toBe(undefined);
  } else await other.delete("k");
  // Until the change is reported here, the copy is fresh, and Redis refuses its version.
  await expect.poll(() => one.touch("k")).toEqual({ status: "missing" });
});

const WAYS: readonly (readonly [name: string, make: Make])[] = [
  ["in the clear", (builder) => builder],
  ["under a seal", (builder) => builder.seal(aesGcm({ keys: [{ id: "k", key: Buffer.alloc(32, 1) }] }))],
];

/** Reads until this process holds a copy: the report of the call before may have dropped it. */
const holds = (cache: Cache, value: string): Promise<void> =>
  expect.poll(() => cache.get("k").then(() => cache.peek("k") === value)).toBe(true);

async function figures(): Promise<(name: RegExp) => number> {
  const all = String(await server.command("INFO", "all"));
  return (name) => Number(name.exec(all)?.[1] ?? 0);
}

it.each(WAYS)("touch is one script, and the value stays in Redis, %s", async (_, make) => {
  const cache = open(randomPrefix(), make);
  const value = "x".repeat(100_000);
  await cache.connect();
  await cache.set("k", value);
  for (let round = 0; round < 2; round += 1) {
    await holds(cache, value);
    await server.command("CONFIG", "RESETSTAT");
    expect(await cache.touch("k", { ttl: "10m" })).toEqual({ status: "touched" });
    const figure = await figures();
    expect(figure(/cmdstat_evalsha:calls=(\d+)/)).toBe(1);
    expect(figure(/total_net_input_bytes:(\d+)/)).toBeLessThan(10_000);
    expect(figure(/total_net_output_bytes:(\d+)/)).toBeLessThan(10_000);
  }
  expect(await cache.get("k")).toBe(value);
});

it.each(WAYS)("a load that is not modified moves no value to or from Redis, %s", async (_, make) => {
  const cache = open(randomPrefix(), make);
  const value = "x".repeat(100_000);
  await cache.connect();
  await cache.set("k", value, { ttl: "1h", etag: '"1"' });
  await holds(cache, value);
  await server.command("CONFIG", "RESETSTAT");
  const answer = await cache.getOrSet("k", ({ stale }) => stale!.notModified(), {
    ttl: "2h",
    maxAge: "1h",
    refreshAhead: 1e-9,
  });
  await cache.drain();
  const figure = await figures();
  expect(answer).toBe(value);
  expect(figure(/total_net_input_bytes:(\d+)/)).toBeLessThan(10_000);
  expect((await cache.inspect("k"))?.freshForMs).toBeGreaterThan(3_600_000);
});
