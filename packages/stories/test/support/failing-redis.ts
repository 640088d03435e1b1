/** A Redis that a test breaks, for caches as their callers see them. */
import type { Cache } from "@hotset/core";
import { startOwnRedis, startProxy, type FaultProxy, type OwnRedis } from "@hotset/test-servers";
import { afterAll, afterEach, beforeEach, expect } from "vitest";
import { impatient, over, type OverRedisOptions } from "./over-redis.ts";
import type { Stack } from "./stacks.ts";
import { watch } from "./watch.ts";

export const PATIENCE = { interval: 10 };
export const WITH_MEMORY: OverRedisOptions = { stack: "memory over backend" };

export interface FailingRedis {
  readonly server: OwnRedis;
  /** A new one for each test. */
  readonly proxy: FaultProxy;
  /** Through the proxy, which the test breaks. */
  open(options?: OverRedisOptions): Cache;
  /** Another process, over a link that does not break. */
  elsewhere(): Cache;
  goDown(): Promise<void>;
}

/** One for all tests of a file, emptied after each. */
export async function failingRedis(): Promise<FailingRedis> {
  const server = await startOwnRedis();
  afterAll(() => server.stop());
  let proxy: FaultProxy;
  beforeEach(async () => {
    proxy = await startProxy(server.port);
  });
  afterEach(async () => {
    await proxy.close();
    await server.command("FLUSHALL");
  });
  return {
    server,
    get proxy() {
      return proxy;
    },
    open: (options) => over(impatient(proxy.url).build(), options),
    elsewhere: () => over(impatient(server.url).responseTimeout("5s").build()),
    async goDown() {
      await proxy.refuse();
      proxy.cut();
    },
  };
}

/** Waits until no invalidation is pending. */
export const replayed = (cache: Cache) => expect.poll(() => cache.stats().pending, PATIENCE).toBe(0);

/** All answers that a caller could get until the replay, and right after it. */
async function answersUntilReplayed(cache: Cache, ...keys: readonly string[]): Promise<Set<unknown>> {
  const answers = new Set<unknown>();
  for (let isLast = false; !isLast;) {
    isLast = cache.stats().pending === 0;
    for (const key of keys) answers.add(await cache.get(key));
    await new Promise((resolve) => setImmediate(resolve));
  }
  return answers;
}

/** What Redis meets, and its end. */
export type Fault = readonly [fault: string, begin: () => unknown, end: () => unknown];

/** A value and a tagged one are deleted meanwhile, and both deletes are replayed. @returns what is found of them then */
export async function deleteDuring({ server, open, elsewhere }: FailingRedis, stack: Stack, [, begin, end]: Fault) {
  const cache = open({ stack });
  const recoveries = watch(cache, "recover");
  await cache.connect();
  await cache.set("k", "old");
  await cache.set("tagged", "old", { tags: ["t"] });
  await begin();
  expect(await cache.delete("k")).toEqual({ status: "pending" });
  expect(await cache.invalidateTags("t")).toEqual({ status: "pending" });
  expect([await cache.get("k"), await cache.get("tagged")]).toEqual([undefined, undefined]);
  expect(cache.stats().pending).toBe(2);
  await end();
  return {
    // No read here finds the values that Redis still holds, not even at the moment of its return.
    here: [...(await answersUntilReplayed(cache, "k", "tagged"))],
    elsewhere: [await elsewhere().get("k"), await elsewhere().get("tagged")],
    stored: await server.command("EXISTS", "hotset:shop::k"),
    replayed: recoveries.reduce((sum, [, { replayed: n }]) => sum + n, 0),
  };
}

/** What {@link deleteDuring} finds if no value reappears. */
export const NOTHING_REAPPEARED = { here: [undefined], elsewhere: [undefined, undefined], stored: 0, replayed: 2 };

/** A newer value is set meanwhile, and the key is invalidated once Redis answers. @returns what is found then */
export async function setDuring({ open, elsewhere }: FailingRedis, stack: Stack, [, begin, end]: Fault) {
  const cache = open({ stack });
  await cache.connect();
  await cache.set("k", "old");
  await begin();
  expect(await cache.set("k", "new")).toEqual({ status: "pending" });
  const here = stack === "backend" ? undefined : "new";
  expect(await cache.get("k")).toBe(here);
  await end();
  return {
    isOldHere: (await answersUntilReplayed(cache, "k")).has("old"),
    elsewhere: [await elsewhere().get("k"), await elsewhere().getOrSet("k", () => "loaded")],
  };
}

/** What {@link setDuring} finds if the older value is served nowhere. */
export const NOTHING_OLDER = { isOldHere: false, elsewhere: [undefined, "loaded"] };
