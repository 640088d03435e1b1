/** Changes by another process where keys are hashed: over tracking and over a channel. */
import { createCache, type Cache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { randomPrefix } from "@hotset/test-servers";
import { gate } from "@hotset/testing";
import { describe, expect, inject, it, onTestFinished } from "vitest";
import { patient } from "../support/over-redis.ts";

describe.each(["tracking", "pubsub"] as const)("C81 over %s", (coherence) => {
  /** Two caches with a memory tier, each over its own backend. */
  async function two(): Promise<readonly [Cache, Cache]> {
    const keyPrefix = randomPrefix();
    const open = async (): Promise<Cache> => {
      const backend = patient(inject("redisUrl")).keyPrefix(keyPrefix).keyFormat("hashed").coherence(coherence).build();
      const cache = createCache({ name: "shop" }).tier(memory()).tier(backend).defaults({ ttl: "10m" }).build();
      onTestFinished(() => cache.close({ timeout: 0 }));
      await cache.connect();
      return cache;
    };
    return [await open(), await open()];
  }

  /** A report of the write itself may come after a first read. */
  const copied = (cache: Pick<Cache, "get" | "peek">, key: string): Promise<void> =>
    expect
      .poll(async () => {
        await cache.get(key);
        return cache.peek(key);
      })
      .toBe(1);

  it("a change of a key drops its copy elsewhere, and leaves others alone", async () => {
    const [here, there] = await two();
    await there.namespace("users").set("k", 1);
    await there.namespace("users").set("other", 1);
    await copied(here.namespace("users"), "k");
    await copied(here.namespace("users"), "other");
    await there.namespace("users").set("k", 2);
    await expect.poll(() => here.namespace("users").peek("k")).toBe(undefined);
    expect(here.namespace("users").peek("other")).toBe(1);
    expect(await here.namespace("users").get("k")).toBe(2);
  });

  it("an invalidation of a tag is received", async () => {
    const [here, there] = await two();
    await there.set("k", 1, { tags: ["t"] });
    await copied(here, "k");
    await there.invalidateTags("t");
    await expect.poll(() => here.peek("k")).toBe(undefined);
    expect(await here.get("k")).toBe(undefined);
  });

  it("a load is not shared after an invalidation of a tag that was never used here", async () => {
    const [here, there] = await two();
    const old = gate<string>();
    const first = here.getOrSet("k", (context) => {
      context.setOptions({ tags: ["late"] });
      return old.pass();
    });
    await old.arrived(1);
    await there.invalidateTags("late");
    // The report is received before the answer to a later call over the same connection.
    await here.get("another");
    const second = here.getOrSet("k", () => "new");
    old.open("old");
    expect([await first, await second]).toEqual(["old", "new"]);
  });
});
