/** Sealed entries in a real Redis, and a program with write access to it that does its worst. */
import { createCache, json, type Cache, type Policy, type Seal } from "@hotset/core";
import { brotli, gzip, v8 } from "@hotset/formats";
import { msgpack } from "@hotset/formats/msgpack";
import { zstd } from "@hotset/formats/zstd";
import { memory } from "@hotset/memory";
import { aesGcm, hmac, sealed } from "@hotset/seal";
import { startOwnRedis } from "@hotset/test-servers";
import type { TestClock } from "@hotset/testing";
import { redis, type RedisBackendBuilder } from "hotset";
import { afterAll, afterEach, describe, expect, it, onTestFinished } from "vitest";
import { never } from "../support/stacks.ts";

const server = await startOwnRedis();
afterAll(() => server.stop());
afterEach(() => server.command("FLUSHALL"));

const key = (fill: number): { readonly id: string; readonly key: Buffer } => ({
  id: `k${fill}`,
  key: Buffer.alloc(32, fill),
});
const SEALS: readonly (readonly [name: string, seal: Seal])[] = [
  ["aesGcm", aesGcm({ keys: [key(1)] })],
  ["hmac", hmac({ keys: [key(1)] })],
];

interface OpenOptions extends Policy {
  readonly seal?: Seal;
  readonly name?: string;
  readonly version?: number;
  readonly clock?: TestClock;
  readonly local?: boolean;
  readonly backend?: (builder: RedisBackendBuilder) => RedisBackendBuilder;
}

function open({
  seal,
  name = "shop",
  version,
  clock,
  local = false,
  backend = (each) => each,
  ...policy
}: OpenOptions): Cache {
  // No test here is about a slow server.
  const builder = backend(redis(server.url).responseTimeout("15s"));
  const tier =
    clock === undefined || seal === undefined
      ? (seal === undefined ? builder : builder.seal(seal)).build()
      : sealed(builder.build(), seal, { clock });
  const empty = createCache({ name, ...(version && { version }), ...(clock && { clock }) }).defaults({
    ttl: "10m",
    localTtl: "10m",
    ...policy,
  });
  const cache = (local ? empty.tier(memory()) : empty).tier(tier).build();
  onTestFinished(() => cache.close({ timeout: 0 }));
  return cache;
}

/** The keys of `decode:error`, as they come. */
function refusalsOf(cache: Cache): string[] {
  const keys: string[] = [];
  cache.on("decode:error", (event) => keys.push([...event.namespace, event.key].join("/")));
  return keys;
}

const field = async (name: string, of: "d" | "s"): Promise<Buffer> =>
  (await server.commandBytes("HGET", name, of)) as Buffer;

describe.each(SEALS)("with %s", (_, seal) => {
  it("C150 an entry that is copied or renamed to another place is a miss there", async () => {
    const cache = open({ seal });
    const other = open({ seal, name: "other" });
    const prefixed = open({ seal, backend: (builder) => builder.keyPrefix("eu") });
    const versioned = open({ seal, version: 2 });
    const places: readonly (readonly [cache: Pick<Cache, "get">, key: string])[] = [
      [cache, "hotset:shop::mallory"],
      [cache.namespace("users"), "hotset:shop:users::mallory"],
      [other, "hotset:other::mallory"],
      [versioned, "hotset:shop@2::mallory"],
      [prefixed, "eu:shop::mallory"],
    ];
    await cache.set("alice", "root");
    for (const [there, name] of places) {
      await server.command("COPY", "hotset:shop::alice", name);
      expect(await there.get("mallory")).toBe(undefined);
    }
    expect(await cache.get("alice")).toBe("root");
    await server.command("RENAME", "hotset:shop::alice", "hotset:shop::mallory");
    const refusals = refusalsOf(cache);
    expect(await cache.getOrSet("mallory", () => "guest")).toBe("guest");
    expect(await cache.getOrSet("mallory", never)).toBe("guest");
    expect(refusals).toEqual([]);
  });

  it("C150 an entry in which anything was changed is a miss, reported once, and replaced", async () => {
    const cache = open({ seal, backend: (builder) => builder.valueFormat(json()) });
    const refusals = refusalsOf(cache);
    let name = "";
    await cache.set("other", { role: "guest" }, { tags: ["t"], etag: "1", ttl: "5m" });
    const change: Readonly<Record<string, () => Promise<unknown>>> = {
      "an older value of the same key in place of the newer one": async () => {
        const old = await field(name, "d");
        await cache.set(name.slice("hotset:shop::".length), { role: "guest" }, { tags: ["t"], etag: "2" });
        return server.command("HSET", name, "d", old);
      },
      "data of another key": async () => server.command("HSET", name, "d", await field("hotset:shop::other", "d")),
      "data cut short": async () => server.command("HSET", name, "d", (await field(name, "d")).subarray(0, -1)),
      "data lengthened": async () =>
        server.command("HSET", name, "d", Buffer.concat([await field(name, "d"), Buffer.of(0)])),
      "no data": () => server.command("HSET", name, "d", ""),
      "a meta beside the sealed one": () => edit(";", ';["json",6000000]'),
      "another seal": () => edit(seal.id, "other"),
      "no seal": () => edit(`${seal.id};`, ""),
      "no meta": () => server.command("HDEL", name, "s"),
    };
    async function edit(from: string, to: string): Promise<unknown> {
      const meta = (await field(name, "s")).toString();
      expect(meta).toContain(from);
      return server.command("HSET", name, "s", meta.replace(from, to));
    }
    for (const [i, [what, run]] of Object.entries(change).entries()) {
      name = `hotset:shop::k${i}`;
      const k = `k${i}`;
      await cache.set(k, { role: "guest" }, { tags: ["t"], etag: "1" });
      expect(await cache.get(k), what).toEqual({ role: "guest" });
      await run();
      refusals.length = 0;
      expect(await cache.get(k), what).toBe(undefined);
      expect(await cache.getOrSet(k, () => "loaded"), what).toBe("loaded");
      expect(await cache.getOrSet(k, never), what).toBe("loaded");
      expect(refusals.length, what).toBeLessThanOrEqual(1);
    }
  });

  it("C150 every call works: sets, loads, many keys, tags, validators", async () => {
    const cache = open({ seal, local: true, staleWhileRevalidate: "1m" });
    const other = open({ seal });
    expect(
      await cache.setMany(
        [
          ["a", 1],
          ["b", 2],
        ],
        { tags: ["t"] },
      ),
    ).toMatchObject({ stored: 2 });
    expect([...(await other.getMany(["a", "b", "c"]))]).toEqual([
      ["a", 1],
      ["b", 2],
    ]);
    expect(await other.getOrSetMany(["a", "c"], String, (keys) => keys.map((each) => [each, 3] as const))).toEqual(
      new Map([
        ["a", 1],
        ["c", 3],
      ]),
    );
    expect(await cache.get("c")).toBe(3);
    await cache.getOrSet("d", ({ setOptions }) => (setOptions({ etag: '"1"', tags: ["t"] }), "v"));
    expect(await other.inspect("d")).toMatchObject({ tags: ["t"], etag: '"1"' });
    await other.markTagsStale("t");
    expect(await other.get("a")).toBe(undefined);
    expect(await other.get("a", { allowStale: true })).toBe(1);
    await other.invalidateTags("t");
    expect([...(await other.getMany(["a", "b", "c", "d"])).keys()]).toEqual(["c"]);
    await other.clear();
    expect(await other.get("c")).toBe(undefined);
  });

  it("C150 works over every format and compressor, and with hashed keys", async () => {
    const value = { text: "a copper kettle ".repeat(200) };
    const formats = [json(), msgpack(), v8()];
    const compressors = [gzip(), brotli(), zstd()];
    for (const format of formats)
      for (const compressor of compressors) {
        const build = (builder: RedisBackendBuilder): RedisBackendBuilder =>
          builder.valueFormat(format).compressor(compressor).keyFormat("hashed");
        const [one, two] = [open({ seal, backend: build }), open({ seal, backend: build })];
        const name = `${format.id}+${compressor.id}`;
        await one.set(name, value);
        expect(await two.get(name)).toEqual(value);
        expect(await two.inspect(name)).toMatchObject({ encoding: { format: format.id, compressor: compressor.id } });
      }
  });
});

it.each([
  ["aesGcm", aesGcm],
  ["hmac", hmac],
])("keys of %s are replaced while everything runs", async (_, make) => {
  const before = open({ seal: make({ keys: [key(1)] }) });
  const during = open({ seal: make({ keys: [key(1), key(2)] }) });
  const after = open({ seal: make({ keys: [key(2), key(1)] }) });
  const end = open({ seal: make({ keys: [key(2)] }) });
  await before.set("old", 1);
  await after.set("new", 2);
  expect([await before.get("old"), await during.get("old"), await after.get("old")]).toEqual([1, 1, 1]);
  expect([await during.get("new"), await after.get("new"), await end.get("new")]).toEqual([2, 2, 2]);
  expect(await end.get("old")).toBe(undefined);
  expect(await before.get("new")).toBe(undefined);
});

it("C150 the meta of a sealed entry is sealed with it: the store shows the name of the seal alone", async () => {
  const cache = open({ seal: aesGcm({ keys: [key(1)] }) });
  await cache.set("k", "v", { tags: ["secret tag"], etag: "secret etag" });
  expect((await field("hotset:shop::k", "s")).toString()).toMatch(/^0 [\w-]{16};xaes-256-gcm;$/);
  expect(((await server.commandBytes("DUMP", "hotset:shop::k")) as Buffer).includes("secret")).toBe(false);
  expect(await cache.inspect("k")).toMatchObject({ tags: ["secret tag"], etag: "secret etag" });
});

it("C150 a backend with a seal is a backend of Redis: it can be asked, and is closed", async () => {
  const backend = redis(server.url)
    .seal(aesGcm({ keys: [key(1)] }))
    .build();
  expect(backend.coherenceMode).toBe("tracking");
  expect(await backend.ping()).toBeGreaterThan(0);
  expect(await backend.peek("shop::k")).toEqual({ key: "hotset:shop::k", type: "none", isPlaceholder: false });
  await backend.close();
  await expect(backend.ping()).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
});
