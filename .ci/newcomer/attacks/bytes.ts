/** Entries that another program wrote into Redis. */
import assert from "node:assert/strict";
import { createHmac, timingSafeEqual } from "node:crypto";
import { inspect } from "node:util";
import { brotliCompressSync, gzipSync, zstdCompressSync } from "node:zlib";
import { aesGcm, json, type RedisBackendBuilder } from "hotset";
import type { Format } from "hotset/backend";
import { forge, isMiss, processorTime, type Attack } from "./victim.ts";

const MB = 2 ** 20;

/** The format of the guide. */
function signedJson(secret: string): Format {
  const plain = json();
  const sign = (bytes: Uint8Array): Buffer => createHmac("sha256", secret).update(bytes).digest();
  return {
    id: "acme-signed-json",
    encode: (value, maxBytes) => {
      const bytes = plain.encode(value, maxBytes);
      return Buffer.concat([sign(bytes), bytes]);
    },
    decode: (bytes, maxBytes) => {
      if (bytes.length < 32 || !timingSafeEqual(sign(bytes.subarray(32)), bytes.subarray(0, 32))) throw new Error("no");
      return plain.decode(bytes.subarray(32), maxBytes);
    },
  };
}

/** MessagePack: an array of as many empty maps as fit. */
function emptyMaps(bytes: number): Buffer {
  const head = Buffer.from([0xdd, 0, 0, 0, 0]);
  head.writeUInt32BE(bytes - 5, 1);
  return Buffer.concat([head, Buffer.alloc(bytes - 5, 0x80)]);
}

const jsonObjects = (bytes: number): Buffer => Buffer.from(`[${"{},".repeat(bytes / 3 - 1)}0]`);

const BOMBS: readonly (readonly [name: string, make: () => Parameters<typeof forge>[2]])[] = [
  ["msgpack under brotli", () => ["msgpack", brotliCompressSync(emptyMaps(64 * MB)), { c: "brotli" }]],
  ["msgpack under zstd", () => ["msgpack", zstdCompressSync(emptyMaps(64 * MB)), { c: "zstd" }]],
  ["msgpack under gzip", () => ["msgpack", gzipSync(emptyMaps(64 * MB)), { c: "gzip" }]],
  ["msgpack", () => ["msgpack", emptyMaps(64 * MB)]],
  ["msgpack within the limit of bytes", () => ["msgpack", emptyMaps(8 * MB - 64)]],
  ["json under gzip", () => ["json", gzipSync(jsonObjects(48 * MB)), { c: "gzip" }]],
  ["json within the limit of bytes", () => ["json", jsonObjects(8 * MB - 64)]],
  ["json of 200,000 levels", () => ["json", "[".repeat(200_000) + "]".repeat(200_000)]],
];

const secretKey = (fill: number) => aesGcm({ keys: [{ id: `k${fill}`, key: Buffer.alloc(32, fill) }] });
const sealed = (builder: RedisBackendBuilder): RedisBackendBuilder => builder.seal(secretKey(1));

export const BYTES: Readonly<Record<string, (on: Attack) => Promise<void>>> = {
  /** No attack: shows that what the others write would be read, if it were harmless. */
  async "control: a harmless entry, written in the same way, is read"({ redis, open }) {
    const { cache, refusals } = open();
    for (const [key, entry] of [
      ["json", ["json", '{"role":"user"}']],
      ["msgpack", ["msgpack", Buffer.from("81a4726f6c65a475736572", "hex")]],
      ["gzip", ["json", gzipSync('{"role":"user"}'), { c: "gzip" }]],
    ] as const) {
      await forge(redis, key, entry);
      assert.deepEqual(await cache.get(key), { role: "user" });
    }
    assert.deepEqual(refusals, []);
  },
  async "an entry in json and in msgpack, where a signed format is configured"({ redis, open }) {
    const victim = open((builder) => builder.valueFormat(signedJson("s")));
    await forge(redis, "mallory", ["json", '{"role":"root"}']);
    await isMiss(victim, "mallory");
    await forge(redis, "other", ["msgpack", Buffer.from("81a4726f6c65a4726f6f74", "hex")]);
    await isMiss(victim, "other");
  },
  ...Object.fromEntries(
    BOMBS.map(([name, make]) => [
      `a bomb: ${name}`,
      async ({ redis, open }: Attack) => {
        await forge(redis, "k", make());
        await isMiss(open(), "k");
      },
    ]),
  ),
  async "5 MB where maxDecodedBytes is 1,000, uncompressed"({ redis, open }) {
    await forge(redis, "k", ["json", JSON.stringify("x".repeat(5 * MB))]);
    await isMiss(
      open((builder) => builder.maxDecodedBytes(1_000)),
      "k",
    );
  },
  async "tags that no key can have, in a meta"({ redis, open }) {
    const { cache, refusals } = open();
    await forge(redis, "k", ["json", "1", { g: ["\ud800"] }]);
    let loads = 0;
    for (let call = 0; call < 20; call += 1) await cache.getOrSet("k", () => (loads += 1));
    assert.equal(loads, 1, `${loads} loads`);
    assert.equal(refusals.length, 1);
  },
  async "a meta of 40,000 tags"({ redis, open }) {
    const victim = open();
    await forge(redis, "k", ["json", "1", { g: Array.from({ length: 40_000 }, (_, i) => `tag ${i}`) }]);
    await isMiss(victim, "k", 200);
  },
  async "metas of 8 MB, which stay in memory"({ redis, open }) {
    const { cache } = open();
    gc!();
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < 30; i += 1) {
      await forge(redis, `k${i}`, ["json", "1", { a: `${i}${"x".repeat(8 * MB)}` }]);
      assert.equal(await cache.get(`k${i}`), undefined);
      await redis.del(`hotset:shop::k${i}`);
    }
    gc!();
    const grown = process.memoryUsage().heapUsed - before;
    assert(grown < 16 * MB, `the heap has grown by ${grown} bytes`);
  },
  async "a refused value shown by inspect of the error"({ redis, open }) {
    const { cache, refusals } = open();
    await forge(redis, "users:k", ["json", '{"card":"4111-1111"}']);
    await redis.rename("hotset:shop::users:k", "hotset:shop:users::k");
    const schema = {
      "~standard": {
        version: 1 as const,
        vendor: "acme",
        validate: (value: unknown): never => {
          throw new Error(`not a card: ${JSON.stringify(value)}`);
        },
      },
    };
    assert.equal(await cache.namespace("users", { schema }).get("k"), undefined);
    assert.equal(refusals.length, 1);
    assert(!inspect(refusals, { showHidden: true, depth: 9 }).includes("4111"), "the error shows the value");
  },
  async "a sealed entry, copied to another key and another namespace"({ redis, open }) {
    const victim = open(sealed);
    await victim.cache.set("alice", { role: "root" });
    await redis.copy("hotset:shop::alice", "hotset:shop::mallory");
    await isMiss(victim, "mallory");
    await redis.copy("hotset:shop::alice", "hotset:shop:admins::alice");
    assert.equal(await victim.cache.namespace("admins").get("alice"), undefined);
    assert.deepEqual(await victim.cache.get("alice"), { role: "root" });
  },
  async "an unsealed entry, and a sealed one with other bytes, meta or lifetime"({ redis, open }) {
    const victim = open(sealed);
    await forge(redis, "plain", ["json", '{"role":"root"}']);
    await isMiss(victim, "plain");
    for (const [key, change] of [
      ["lifetime", (meta: string) => `${meta}["msgpack",90000]`],
      ["format", (meta: string) => `${meta.slice(0, meta.indexOf(";") + 1)}["json",90000]`],
    ] as const) {
      await victim.cache.set(key, "of alice");
      const meta = (await redis.hGet(`hotset:shop::${key}`, "s"))!;
      await redis.hSet(`hotset:shop::${key}`, "s", change(meta));
      await isMiss(victim, key);
    }
    await victim.cache.set("alice", "of alice");
    await victim.cache.set("bob", "of bob");
    await redis.eval("redis.call('HSET', KEYS[1], 'd', redis.call('HGET', KEYS[2], 'd'))", {
      keys: ["hotset:shop::alice", "hotset:shop::bob"],
    });
    await isMiss(victim, "alice");
  },
  async "a sealed entry that is kept beyond its end"({ redis, open }) {
    const { cache } = open(sealed);
    await cache.set("alice", "of before", { ttl: 300 });
    await redis.copy("hotset:shop::alice", "kept");
    await redis.persist("kept");
    await new Promise((resolve) => setTimeout(resolve, 400));
    await redis.rename("kept", "hotset:shop::alice");
    assert.equal(await cache.get("alice"), undefined);
  },
  async "two secrets under one name, which replace each other's entries"({ open }) {
    const victims = [1, 2].map((fill) => open((builder) => builder.seal(secretKey(fill))));
    for (let round = 0; round < 20; round += 1)
      for (const [i, { cache }] of victims.entries())
        assert.equal(await cache.getOrSet("k", () => `of ${i}`), `of ${i}`);
    const reports = victims.flatMap(({ refusals }) => refusals.map(({ message }) => message)).join("\n");
    assert(reports.includes("all processes need the same keys"), `it is not reported: ${reports}`);
  },
  async "bytes that are read in time that grows with their square"({ redis, open }) {
    const { cache } = open();
    const timeOf = async (count: number): Promise<number> => {
      await forge(redis, `k${count}`, [
        "json",
        JSON.stringify(Array.from({ length: count }, (_, i) => ({ [`n${i}`]: i }))),
      ]);
      return processorTime(() => cache.get(`k${count}`));
    };
    await timeOf(1_000);
    const [few, many] = [await timeOf(2_000), await timeOf(16_000)];
    assert(many < 20 * few + 200, `${few} ms, and ${many} ms for 8 times as much`);
  },
};
