import { join } from "node:path";
import { createCache, json, type Cache } from "@hotset/core";
import { keyvStore } from "@hotset/keyv";
import { memory } from "@hotset/memory";
import { sqlite } from "@hotset/sqlite";
import { temporaryDirectory } from "@hotset/test-servers";
import { createTestCache, flush, gate, outcome, scriptedBackend, TestClock } from "@hotset/testing";
import { createCache as createManager } from "cache-manager";
import { Cacheable } from "cacheable";
import { Keyv, type KeyvStoreAdapter } from "keyv";
import { Keyv as Keyv6 } from "keyv6";
import { afterEach, expect, it, vi } from "vitest";

const open: Cache[] = [];
const newCache = (file?: string, clock?: TestClock): Cache => {
  const builder = createCache({ name: "shop", ...(clock && { clock }) }).tier(memory());
  // Windows of the cache must not reach the values of Keyv.
  const cache = (file === undefined ? builder : builder.tier(sqlite(file, { clock })))
    .defaults({ ttl: "1m", staleWhileRevalidate: "1h", staleIfError: "1h" })
    .build();
  open.push(cache);
  return cache;
};
const folder = await temporaryDirectory("keyv");
let files = 0;
const newFile = (): string => join(folder, `${(files += 1)}.db`);

afterEach(async () => {
  await Promise.all(open.splice(0).map((cache) => cache.close()));
});

it("values end with their ttl, and not before; without one they do not end", async () => {
  const clock = new TestClock();
  const store = keyvStore(newCache(undefined, clock));
  await store.setMany([
    { key: "a", value: "1", ttl: 100 },
    { key: "b", value: "2", ttl: 200.5 },
    { key: "c", value: "3" },
  ]);
  clock.advance(99);
  expect(await store.getMany(["a", "b", "c", "d"])).toEqual(["1", "2", "3", undefined]);
  clock.advance(1);
  expect([await store.get("a"), await store.has("a")]).toEqual([undefined, false]);
  clock.advance(101);
  expect(await store.hasMany(["a", "b", "c"])).toEqual([false, false, true]);
  clock.advance(10 * 365 * 86_400_000);
  expect(await store.get("c")).toBe("3");
});

it("a ttl of 0 or less removes the value", async () => {
  const store = keyvStore(newCache());
  await store.set("a", "1");
  await store.set("a", "2", 0);
  expect(await store.get("a")).toBe(undefined);
});

it.each([
  ["5", Keyv as unknown as typeof Keyv6],
  ["6", Keyv6],
])("Keyv %s: namespaces are apart, clear takes one of them, deletes count", async (_, AnyKeyv) => {
  const cache = newCache();
  const [plain, first, second] = [undefined, "first", "second"].map(
    (namespace) => new AnyKeyv({ store: keyvStore(cache), ...(namespace !== undefined && { namespace }) }),
  );
  for (const [i, each] of [plain!, first!, second!].entries()) await each.set("k", i, 60_000);
  await first!.clear();
  expect(await Promise.all([plain!, first!, second!].map((each) => each.get("k")))).toEqual([0, undefined, 2]);
  expect([await second!.delete("k"), await second!.delete("k")]).toEqual([true, false]);
  expect(await plain!.get("k")).toBe(0);
  await plain!.clear();
  expect(await plain!.get("k")).toBe(undefined);
});

it("Keyv 5 and 6: calls with many keys answer as the types of each version say", async () => {
  const [five, six] = [new Keyv({ store: keyvStore(newCache()) }), new Keyv6({ store: keyvStore(newCache()) })];
  for (const each of [five, six] as Pick<Keyv, "setMany" | "set">[]) {
    expect(await each.setMany(["a", "b"].map((key) => ({ key, value: 1 })))).toEqual([true, true]);
    await each.set("c", 1);
  }
  expect([await five.deleteMany(["a", "none"]), await five.delete(["none"])]).toEqual([true, false]);
  expect(await six.deleteMany(["a", "none", "c"])).toEqual([true, false, true]);
  expect([await five.get("b"), await six.get("b")]).toEqual([1, 1]);
});

it("a store with a name never meets one with a namespace, whatever characters they have", async () => {
  const cache = newCache();
  const pairs = [
    ["keyv", undefined],
    ["keyv", "users"],
    ["keyv:users", undefined],
    ["keyv%3Ausers", undefined],
    ["a", "b:c"],
    ["a:b", "c"],
    ["a", ":b"],
    ["a:", "b"],
  ] as const;
  const stores = pairs.map(([name, namespace]) => Object.assign(keyvStore(cache, { name }), { namespace }));
  for (const [i, store] of stores.entries()) await store.set("k", i);
  expect(await Promise.all(stores.map((store) => store.get("k")))).toEqual(stores.map((_, i) => i));
  for (const [i, store] of stores.entries()) {
    await store.clear();
    const left = await Promise.all(stores.map((each) => each.has("k")));
    expect(left).toEqual(stores.map((_, j) => j > i));
  }
});

it("a delete and a clear through Keyv in one process reach the copies of another", async () => {
  const file = newFile();
  const [here, there] = [newCache(file), newCache(file)].map((cache) => new Keyv({ store: keyvStore(cache) }));
  await here!.set("a", { n: 1 });
  await here!.set("b", 2);
  expect([await there!.get("a"), await there!.get("b")]).toEqual([{ n: 1 }, 2]);
  await here!.delete("a");
  await expect.poll(() => there!.get("a")).toBe(undefined);
  expect(await there!.get("b")).toBe(2);
  await here!.clear();
  await expect.poll(() => there!.get("b")).toBe(undefined);
});

it("so do those of cache-manager and of cacheable", async () => {
  const file = newFile();
  const manager = createManager({ stores: [new Keyv({ store: keyvStore(newCache(file)) })] });
  const cacheable = new Cacheable({ primary: new Keyv({ store: keyvStore(newCache(file)) }) });
  expect(await manager.wrap("user", async () => ({ id: 42 }), 60_000)).toEqual({ id: 42 });
  expect(await cacheable.get("user")).toEqual({ id: 42 });
  await cacheable.set("user", { id: 43 }, "1m");
  await expect.poll(() => manager.get("user")).toMatchObject({ id: 43 });
  await manager.del("user");
  await expect.poll(() => cacheable.get("user")).toBe(undefined);
  await manager.disconnect();
  await cacheable.disconnect();
  // It was not theirs.
  expect(await open[0]!.getOrSet("still", () => "open")).toBe("open");
});

it.each<[string, (store: Keyv) => Promise<unknown>]>([
  ["deletes the key", (store) => store.delete("k")],
  ["clears", (store) => store.clear()],
  ["stores another value", (store) => store.set("k", "theirs")],
])("C586: a value that was computed after a miss is not stored once another process %s", async (_, change) => {
  const [file, clock] = [newFile(), new TestClock()];
  const [here, there] = [newCache(file, clock), newCache(file)].map((cache) => new Keyv({ store: keyvStore(cache) }));
  // If two compute together, neither is stored.
  expect([await here!.get("k"), await here!.getMany(["k"])]).toEqual([undefined, [undefined]]);
  await change(there!);
  for (let i = 0; i < 2; i += 1) {
    clock.advance(100);
    expect(await here!.set("k", "computed before")).toBe(false);
  }
  // Whose the second one was is not known, so it may have been newer than what was there.
  expect(await here!.get("k")).toBe(undefined);
  expect(await here!.set("k", "computed after")).toBe(true);
  await expect.poll(() => there!.get("k")).toBe("computed after");
});

it("C586: stores each value that is set after misses without one, also through cache-manager", async () => {
  // The clock stands still: the file is not asked for changes, and the first report of a namespace counts as one.
  const keyv = new Keyv({ store: keyvStore(newCache(newFile(), new TestClock())) });
  const manager = createManager({ stores: [keyv] });
  for (let i = 0; i < 6; i += 1) expect(await manager.get("user")).toBeUndefined();
  for (const value of ["v1", "v2"]) {
    await manager.set("user", value);
    expect(await manager.get("user")).toBe(value);
    expect(await keyv.set("user", `${value}, directly`)).toBe(true);
    expect(await manager.get("user")).toBe(`${value}, directly`);
  }
});

it("C586: finds the value of a set before its promise is settled", async () => {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported" });
  const cache = createTestCache({ clock, backend });
  open.push(cache);
  const keyv = new Keyv({ store: keyvStore(cache) });
  const reads = { k: async () => keyv.get("k"), l: async () => (await keyv.getMany(["l"]))[0] };
  for (const [key, read] of Object.entries(reads)) {
    expect(await read()).toBeUndefined();
    const stored = gate();
    backend.script("leases.store", { before: stored });
    const set = keyv.set(key, "new");
    await flush();
    const found = read();
    expect((await outcome(found)).status).toBe("pending");
    stored.open();
    expect(await found).toBe("new");
    await set;
  }
});

it("a value that the backend cannot take removes the one before it, with one warning", async () => {
  const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => undefined);
  const store = keyvStore(newCache(newFile()));
  await store.set("k", "old");
  for (let i = 0; i < 2; i += 1) expect(await store.set("k", { big: 10n })).toBe(false);
  expect(await store.get("k")).toBeUndefined();
  expect(await store.set("k", "new")).toBe(true);
  expect(
    await store.setMany([
      { key: "k", value: { big: 10n } },
      { key: "l", value: "stored" },
    ]),
  ).toEqual([false, true]);
  expect(await store.getMany(["k", "l"])).toEqual([undefined, "stored"]);
  expect(warned.mock.calls.map(([text]) => text)).toEqual([
    expect.stringMatching(/^keyv: a value is not cached: json: /),
  ]);
  warned.mockRestore();
});

it("so does one that another copy of the package refuses", async () => {
  vi.resetModules();
  const copy = await import("@hotset/core");
  expect(copy.createCache).not.toBe(createCache);
  const stores = await import("@hotset/sqlite");
  const cache = copy
    .createCache({ name: "shop" })
    .tier(stores.sqlite(newFile(), { format: json() }))
    .build();
  open.push(cache);
  const store = keyvStore(cache);
  await store.set("k", "old");
  expect([await store.set("k", { big: 10n }), await store.get("k")]).toEqual([false, undefined]);
});

it("has the type of a store of Keyv 5, and its own name for values", async () => {
  const cache = newCache();
  const store: KeyvStoreAdapter = keyvStore(cache, { name: "views" });
  await new Keyv({ store, useKeyPrefix: false }).set("home", "<html>");
  expect(await cache.namespace("views:keyv").get("home")).toContain("<html>");
});

it("refuses what is not a cache, a cache without a name, and unknown options", () => {
  expect(() => keyvStore(undefined as never)).toThrow(/^keyvStore: cache must be .* got undefined$/);
  const nameless = createCache({ name: "" }).tier(memory()).build();
  open.push(nameless);
  expect(() => keyvStore(nameless)).toThrow("name");
  expect(() => keyvStore(newCache(), { nam: "x" } as never)).toThrow("did you mean name");
});
