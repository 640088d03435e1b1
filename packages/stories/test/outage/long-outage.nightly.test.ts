/** An outage longer than `reissueWindow`, and then a server with older data. The clock of the cache is moved. */
import { createCache, json, type Duration } from "@hotset/core";
import { TestClock } from "@hotset/testing";
import { memory } from "@hotset/memory";
import { redis } from "@hotset/redis";
import { randomPrefix, startOwnRedis } from "@hotset/test-servers";
import { expect, it } from "vitest";
import { LAYOUT } from "../support/layout.ts";
import { watch } from "../support/watch.ts";

const POLL = { timeout: 20_000, interval: 50 };

it("C164: what was acknowledged just before the loss is issued again after 60 s without Redis", async () => {
  await using server = await startOwnRedis();
  const clock = new TestClock();
  await using cache = createCache({ name: "shop", clock })
    .tier(memory())
    .tier(redis(server.url).layout(LAYOUT).keyPrefix(randomPrefix()).valueFormat(json()).build())
    .defaults({ ttl: "1h" })
    .build();
  const recoveries = watch(cache, "recover");
  await cache.connect();
  await cache.set("beside", "kept");
  for (const key of ["long ago", "deleted", "replaced"]) await cache.set(key, "old");
  await cache.set("tagged", "old", { tags: ["t"] });
  expect(await server.command("SAVE")).toBe("OK");
  await cache.delete("long ago");
  /** Time passes while the link is up: a copy is served only after the next heartbeat. */
  const pass = async (time: Duration): Promise<void> => {
    clock.advance(time);
    await expect.poll(() => cache.peek("beside"), POLL).toBe("kept");
  };
  // More than `reissueWindow`, of 30 s, before the loss.
  await pass("25s");
  expect([
    await cache.delete("deleted"),
    await cache.set("replaced", "new"),
    await cache.invalidateTags("t"),
  ]).toMatchObject([{ status: "deleted" }, { status: "stored" }, { status: "done" }]);
  await pass("20s");

  await server.kill();
  await expect.poll(() => cache.stats().tiers.at(-1)!.state, POLL).toBe("detached");
  clock.advance("60s");
  await server.start();
  await expect
    .poll(() => {
      // The cache tries to attach again by its own clock.
      clock.advance(100);
      return recoveries.length;
    }, POLL)
    .toBeGreaterThan(0);
  expect(await Promise.all(["deleted", "replaced", "tagged"].map((key) => cache.get(key)))).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  expect(await cache.get("long ago")).toBe("old");
});
