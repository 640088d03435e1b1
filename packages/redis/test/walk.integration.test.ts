import { createCache, json, type WalkedKey } from "@hotset/core";
import { heartbeat, inspect } from "@hotset/core/inspect";
import { redis, type RedisBackend, type RedisBackendBuilder } from "@hotset/redis";
import { startOwnRedis } from "@hotset/test-servers";
import { afterAll, afterEach, describe, expect, it, onTestFinished } from "vitest";

const server = await startOwnRedis();
afterAll(() => server.stop());
afterEach(() => server.command("FLUSHALL"));

function open(change: (builder: RedisBackendBuilder) => RedisBackendBuilder = (same) => same): RedisBackend {
  const backend = change(redis(server.url).valueFormat(json()).responseTimeout("10s")).build();
  onTestFinished(() => backend.close());
  return backend;
}

const entry = { data: Buffer.from('"value"'), staleInMs: 30_000, expiresInMs: 90_000, meta: "json none" };

async function walked(
  backend: RedisBackend,
  walk: Parameters<NonNullable<RedisBackend["walk"]>>[0],
): Promise<readonly WalkedKey[]> {
  const all: WalkedKey[] = [];
  for await (const { keys, looked, total } of backend.walk!(walk)) {
    expect(looked).toBeLessThanOrEqual(total!);
    all.push(...keys);
  }
  return all.toSorted((one, other) => (one.key < other.key ? -1 : 1));
}

it.each(["full", "string"] as const)("a record of a process lies in the layout %s, and is no entry", async (layout) => {
  const backend = open((builder) => builder.layout(layout));
  const cache = createCache({ name: "shop" }).tier(backend).build();
  using inspection = inspect(cache);
  await cache.connect();
  const beats = ["a", "b"].map((name) => heartbeat(cache, { name }));
  await expect.poll(async () => (await inspection.processes()).map(({ name }) => name)).toHaveLength(1);
  const [record] = await inspection.processes();
  expect(record).toMatchObject({ isOwn: true, coherence: "tracking", trust: "all", state: "up" });
  for await (const { entries } of inspection.stored()) expect(entries).toEqual([]);
  await Promise.all(beats.map((beat) => beat.stop()));
  expect(await inspection.processes()).toEqual([]);
  await cache.close();
});

describe("a walk", () => {
  it.each([
    ["full", (builder: RedisBackendBuilder) => builder],
    ["string", (builder: RedisBackendBuilder) => builder.layout("string")],
  ])("gives entries of one cache with their lives and sizes, in the layout %s", async (_, change) => {
    const backend = open(change);
    const keys = ["shop::a", "shop:n::100%", "shop:n:m::{b}", "shops::a", "shop@1::a", "other::*"];
    for (const key of keys) await backend.write(key, entry);
    await backend.leases!.acquire({ key: "shop::loading", token: "token", leaseMs: 60_000, seen: "" });
    const [first, ...others] = await walked(backend, { prefix: "shop:" });
    expect([first!.key, ...others.map(({ key }) => key)]).toEqual(["shop::a", "shop:n::100%", "shop:n:m::{b}"]);
    expect(first).toEqual({
      key: "shop::a",
      staleInMs: expect.closeTo(29_000, -4),
      expiresInMs: expect.closeTo(89_000, -4),
      bytes: expect.any(Number),
    });
    expect(first!.bytes).toBeGreaterThan(50);
    const ofNamespace = await walked(backend, { prefix: "shop:n:", contains: "100%" });
    expect(ofNamespace.map(({ key }) => key)).toContain("shop:n::100%");
    expect((await walked(backend, { prefix: "other:", contains: "*" })).map(({ key }) => key)).toEqual(["other::*"]);
    expect(await walked(backend, { prefix: "shop:", contains: "?" })).toEqual([]);
  });

  it("of keys without a prefix, in the layout plain, gives what other programs wrote", async () => {
    const backend = open((builder) => builder.keyPrefix("").coherence("none").layout("plain"));
    await backend.write("::user:1", entry);
    await server.command("HSET", "user:2", "d", '"theirs"');
    const found = await walked(backend, { prefix: ":", contains: "user" });
    expect(found).toMatchObject([
      { key: "::user:1", staleInMs: expect.closeTo(29_000, -4) },
      { key: "::user:2", staleInMs: Infinity, expiresInMs: Infinity },
    ]);
  });

  it("shows hashes of hashed keys", async () => {
    const backend = open((builder) => builder.keyFormat("hashed").coherence("none"));
    await backend.write("shop::a", entry);
    expect((await walked(backend, { prefix: "shop:" }))[0]!.key).toMatch(/^shop::#[\w-]{43}$/);
  });

  it("has many pages, ends by a signal, and makes Redis remember no key", async () => {
    const cache = createCache({ name: "shop" }).tier(open()).build();
    await cache.setMany(Array.from({ length: 1_000 }, (_, i) => [`k${i}`, i] as const));
    const tracked = async (): Promise<string> =>
      /tracking_total_keys:(\d+)/.exec(String(await server.command("INFO", "stats")))![1]!;
    const before = await tracked();
    using inspection = inspect(cache);
    const pages: (readonly string[])[] = [];
    for await (const { entries } of inspection.stored()) pages.push(entries.map(({ key }) => key));
    expect(new Set(pages.flat()).size).toBe(1_000);
    expect(pages.length).toBeGreaterThan(2);
    expect(await tracked()).toBe(before);
    const controller = new AbortController();
    let count = 0;
    for await (const _ of inspection.stored({ signal: controller.signal })) {
      count += 1;
      controller.abort();
    }
    expect(count).toBe(1);
    await cache.close();
  });

  it("fails where Redis is unreachable", async () => {
    const gone = redis("redis://127.0.0.1:1").valueFormat(json()).retries(1).responseTimeout(500).build();
    onTestFinished(() => gone.close());
    await expect(walked(gone, { prefix: "shop:" })).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
  });
});
