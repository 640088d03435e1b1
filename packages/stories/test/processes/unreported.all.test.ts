/** Processes that receive no changes, over Redis: how soon a wait ends, and what a load costs. */
import { json } from "@hotset/core";
import { redis } from "@hotset/redis";
import { startOwnRedis, startProxy } from "@hotset/test-servers";
import { gate, TestClock } from "@hotset/testing";
import { afterAll, expect, it } from "vitest";
import { LAYOUT } from "../support/layout.ts";
import { over, type OverRedisOptions } from "../support/over-redis.ts";
import { never } from "../support/stacks.ts";

const server = await startOwnRedis();
const proxy = await startProxy(server.port);
afterAll(async () => {
  await proxy.close();
  await server.stop();
});

const open = (url: string, options?: OverRedisOptions): ReturnType<typeof over> =>
  over(
    redis(url)
      .layout(LAYOUT)
      .valueFormat(json())
      .coherence("none")
      .leaseTime("1m")
      .responseTimeout("20s")
      .connectTimeout("20s")
      .build(),
    options,
  );

it("a wait for the load of another process looks again long before a second is over", async () => {
  const clock = new TestClock();
  const [here, there] = [open(server.url), open(proxy.url, { clock, explain: 100 })];
  await Promise.all([here.connect(), there.connect()]);
  const loading = gate<string>();
  const first = here.getOrSet("k", () => loading.pass());
  await loading.arrived();
  proxy.resetCounts();
  const second = there.getOrSet("k", never);
  const isRead = LAYOUT === "string" ? "GET" : "HMGET";
  const waits = (): number => there.explain("k").filter(({ why }) => why.includes("held elsewhere")).length;
  // Its first question, and six more: after 20, 40, 80, 160, 320 and 640 ms in all.
  for (const [i, laterMs] of [0, 20, 20, 40, 80, 160, 320].entries()) {
    clock.advance(laterMs);
    await expect.poll(waits, { interval: 1 }).toBe(i + 1);
    expect(proxy.counts.commandsByName[isRead]).toBe(i + 1);
  }
  loading.open("loaded");
  expect(await first).toBe("loaded");
  clock.advance("1s");
  expect(await second).toBe("loaded");
});

it("a load pins its tags with the first load of a second", async () => {
  const cache = open(proxy.url);
  await cache.connect();
  const scripts = async (key: string): Promise<number> => {
    proxy.resetCounts();
    expect(await cache.getOrSet(key, () => key, { tags: ["t"] })).toBe(key);
    return proxy.counts.commandsByName["EVALSHA"] ?? 0;
  };
  const first = await scripts("first");
  // On a busy machine two loads may be more than a second apart.
  const later = [];
  for (let i = 0; i < 10; i += 1) later.push(await scripts(`later ${i}`));
  expect(Math.min(...later)).toBe(first - 1);
  expect(await open(server.url).get("later 9")).toBe("later 9");
});
