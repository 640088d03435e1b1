// Behaviours of other layers over Redis that no other test holds on its own.
import { getEventListeners } from "node:events";
import { createCache, json } from "@hotset/core";
import { redis as redisTier, single } from "@hotset/redis";
import { createRedis } from "@hotset/redis-toolkit";
import { locks } from "@hotset/redis-toolkit/lock";
import { moduleOf } from "@hotset/redis-toolkit/module";
import { pubsub } from "@hotset/redis-toolkit/pubsub";
import { queue } from "@hotset/redis-toolkit/queue";
import { fixedWindow, rateLimit } from "@hotset/redis-toolkit/rate-limit";
import { sessions } from "@hotset/redis-toolkit/sessions";
import { startOwnRedis } from "@hotset/test-servers";
import { describe, expect, it } from "vitest";
import { ALONE, secondsLeft } from "./servers.ts";

describe("settings", () => {
  it("R0-02: a value without a ttl of its own has the default one, and so have hashes and counters", async () => {
    await using own = await startOwnRedis();
    await using redis = createRedis({ ...ALONE, url: own.url, defaultTtl: "5m", defaultHashTtl: "15m" });
    const { commands } = redis;
    const startedAt = performance.now();
    await commands.set("value", "v");
    await commands.hset("hash", { a: 1 });
    await commands.incr("counter");
    for (const [key, seconds] of [
      ["value", 300],
      ["hash", 900],
      ["counter", 300],
    ] as const) {
      const life = Math.ceil(Number(await commands.ttlMs(key)) / 1_000);
      expect(secondsLeft(seconds, startedAt), key).toContain(life);
    }
  });

  it("R0-40: over RESP2 replies are the same", async () => {
    await using own = await startOwnRedis();
    await using redis = createRedis({ ...ALONE, url: own.url, protocol: 2 });
    await redis.commands.hset("hash", { a: 1, b: 2 });
    expect(await redis.commands.hgetAll("hash")).toEqual(
      new Map([
        ["a", "1"],
        ["b", "2"],
      ]),
    );
    expect(String(await own.command("CLIENT", "LIST"))).toMatch(/name=hotset .*resp=2/);
  });

  it("R0-50 R0-51: without an address it is localhost:6379", async () => {
    await using redis = createRedis({ env: {}, envFile: false, readRetries: 0, connectTimeout: "10s" });
    // A Redis of the machine may listen there.
    const opened = moduleOf(redis).connection.open({ role: "exclusive" });
    const address = await opened.then((socket) => socket.address, String);
    expect(address).toContain("localhost:6379");
  });

  it("R0-54 R0-55 R0-56: a port alone is one server, without TLS", async () => {
    await using own = await startOwnRedis();
    const env = { REDIS_PORT: new URL(own.url).port };
    await using redis = createRedis({ env, envFile: false, commandTimeout: "2s" });
    expect(await redis.commands.ping()).toBe("PONG");
  });
});

describe("values and messages", () => {
  it("R0-72: with a buffer of 32, as many messages wait for a reader", async () => {
    await using own = await startOwnRedis();
    await using redis = createRedis({ ...ALONE, url: own.url });
    const channel = pubsub(redis).channel<number>("c", { buffer: 32 });
    await using subscription = await channel.subscribe();
    await Promise.all(Array.from({ length: 40 }, (_, n) => channel.publish(n)));
    await expect.poll(() => subscription.dropped).toBe(8);
  });

  it("R0-90: nothing, and no number, cannot be written", async () => {
    await using redis = createRedis({ ...ALONE, url: "redis://127.0.0.1:1" });
    for (const value of [null, undefined, Number.NaN, Infinity, {}])
      await expect(redis.commands.set("k", value as never)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});

it("R0-131: a cache, limits, locks and a queue over one Redis do not meet", async () => {
  await using own = await startOwnRedis();
  await using redis = createRedis({ ...ALONE, url: own.url });
  const tier = redisTier(single(own.url)).keyPrefix("cache").valueFormat(json()).responseTimeout("10s").build();
  await using cache = createCache({ name: "router" }).tier(tier).build();
  await cache.set("merchant:1", { fee: 2 });
  const lock = await locks(redis).acquire("merchant:1");
  const rules = [fixedWindow({ limit: 2, window: "1h" })];
  const limit = rateLimit(redis, { name: "merchant:1", rules, deadline: "1m" });
  await limit.consume("merchant:1");
  const jobs = queue(redis, "merchant:1");
  await jobs.add({ settle: true });
  const found = (await redis.commands.keys("*")).map((key) => /^[a-z_]+/.exec(key)?.[0]);
  expect([...new Set(found)].toSorted()).toEqual(["cache", "lock", "queue", "rate_limit"]);
  await cache.clear();
  expect([await cache.get("merchant:1"), await limit.consume("merchant:1")]).toMatchObject([
    undefined,
    { allowed: true, remaining: 0 },
  ]);
  expect([await jobs.counts(), await lock.release()]).toMatchObject([{ waiting: 1 }, "released"]);
});

describe("complaints about others", () => {
  it("R6-05: a signal of many calls keeps no listener of them", async () => {
    await using own = await startOwnRedis();
    await using redis = createRedis({ ...ALONE, url: own.url });
    const { signal } = new AbortController();
    const { commands } = redis.within({ signal });
    await Promise.all(Array.from({ length: 50 }, (_, n) => commands.set(`k${n}`, n)));
    await commands.blPop("empty", 0.01);
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  it("R6-22: a script is sent by its hash, and as text only where the server does not know it", async () => {
    await using own = await startOwnRedis();
    await using redis = createRedis({ ...ALONE, url: own.url });
    const limit = rateLimit(redis, {
      name: "api",
      rules: [fixedWindow({ limit: 100, window: "1h" })],
      deadline: "1m",
    });
    for (let n = 0; n < 5; n += 1) await limit.consume("ada");
    const stats = String(await own.command("INFO", "commandstats"));
    const callsOf = (name: string): number => Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
    expect([callsOf("evalsha"), callsOf("eval")]).toEqual([5, 1]);
  });

  it("R6-32: a number is milliseconds, and text has a unit", async () => {
    await using own = await startOwnRedis();
    await using redis = createRedis({ ...ALONE, url: own.url });
    const lifeOf = async (idle: number | string): Promise<number> => {
      const { expiresAt, createdAt } = await sessions(redis, { idle: idle as "1m" }).create();
      return Math.round((Date.parse(expiresAt) - Date.parse(createdAt)) / 1_000);
    };
    expect([await lifeOf(90_000), await lifeOf("90s"), await lifeOf("2h")]).toEqual([90, 90, 7_200]);
    await expect(lifeOf("90")).rejects.toThrow("idle must be");
  });
});
