/**
 * Bytes that earlier releases wrote to Redis. A file for each version of the layout, which is never written again: one
 * that changes how entries are stored adds a file.
 */
import { readFileSync } from "node:fs";
import {
  aesGcm,
  brotli,
  createCache,
  gzip,
  json,
  msgpack,
  redis,
  v8,
  zstd,
  type Cache,
  type RedisBackendBuilder,
} from "hotset";
import { startOwnRedis, type OwnRedis } from "@hotset/test-servers";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";

const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8"));

let server: OwnRedis;
/** Where the hashes of version 2 stand in place of those of version 1. */
let second: OwnRedis;
beforeAll(async () => {
  [server, second] = await Promise.all([startOwnRedis(), startOwnRedis()]);
  await load(server, "layout-1.json");
  await load(second, "layout-1.json");
  await load(second, "layout-2.json");
});
afterAll(() => Promise.all([server.stop(), second.stop()]));

async function load(into: OwnRedis, name: string): Promise<void> {
  for (const [command, key, ...rest] of read(name) as readonly string[][])
    await into.commandBytes(command!, key!, ...rest.map((text, at) => (isText(command!, at) ? text : bytes(text))));
}

/** Names of fields and numbers; all else is in base64. */
const isText = (command: string, at: number): boolean =>
  command === "PEXPIREAT" || (command === "HSET" && at % 2 === 0);
const bytes = (text: string): Buffer => Buffer.from(text, "base64");

const VALUE = {
  name: "Ada",
  tags: ["a", "ß", "🙂"],
  nested: { n: 1.5, nothing: null },
  about: "Ada and Grace. ".repeat(12),
};

type Make = (builder: RedisBackendBuilder) => RedisBackendBuilder;

describe.each([
  ["full", 1],
  ["string", 1],
  ["full", 2],
] as const)("C572: entries of the layout %s that version %i wrote", (layout, version) => {
  const reads: Make = (builder) => builder.valueFormat(msgpack()).alsoReads(json(), v8(), gzip(), brotli(), zstd());
  function open(make: Make = reads): Cache {
    const { url } = version === 1 ? server : second;
    const backend = make(redis(url).layout(layout).keyPrefix(`${layout}1`).responseTimeout("15s")).build();
    const cache = createCache({ name: "shop" }).tier(backend).defaults({ ttl: "1h" }).build();
    onTestFinished(() => cache.close({ timeout: 0 }));
    return cache;
  }

  it.each(["json", "msgpack", "v8", "json-gzip", "json-brotli", "json-zstd"])("is read: %s", async (name) => {
    expect(await open().get(`of ${name}`)).toEqual(VALUE);
  });

  it("is read under each form of key", async () => {
    const cache = open();
    expect([await cache.get("null"), await cache.get("{user}:1:é%{")]).toEqual([null, "of a strange key"]);
    expect(await open((builder) => reads(builder).keyFormat("hashed")).get("user:1")).toBe("of a hashed key");
    const keys = [{ id: "k", key: Buffer.alloc(32, 1) }];
    expect(await open((builder) => reads(builder).seal(aesGcm({ keys }))).get("sealed")).toBe("of a seal");
  });

  it("is found with its tags and its validator, and ends with its tag, in each namespace", async () => {
    const cache = open();
    expect(await cache.inspect("tagged")).toMatchObject({ tags: ["users"], etag: '"1"' });
    expect([await cache.get("tagged"), await cache.namespace("eu").get("k")]).toEqual(["by a tag", "in a namespace"]);
    await cache.invalidateTags("users");
    expect([await cache.get("tagged"), await cache.namespace("eu").get("k")]).toEqual([undefined, undefined]);
    expect(await cache.get("null")).toBe(null);
    expect(await cache.getOrSet("tagged", () => "loaded")).toBe("loaded");
  });
});

it("C572: an entry of a version that is not known is a miss, which the next load overwrites", async () => {
  await server.commandBytes("HSET", "full1:shop::later", "d", "1", "m", '3 0 AAAABBBBCCCCDDDD;["json"]');
  const next = (await server.commandBytes("GET", "string1:shop::of json")) as Buffer;
  next[1] = 2;
  await server.commandBytes("SET", "string1:shop::later", next);
  for (const layout of ["full", "string"] as const) {
    const backend = redis(server.url).layout(layout).keyPrefix(`${layout}1`).responseTimeout("15s").build();
    const cache = createCache({ name: "shop" }).tier(backend).defaults({ ttl: "1h" }).build();
    onTestFinished(() => cache.close({ timeout: 0 }));
    expect(await cache.get("later")).toBe(undefined);
    expect(await cache.getOrSet("later", () => "loaded")).toBe("loaded");
    expect(await cache.get("later")).toBe("loaded");
  }
});
