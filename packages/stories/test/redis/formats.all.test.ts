/** Values of every size, in each format, compressor and form of keys, through a real Redis. */
import { json, passthrough, type Cache, type Compressor, type Format } from "@hotset/core";
import { brotli, gzip, v8 } from "@hotset/formats";
import { msgpack } from "@hotset/formats/msgpack";
import { zstd } from "@hotset/formats/zstd";
import { redis, type RedisBackendBuilder } from "@hotset/redis";
import { randomPrefix, startOwnRedis } from "@hotset/test-servers";
import { afterAll, describe, expect, it } from "vitest";
import { LAYOUT } from "../support/layout.ts";
import { over, type OverRedisOptions } from "../support/over-redis.ts";
import { counted } from "../support/stacks.ts";
import { replaceData, storedData } from "../support/stored-entries.ts";
import { watch } from "../support/watch.ts";

const server = await startOwnRedis();
afterAll(() => server.stop());

/** Plain text: the one format that encodes an empty value as no bytes. */
const text: Format = {
  id: "text",
  encode: (value) => Buffer.from(value as string, "latin1"),
  decode: (bytes) => Buffer.from(bytes).toString("latin1"),
};

/** Each format, compressor and form of keys once; all 32 combinations go through the same code. */
const COMBINATIONS = (
  [
    ["readable", json(), passthrough()],
    ["hashed", msgpack(), zstd({ minBytes: 0 })],
    ["readable", v8(), brotli({ minBytes: 0 })],
    ["readable", text, gzip({ minBytes: 0 })],
  ] as const satisfies readonly (readonly [keyFormat: "readable" | "hashed", Format, Compressor])[]
).map(([keyFormat, format, compressor]) => [format.id, compressor.id, keyFormat, format, compressor] as const);

const MB = 2 ** 20;
const SIZES = [0, 1, 64, 1_023, 1_024, 65_536, MB];
/** Text that repeats itself, and text that does not; latin1, so that each character is a byte of its own somewhere. */
const repetitive = (size: number): string => "Ada Lovelace, ".repeat(Math.ceil(size / 14)).slice(0, size);
const random = (size: number): string => {
  let state = size + 1;
  return Buffer.from(
    Uint8Array.from({ length: size }, () => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) >> 16),
  ).toString("latin1");
};

const builder = (keyPrefix: string, format: Format, compressor: Compressor): RedisBackendBuilder =>
  redis(server.url)
    .layout(LAYOUT)
    .keyPrefix(keyPrefix)
    .valueFormat(format)
    .compressor(compressor)
    .responseTimeout("5s");
const open = (backend: RedisBackendBuilder, options?: OverRedisOptions): Cache => over(backend.build(), options);

describe.each(COMBINATIONS)("A42 R1-06: %s, %s, %s keys", (_format, _compressor, keyFormat, format, compressor) => {
  const sameIn = (keyPrefix: string) => builder(keyPrefix, format, compressor).keyFormat(keyFormat);

  it("carry 0 bytes to 1 MB, in either layout", async () => {
    for (const layout of ["full", "plain"] as const) {
      const prefix = randomPrefix();
      const [writer, reader] = [open(sameIn(prefix).layout(layout)), open(sameIn(prefix).layout(layout))];
      for (const size of SIZES) {
        for (const value of new Set([repetitive(size), random(size)])) {
          expect(await writer.set("k", value)).toMatchObject({ status: "stored" });
          expect((await reader.get("k")) === value, `${size} bytes, ${layout} layout`).toBe(true);
        }
      }
    }
  });

  it("are read by a service that writes others and is configured to read these, and are a miss for one that is not", async () => {
    const prefix = randomPrefix();
    const other: Format = { ...json(), id: "other" };
    const untold = open(builder(prefix, other, passthrough()).keyFormat(keyFormat));
    const told = open(builder(prefix, other, passthrough()).keyFormat(keyFormat).alsoReads(format, compressor));
    const writer = open(sameIn(prefix));
    const value = repetitive(5_000);
    await writer.set("k", value);
    const seen = watch(untold, "decode:error");
    expect([await told.get("k"), await untold.get("k"), await untold.get("k")]).toEqual([value, undefined, undefined]);
    expect(seen.map(([, { key, error }]) => [key, error.code])).toEqual([["k", "DECODE_FAILED"]]);
    const source = counted("loaded");
    expect([await untold.getOrSet("k", source.load), await untold.getOrSet("k", source.load), source.runs]).toEqual([
      "loaded",
      "loaded",
      1,
    ]);
    expect(seen.length).toBe(1);
  });

  it("are a miss where they are larger than allowed, compressed or not", async () => {
    const prefix = randomPrefix();
    const value = repetitive(MB);
    await open(sameIn(prefix)).set("k", value);
    const bounded = open(sameIn(prefix).maxDecodedBytes(MB / 2));
    const seen = watch(bounded, "decode:error");
    expect(await bounded.get("k")).toBeUndefined();
    expect(seen.length).toBe(1);
    expect(await open(sameIn(prefix).maxDecodedBytes(2 * MB)).get("k")).toBe(value);
  });
});

// Plain text does not say where it ends, so `text` is left out here.
describe.each(COMBINATIONS.filter(([, , , format]) => format !== text))(
  "A42: a value in %s, %s, %s keys",
  (_format, _compressor, keyFormat, format, compressor) => {
    it("is a miss where it was cut off at any byte", async () => {
      const prefix = randomPrefix();
      const cache = open(builder(prefix, format, compressor).keyFormat(keyFormat));
      const seen = watch(cache, "decode:error");
      for (const value of [repetitive(20_000), random(3_000)]) {
        await cache.set("k", value);
        const [key] = (await server.command("KEYS", `${prefix}:shop::*`)) as readonly [string];
        const whole = (await storedData(server, key))!;
        for (const length of [0, 1, Math.floor(whole.length / 2), whole.length - 1]) {
          await replaceData(server, key, whole.subarray(0, length));
          expect(await cache.get("k"), `${length} of ${whole.length} bytes`).toBe(undefined);
        }
        expect(await cache.getOrSet("k", () => value)).toBe(value);
        expect(await cache.get("k")).toBe(value);
      }
      expect(seen.length).toBe(2);
      expect(cache.stats().tiers[0]).toMatchObject({ state: "up" });
    });
  },
);
