import { EventEmitter } from "node:events";
import { createCache, DecodeError, json, type StoredEntry } from "@hotset/core";
import { keyv, type KeyvAdapter, type KeyvBackendOptions } from "@hotset/keyv";
import { memory } from "@hotset/memory";
import { Keyv } from "keyv";
import { Keyv as Keyv6, KeyvMemoryAdapter } from "keyv6";
import { expect, it, onTestFinished, vi } from "vitest";

const ENTRY: StoredEntry = { data: Uint8Array.of(1), staleInMs: 1_000, expiresInMs: 2_000, meta: "" };

/** A store whose next call fails as many do: an event, and the answer of a miss. */
class Flaky extends EventEmitter {
  readonly map = new Map<string, string>();
  isDown = false;

  #fault(): boolean {
    if (this.isDown) this.emit("error", new Error("connection refused"));
    return this.isDown;
  }
  async get(key: string) {
    return this.#fault() ? undefined : this.map.get(key);
  }
  async getMany(keys: string[]) {
    const isDown = this.#fault();
    return keys.map((key) => (isDown ? undefined : this.map.get(key)));
  }
  async set(key: string, value: string) {
    if (!this.#fault()) this.map.set(key, value);
  }
  async delete(key: string) {
    return this.#fault() ? false : this.map.delete(key);
  }
}

it("a fault that a store reports as an event is no miss: the call fails, and nothing is loaded over it", async () => {
  const store = new Flaky();
  const backend = keyv(store, { isOnlyWriter: true });
  await backend.write("a", ENTRY);
  store.isDown = true;
  const unavailable = { code: "BACKEND_UNAVAILABLE", cause: new Error("connection refused") };
  await expect(backend.read("a")).rejects.toMatchObject(unavailable);
  await expect(backend.batch!.read(["a", "b"])).rejects.toMatchObject(unavailable);
  await expect(backend.write("a", ENTRY)).rejects.toMatchObject(unavailable);
  await expect(backend.remove("a")).rejects.toMatchObject(unavailable);

  store.isDown = false;
  expect((await backend.read("a"))?.data).toEqual(Uint8Array.of(1));
  expect(await backend.read("b")).toBe(undefined);
  await backend.close();
  expect(store.listenerCount("error")).toBe(0);
});

it("an error that is reported during a call with an answer does not spoil the answer", async () => {
  const store = new Flaky();
  const backend = keyv(store, { isOnlyWriter: true });
  await backend.write("a", ENTRY);
  const get = store.get.bind(store);
  store.get = async (key) => {
    store.emit("error", new Error("reconnecting"));
    return get(key);
  };
  expect((await backend.read("a"))?.data).toEqual(Uint8Array.of(1));
  await expect(backend.read("b")).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
});

it.each<[string, KeyvAdapter]>([
  ["rejects", { get: vi.fn(), set: () => Promise.reject(new Error("full")), delete: vi.fn() }],
  ["throws", { get: vi.fn(), set: () => void JSON.parse("{"), delete: vi.fn() }],
  ["answers false", { get: vi.fn(), set: async () => false, delete: vi.fn() }],
])("a store that %s to set has not stored", async (_, store) => {
  await expect(keyv(store, { isOnlyWriter: true }).write("a", ENTRY)).rejects.toMatchObject({
    code: "BACKEND_UNAVAILABLE",
    operation: "write",
  });
});

it("a getMany of another length is a failure, and without getMany there is no batch", async () => {
  const map = new Map<string, string>();
  expect(keyv(map, { isOnlyWriter: true }).batch).toBe(undefined);
  const short = { get: vi.fn(), set: vi.fn(), delete: vi.fn(), getMany: async () => [] };
  await expect(keyv(short, { isOnlyWriter: true }).batch!.read(["a"])).rejects.toMatchObject({
    code: "BACKEND_UNAVAILABLE",
  });
});

it("a store of Keyv 5 gets the time that is left, one of Keyv 6 the instant", async () => {
  const five = { get: vi.fn(), set: vi.fn(), delete: vi.fn() };
  const six = { ...five, set: vi.fn(), capabilities: { expires: true } };
  vi.spyOn(Date, "now").mockReturnValue(1_000_000);
  for (const store of [five, six]) {
    const backend = keyv(store, { isOnlyWriter: true });
    await backend.write("a", ENTRY);
    await backend.write("a", { ...ENTRY, expiresInMs: Infinity });
  }
  vi.restoreAllMocks();
  expect(five.set.mock.calls.map(([, , end]) => end)).toEqual([2_000, undefined]);
  expect(six.set.mock.calls.map(([, , end]) => end)).toEqual([1_002_000, undefined]);
});

it("keys are of one length and few letters, for any key of the cache", async () => {
  const map = new Map<string, string>();
  const backend = keyv(map, { isOnlyWriter: true });
  await backend.write("\0 % é \u{1f98a}".repeat(1_000), ENTRY);
  await backend.write("a", ENTRY);
  for (const [name, value] of map) {
    expect(name).toMatch(/^hotset:[0-9a-f]{64}$/);
    expect(value).toMatch(/^[A-Za-z0-9+/]+=*$/);
  }
});

it("what another program wrote is reported, and is a miss; text may come back as bytes", async () => {
  const map = new Map<string, string>();
  const backend = keyv(map, { isOnlyWriter: true });
  await backend.write("a", ENTRY);
  const [name, text] = [...map][0]!;
  map.set(name, Buffer.from(text) as never);
  expect((await backend.read("a"))?.data).toEqual(Uint8Array.of(1));

  map.set(name, '{"value":1}');
  expect((await backend.read("a"))?.error).toBeInstanceOf(DecodeError);
  const cache = createCache({ name: "foreign" }).tier(backend).defaults({ ttl: "1m" }).build();
  await cache.set("k", 1);
  for (const each of map.keys()) map.set(each, "garbage");
  expect(await cache.getOrSet("k", () => 2)).toBe(2);
  await cache.close();
});

it("refuses a Keyv of either version, what is not a store, and unknown options", () => {
  for (const given of [new Keyv(), new Keyv6()])
    expect(() => keyv(given as unknown as KeyvAdapter)).toThrow("takes the store, not a Keyv, which hides errors");
  expect(keyv(new KeyvMemoryAdapter(new Map()), { isOnlyWriter: true }).label).toBe("keyv");
  for (const given of [undefined, null, {}, "redis://localhost"])
    expect(() => keyv(given as never)).toThrow("store must have get, set and delete");
  expect(() => keyv(new Map(), { isOnlyWritter: true } as never)).toThrow("did you mean isOnlyWriter");
});

it("a cache over a store of Keyv warns of what it cannot promise, unless there is one writer", async () => {
  const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => undefined);
  onTestFinished(() => warn.mockRestore());
  // It is given once for each label.
  const label = "keyv-warned-of";
  const build = (options: KeyvBackendOptions) =>
    createCache({ name: "shop" })
      .tier(keyv(new Map(), { label, ...options }))
      .build();
  await build({ isOnlyWriter: true }).close();
  expect(warn).not.toHaveBeenCalled();
  await build({}).close();
  expect(warn.mock.calls).toEqual([
    [
      expect.stringMatching(/^hotset: cache "shop": keyv-warned-of has no leases: /),
      expect.objectContaining({ code: "HOTSET_NO_LEASES" }),
    ],
  ]);
});

it("values, tags and clear hold for all caches over one store, with a bound on local copies", async () => {
  const map = new Map<string, string>();
  const open = () =>
    createCache({ name: "shop" })
      .tier(memory({ label: "near" }))
      .tier(keyv(map, { format: json() }))
      .defaults({ ttl: "1m", localTtl: 1 })
      .build();
  const [here, there] = [open(), open()];
  await here.set("a", { n: 1 }, { tags: ["t"] });
  await here.set("b", 2);
  expect(await there.getMany(["a", "b", "c"])).toEqual(
    new Map<string, unknown>([
      ["a", { n: 1 }],
      ["b", 2],
    ]),
  );
  await there.invalidateTags("t");
  await expect.poll(() => here.get("a")).toBe(undefined);
  await there.clear();
  await expect.poll(() => here.get("b")).toBe(undefined);
  await Promise.all([here.close(), there.close()]);
});
