/** One public call may need two calls of the backend at once: the breaker lets both through, or none. */

import { createCache, type Cache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { flush, scriptedBackend, TestClock, type ScriptedBackend } from "@hotset/testing";
import { describe, expect, it, onTestFinished } from "vitest";

const KEY = "test::k";

async function halfOpen(): Promise<{
  readonly cache: Cache;
  readonly clock: TestClock;
  readonly backend: ScriptedBackend;
}> {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true });
  const cache = createCache({ name: "test", clock }).tier(memory()).tier(backend).defaults({ ttl: "1h" }).build();
  onTestFinished(() => cache.close({ timeout: 0 }));
  await cache.set("j", "so that the tag versions are known");
  backend.down();
  for (let i = 0; i < 5; i += 1) await cache.get(`unreachable ${i}`);
  expect(cache.stats().tiers.at(-1)!.state).toBe("down");
  backend.up();
  backend.forgetCalls();
  clock.advance("1s");
  return { cache, clock, backend };
}

it("the breaker of a backend opens after as many failures as the backend says", async () => {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, breaker: { failures: 2, waitMs: 10_000, longestWaitMs: 30_000 } });
  const cache = createCache({ name: "test", clock }).tier(memory()).tier(backend).defaults({ ttl: "1h" }).build();
  onTestFinished(() => cache.close({ timeout: 0 }));
  backend.down();
  const isAsked = async (key: string): Promise<boolean> => {
    backend.forgetCalls();
    await cache.get(key);
    return backend.calls.length > 0;
  };
  const asked = [await isAsked("a"), await isAsked("b"), await isAsked("c")];
  expect([asked, cache.stats().tiers.at(-1)!.state]).toEqual([[true, true, false], "down"]);
  clock.advance("9s");
  expect(await isAsked("d")).toBe(false);
  clock.advance("1s");
  expect([await isAsked("d"), await isAsked("e")]).toEqual([true, false]);
});

describe("a half-open breaker admits one public call, with all that it sends at once:", () => {
  it("set under versions seen before is stored, and is not removed afterwards", async () => {
    const { cache, clock, backend } = await halfOpen();
    expect(await cache.set("k", "new")).toMatchObject({ status: "stored" });
    expect(backend.calls.map(({ operation }) => operation)).toEqual(["write", "tags.read"]);
    for (let i = 0; i < 4; i += 1) {
      clock.advance("1s");
      await flush();
    }
    expect([cache.stats().pending, backend.count("remove", KEY), backend.store.get(KEY)?.meta !== undefined]).toEqual([
      0,
      0,
      true,
    ]);
  });

  it("forceRefresh is loaded and stored", async () => {
    const { cache, backend } = await halfOpen();
    expect(await cache.getOrSet("k", () => "loaded", { forceRefresh: true })).toBe("loaded");
    expect(backend.count("leases.store", KEY)).toBe(1);
  });

  it("and no second call", async () => {
    const { cache, backend } = await halfOpen();
    const statuses = await Promise.all(["k", "l", "m"].map(async (key) => (await cache.set(key, "new")).status));
    expect(statuses).toEqual(["stored", "pending", "pending"]);
    // What was not sent is removed as soon as the first call was taken.
    await flush();
    expect(backend.calls.map(({ operation }) => operation)).toEqual(["write", "tags.read", "remove", "remove"]);
  });
});

it("while the breaker is open a read of a key with a pending removal does not try to replay it", async () => {
  const { cache, clock, backend } = await halfOpen();
  backend.down();
  await cache.get("the probe fails");
  expect(await cache.delete("k")).toEqual({ status: "pending" });
  backend.forgetCalls();
  const before = cache.stats().tiers.at(-1)!.errors;
  for (let i = 0; i < 10; i += 1) await cache.get("k");
  expect([backend.calls, cache.stats().tiers.at(-1)!.errors - before]).toEqual([[], 0]);
  backend.up();
  // The wait after a failed probe.
  clock.advance("2s");
  await flush();
  expect([cache.stats().pending, backend.count("remove", KEY)]).toEqual([0, 1]);
});
