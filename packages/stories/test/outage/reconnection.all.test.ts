import { setTimeout as sleep } from "node:timers/promises";
import { createCache, json, type Cache, type TierState } from "@hotset/core";
import { memory } from "@hotset/memory";
import { redis, type RedisBackend, type RedisBackendBuilder } from "@hotset/redis";
import { startOwnRedis, startProxy, type FaultProxy } from "@hotset/test-servers";
import { afterAll, afterEach, expect, it } from "vitest";

const server = await startOwnRedis();
const proxy = await startProxy(server.port);
afterAll(async () => {
  await proxy.close();
  await server.stop();
});

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
  await server.command("FLUSHALL");
});

const open = (backend: RedisBackend): { readonly cache: Cache; readonly states: TierState[] } => {
  const cache = createCache({ name: "shop" })
    .tier(memory())
    .tier(backend)
    .defaults({ ttl: "10m", localTtl: "1ms" })
    .build();
  ends.push(() => cache.close());
  const states: TierState[] = [];
  cache.on("backend:state", ({ state }) => states.push(state));
  return { cache, states };
};

/** Cuts the connection while six reads wait for their answers: enough to open the breaker. */
async function cutUnderReads(cache: Cache, keys: readonly string[], at: FaultProxy): Promise<void> {
  const hold = at.hold("HMGET", "reply");
  const reads = keys.map((key) => cache.get(key));
  await hold.reached;
  hold.cut();
  expect(await Promise.all(reads)).toEqual(keys.map(() => undefined));
}

const KEYS = Array.from({ length: 6 }, (_, i) => `k${i}`);
const impatient = (builder: RedisBackendBuilder): RedisBackendBuilder =>
  builder.valueFormat(json()).coherence("none").backoff({ base: 20, max: 50 });

it("without invalidations the breaker closes with the next connection, and no call is a probe", async () => {
  const { cache, states } = open(impatient(redis(proxy.url)).build());
  await cache.connect();
  for (const key of KEYS) await cache.set(key, key);
  await sleep(5);
  await cutUnderReads(cache, KEYS, proxy);
  await expect.poll(() => states).toEqual(["up", "down", "up"]);
  expect(await cache.getMany(KEYS)).toEqual(new Map(KEYS.map((key) => [key, key])));
});

it("a server that stood still is used as soon as it answers a heartbeat, and no call is a probe", async () => {
  const own = await startOwnRedis();
  ends.push(() => own.stop());
  const backend = redis(own.url).valueFormat(json()).responseTimeout("3s").breaker({ wait: "30s" }).build();
  const { cache, states } = open(backend);
  await cache.connect();
  for (const key of KEYS) await cache.set(key, key);
  await sleep(5);
  own.pause();
  expect(await Promise.all(KEYS.map((key) => cache.get(key)))).toEqual(KEYS.map(() => undefined));
  expect(states).toEqual(["up", "down"]);
  own.resume();
  // Long before the breaker would let a probe through.
  await expect.poll(() => states).toEqual(["up", "down", "up"]);
  expect(await cache.getMany(KEYS)).toEqual(new Map(KEYS.map((key) => [key, key])));
});

it("a server that closes idle connections costs neither connections, nor events, nor a call", async () => {
  const own = await startOwnRedis({ config: ["timeout 5"] });
  ends.push(() => own.stop());
  // Each connection begins with one.
  const greetings = async (): Promise<number> =>
    Number(/cmdstat_hello:calls=(\d+)/.exec(String(await own.command("INFO", "commandstats")))![1]);
  const silent = open(impatient(redis(own.url)).responseTimeout("5s").build());
  const listening = open(redis(own.url).valueFormat(json()).responseTimeout("5s").build());
  for (const { cache } of [silent, listening]) {
    await cache.set("k", "v");
    cache.on("backend:error", ({ error }) => expect.unreachable(error.message));
  }
  const before = await greetings();
  await sleep(12_000);
  expect(await greetings()).toBe(before);
  expect([await silent.cache.get("k"), await listening.cache.get("k")]).toEqual(["v", "v"]);
  expect(await greetings()).toBe(before + 1);
  expect([silent.states, listening.states]).toEqual([["up"], ["up"]]);
});
