/** Loads that fail, and loads that have just ended: what the copies of this process, and of others, are then. */
import {
  createCache,
  json,
  systemClock,
  type Cache,
  type Clock,
  type LoadContext,
  type Policy,
  type Served,
} from "@hotset/core";
import { memory } from "@hotset/memory";
import { fromClient, redis, type RedisBackendSettings } from "@hotset/redis";
import { startOwnRedis, until } from "@hotset/test-servers";
import { TestClock } from "@hotset/testing";
import { RedisClient } from "@redis/client";
import { afterAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";

const server = await startOwnRedis();
afterAll(() => server.stop());
beforeEach(() => server.command("FLUSHALL"));

const MODES = ["tracking", "pubsub", "none", "a client of the user"] as const;
const LAYOUTS = ["full", "string"] as const;
type Mode = (typeof MODES)[number];
type Layout = (typeof LAYOUTS)[number];

async function builderOf(mode: Mode): Promise<RedisBackendSettings> {
  if (mode !== "a client of the user") return redis(server.url).coherence(mode);
  const client = new RedisClient({ url: server.url });
  client.on("error", () => undefined);
  await client.connect();
  onTestFinished(() => client.destroy());
  return redis(fromClient(client));
}

/** The cache of one process. */
async function open(
  layout: Layout,
  mode: Mode = "tracking",
  policy: Policy = {},
  clock: Clock = systemClock,
): Promise<Cache> {
  const builder = await builderOf(mode);
  const backend = builder.valueFormat(json()).layout(layout).responseTimeout("10s").build();
  const cache = createCache({ name: "shop", explain: 100, clock })
    .tier(memory())
    .tier(backend)
    .defaults({ ttl: "10m", staleIfError: "1h", localTtl: "10m", ...policy })
    .build();
  onTestFinished(() => cache.close({ timeout: 0 }));
  await cache.connect();
  return cache;
}

const fails = (): never => {
  throw new Error("source down");
};
const KEYS = Array.from({ length: 50 }, (_, i) => `k${i}`);
const copies = (cache: Cache): number => KEYS.filter((key) => cache.peek(key) !== undefined).length;
/** Gets `key` until the copy of it may be served without asking. */
const holds = (cache: Cache, key: string): Promise<unknown> =>
  until(`a copy of ${key}`, async () => cache.peek(key) !== undefined || (await cache.get(key), false));

describe.each(LAYOUTS)("layout %s", (layout) => {
  it.each(MODES)("loads that fail drop no copy, of their process or another: %s", async (mode) => {
    const [first, second] = [await open(layout, mode), await open(layout, mode)];
    for (const key of KEYS) await first.set(key, 1);
    for (const cache of [first, second]) for (const key of KEYS) await holds(cache, key);
    const dropped: string[] = [];
    for (const cache of [first, second]) cache.on("invalidate", ({ key }) => dropped.push(String(key)));
    for (let i = 0; i < 5; i += 1)
      for (const key of KEYS) expect(await first.getOrSet(key, fails, { forceRefresh: true })).toBe(1);
    // Every change so far has been received.
    for (const cache of [first, second]) await cache.getOrSet("barrier", () => 1, { forceRefresh: true });
    expect([copies(first), copies(second)]).toEqual([KEYS.length, KEYS.length]);
    expect(dropped.filter((key) => key !== "barrier")).toEqual([]);
    if (mode === "none") return;
    await first.set("k0", 2);
    await until("the change", () => Promise.resolve(second.peek("k0") === undefined));
    expect(await second.get("k0")).toBe(2);
  });

  it.each(MODES)("a process that waits for a load elsewhere is woken when it fails: %s", async (mode) => {
    // Unwoken it looks again after up to a second: of a clock that stands still, where something reports the end.
    const clock = mode === "none" ? systemClock : new TestClock();
    const [first, second] = [await open(layout, mode), await open(layout, mode, {}, clock)];
    await first.set("k", 1, { ttl: "1s" });
    await first.markStale("k");
    const began = Promise.withResolvers<void>();
    const end = Promise.withResolvers<number>();
    const failing = first.getOrSet("k", () => (began.resolve(), end.promise), { staleIfError: 0 });
    await began.promise;
    const waiting = second.getOrSet("k", () => 2, { staleIfError: 0 });
    await until("a wait", () => Promise.resolve(second.explain("k").some(({ why }) => why.includes("held elsewhere"))));
    end.reject(new Error("source down"));
    await expect(failing).rejects.toThrow("source down");
    expect(await waiting).toBe(2);
  });

  it("a forced load that fails gives the value in a process with a copy and in one without", async () => {
    const [first, second] = [await open(layout), await open(layout)];
    await first.set("k", 1, { etag: '"1"' });
    const etags: unknown[] = [];
    for (const cache of [first, second, second]) {
      const served: Served[] = [];
      const load = ({ stale }: LoadContext): never => (etags.push(stale?.etag), fails());
      const options = { forceRefresh: true, onServed: (each: Served) => void served.push(each) };
      expect(await cache.getOrSet("k", load, options)).toBe(1);
      expect(served).toMatchObject([{ status: "stale", cause: "error" }]);
    }
    expect(etags).toEqual(['"1"', '"1"', '"1"']);
  });

  it("a call right after getOrSet is answered by the value in memory, which Redis is not asked about", async () => {
    const cache = await open(layout);
    await cache.getOrSet("first", () => 0);
    const tiers: unknown[] = [];
    const onServed = ({ tier }: Served): void => void tiers.push(tier);
    for (let i = 0; i < 100; i += 1) {
      expect(await cache.getOrSet(`key ${i}`, () => i)).toBe(i);
      expect(await cache.getOrSet(`key ${i}`, () => -1, { onServed })).toBe(i);
    }
    expect(tiers).toEqual(Array.from({ length: 100 }, () => "memory"));
  });
});
