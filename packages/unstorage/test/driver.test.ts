import { join } from "node:path";
import { createCache, type Cache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { sqlite } from "@hotset/sqlite";
import { temporaryDirectory } from "@hotset/test-servers";
import { TestClock } from "@hotset/testing";
import { hotsetDriver, type HotsetDriverOptions } from "@hotset/unstorage";
import * as unstorage from "unstorage";
import { afterAll, describe, expect, it } from "vitest";
import { testDriver } from "./test-driver.ts";

const open: Cache[] = [];
afterAll(async () => {
  await Promise.all(open.map((cache) => cache.close()));
});

function newCache(file?: string, clock?: TestClock): Cache {
  const builder = createCache({ name: "shop", ...(clock && { clock }) }).tier(memory());
  // Windows of the cache must not reach the items.
  const cache = (file === undefined ? builder : builder.tier(sqlite(file)))
    .defaults({ ttl: "1m", staleWhileRevalidate: "1h", staleIfError: "1h" })
    .build();
  open.push(cache);
  return cache;
}
const folder = await temporaryDirectory("unstorage");
let files = 0;
const newFile = (): string => join(folder, `${(files += 1)}.db`);

function storageOver(cache: Cache, options?: HotsetDriverOptions): unstorage.Storage {
  const driver: unstorage.Driver = hotsetDriver(cache, options);
  return unstorage.createStorage({ driver });
}

describe("C573: the suite of unstorage for drivers", () => {
  describe("over memory", () => {
    testDriver({ unstorage, noKeysSupport: true, driver: () => hotsetDriver(newCache()) });
  });
  describe("over SQLite", () => {
    testDriver({ unstorage, noKeysSupport: true, driver: () => hotsetDriver(newCache(newFile())) });
  });
});

it("items end with their ttl in seconds, or with that of the driver, and are not served after it", async () => {
  const clock = new TestClock();
  const cache = newCache(undefined, clock);
  const storage = storageOver(cache);
  const endless = storageOver(cache, { name: "endless", ttl: Infinity });
  await storage.setItem("a", 1, { ttl: 1.5 });
  await storage.setItems(
    [
      { key: "b", value: 2, options: { ttl: 2 } },
      { key: "c", value: 3 },
    ],
    { ttl: 3 },
  );
  await Promise.all([storage.setItem("d", 4), storage.setItem("e", 5, { ttl: 0 }), endless.setItem("d", 6)]);
  const found = async () => (await storage.getItems(["a", "b", "c", "d", "e"])).map(({ value }) => value);
  clock.advance(1_499);
  expect(await found()).toEqual([1, 2, 3, 4, 5]);
  clock.advance(1);
  expect(await found()).toEqual([null, 2, 3, 4, 5]);
  clock.advance(1_500);
  expect(await found()).toEqual([null, null, null, 4, 5]);
  clock.advance(86_400_000 - 3_000);
  expect(await found()).toEqual([null, null, null, null, null]);
  clock.advance(10 * 365 * 86_400_000);
  expect(await endless.getItem("d")).toBe(6);
});

it.each([-1, Number.NaN, "60"])("refuses a ttl of %s, and says what it takes", async (ttl) => {
  await expect(storageOver(newCache()).setItem("a", 1, { ttl })).rejects.toThrow(
    `setItem: ttl must be a number of seconds above 0, got ${ttl}`,
  );
});

it("C574: clear of a mount removes its items, and a tag those that have it, and nothing else", async () => {
  const cache = newCache();
  const tags = (key: string): readonly string[] => [key.split(":", 3).join(":")];
  const storage = storageOver(newCache());
  storage.mount("cache", hotsetDriver(cache, { tags })).mount("other", hotsetDriver(cache, { name: "other", tags }));
  const keys = ["a:b", "cache:nitro:handlers:shop:1", "cache:nitro:handlers:blog:1", "other:nitro:handlers:shop:1"];
  const left = async () => (await storage.getItems(keys)).filter(({ value }) => value !== null).map(({ key }) => key);
  await storage.setItems(keys.map((key) => ({ key, value: key })));
  await cache.namespace("unstorage").invalidateTags("nitro:handlers:shop");
  expect(await left()).toEqual([keys[0], keys[2], keys[3]]);
  await storage.clear("cache");
  expect(await left()).toEqual([keys[0], keys[3]]);
  await storage.clear();
  expect(await left()).toEqual([]);
});

it("the driver refuses to clear below a base, which unstorage does not ask for", async () => {
  await expect(hotsetDriver(newCache()).clear("a:")).rejects.toThrow("invalidateTags");
});

it("C573: a change in one process reaches the copies of another", async () => {
  const file = newFile();
  const [here, there] = [storageOver(newCache(file)), storageOver(newCache(file))];
  await here.setItem("page:a", { n: 1 });
  await here.setItem("page:b", { n: 2 });
  expect([await there.getItem("page:a"), await there.getItem("page:b")]).toEqual([{ n: 1 }, { n: 2 }]);
  await here.setItem("page:a", { n: 3 });
  await expect.poll(() => there.getItem("page:a")).toMatchObject({ n: 3 });
  await here.clear();
  await expect.poll(() => there.getItem("page:b")).toBe(null);
});

it.each<[string, (cache: Cache, storage: unstorage.Storage) => Promise<unknown>]>([
  ["removes the item", (_, storage) => storage.removeItem("page:a")],
  ["clears the mount", (_, storage) => storage.clear()],
  ["invalidates its tag", (cache) => cache.namespace("unstorage").invalidateTags("page")],
])("C586: an item that was made after a miss is not stored once another process %s", async (_, change) => {
  const file = newFile();
  const there = newCache(file);
  const tags = (key: string): readonly string[] => [key.split(":")[0]!];
  const [first, second] = [newCache(file, new TestClock()), there].map((cache) => storageOver(cache, { tags }));
  expect(await first!.getItem("page:a")).toBe(null);
  expect(await first!.getItems(["page:a"])).toEqual([{ key: "page:a", value: null }]);
  await change(there, second!);
  for (let i = 0; i < 2; i += 1) await first!.setItem("page:a", "made before");
  expect([await first!.getItem("page:a"), await second!.getItem("page:a")]).toEqual([null, null]);
  await first!.setItem("page:a", "made after");
  expect([await first!.getItem("page:a"), await second!.getItem("page:a")]).toEqual(["made after", "made after"]);
});

it("keeps the cache open when it is disposed, and refuses unknown options", async () => {
  const cache = newCache();
  await storageOver(cache).dispose();
  expect(await cache.getOrSet("still", () => "open")).toBe("open");
  expect(() => hotsetDriver({} as never)).toThrow(/^hotsetDriver: cache must be .* got an object$/);
  expect(() => hotsetDriver(cache, { tttl: 1 } as never)).toThrow("did you mean ttl");
  expect(() => hotsetDriver(cache, { tags: "a" as never })).toThrow(
    "hotsetDriver: tags must be a function of the key, got string",
  );
  expect(() => hotsetDriver(cache, { ttl: "1 day" as never })).toThrow("ttl");
});
