/** The promises that a call makes. Their number is the same on a busy machine, and with it falls what a call costs. */
import { createHook } from "node:async_hooks";
import { json, type Cache } from "@hotset/core";
import { redis } from "@hotset/redis";
import { startOwnRedis } from "@hotset/test-servers";
import { afterAll, expect, it } from "vitest";
import { over } from "../support/over-redis.ts";
import { never } from "../support/stacks.ts";

const server = await startOwnRedis();
afterAll(() => server.stop());

/** Without heartbeats and renewals of leases meanwhile. */
const open = (): Cache =>
  over(redis(server.url).valueFormat(json()).maxStaleness("1h").leaseTime("1m").responseTimeout("20s").build(), {
    stack: "backend",
  });

/** How many promises each call makes, once all that is needed is known. @param together how many are in flight. */
async function promisesOf(together: number, call: () => Promise<unknown>): Promise<number> {
  const burst = (): Promise<unknown> => Promise.all(Array.from({ length: together }, call));
  for (let i = 0; i < 5; i += 1) await burst();
  let count = 0;
  const hook = createHook({ init: (_id, type) => void (count += type === "PROMISE" ? 1 : 0) }).enable();
  for (let i = 0; i < 10; i += 1) await burst();
  hook.disable();
  return count / (10 * together);
}

it("C470: the number of promises that a hit, a miss and a batch make", async () => {
  const cache = open();
  await cache.connect();
  const keys = Array.from({ length: 100 }, (_, i) => `k${i}`);
  await cache.setMany(keys.map((key) => [key, key] as const));
  let n = 0;
  const hit = await promisesOf(32, () => cache.getOrSet(keys[(n += 1) % 100]!, never));
  const miss = await promisesOf(32, () => cache.getOrSet(`new:${(n += 1)}`, () => "loaded"));
  const found = await promisesOf(1, () => cache.getOrSetMany(keys, (key) => key, never));
  const loaded = await promisesOf(1, () => {
    const items = keys.map((key) => `${key}:${(n += 1)}`);
    return cache.getOrSetMany(
      items,
      (key) => key,
      (missing) => missing.map((key) => [key, key] as const),
    );
  });
  expect(hit).toBeLessThan(9);
  expect(miss).toBeLessThan(49);
  expect(found / 100).toBeLessThan(4.5);
  expect(loaded / 100).toBeLessThan(45);
});
