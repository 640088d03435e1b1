import { brotliCompressSync, constants, gunzipSync, gzipSync } from "node:zlib";
import { type Compressor, DecodeError } from "@hotset/core";
import { describeCompressor } from "@hotset/testing/contract-suites";
import { describe, expect, it } from "vitest";
import { brotli } from "./brotli.ts";
import { gzip } from "./gzip.ts";

describeCompressor("gzip", { open: () => gzip() });
describeCompressor("gzip, level 0", { open: () => gzip({ level: 0 }) });
describeCompressor("brotli", { open: () => brotli() });
describeCompressor("brotli, level 10", { open: () => brotli({ level: 10 }) });

const KIB = 1024;
const noise = Uint8Array.from({ length: 300 * KIB }, (_, i) => (i * i * 31 + (i >> 3)) & 0xff);

describe("synchronous work and work in the thread pool", () => {
  it.each<[what: string, compressor: Compressor, atOnce: number]>([
    ["gzip", gzip({ level: 9 }), 64 * KIB],
    ["brotli", brotli({ level: 8 }), 64 * KIB],
    ["brotli, level 9", brotli({ level: 9 }), 0],
  ])("%s compresses in the pool from %d bytes on", async (_, compressor, atOnce) => {
    expect(compressor.compress(noise.subarray(0, atOnce))).toBeInstanceOf(Uint8Array);

    const later = compressor.compress(noise.subarray(0, atOnce + 1));

    expect(later).toBeInstanceOf(Promise);
    expect(Buffer.from(await compressor.decompress(await later, Infinity)).equals(noise.subarray(0, atOnce + 1))).toBe(
      true,
    );
  });

  it.each<[what: string, compressor: Compressor]>([
    ["gzip", gzip()],
    ["brotli", brotli()],
  ])("%s decompresses more than 256 KiB of output in the pool", async (_, compressor) => {
    const small = await compressor.compress(new Uint8Array(256 * KIB));
    const large = await compressor.compress(new Uint8Array(256 * KIB + 1));

    expect(compressor.decompress(small, Infinity)).toBeInstanceOf(Uint8Array);
    expect(compressor.decompress(large, Infinity)).toBeInstanceOf(Promise);
    expect(() => compressor.decompress(large, 256 * KIB)).toThrow(DecodeError);
  });
});

describe("bombs and false claims", () => {
  it("gzip refuses a stream that claims more than is allowed, before it decompresses any of it", () => {
    const bytes = gzip().compress(new Uint8Array(10_000)) as Uint8Array;

    expect(() => gzip().decompress(bytes, 9_999)).toThrow("gzip: decompresses to more than the 9999 bytes allowed");
  });

  it("gzip refuses a claim that is impossible for so few bytes", () => {
    const bytes = gzipSync(Buffer.alloc(100));
    bytes.writeUInt32LE(64 * KIB * KIB, bytes.byteLength - 4);

    expect(() => gzip().decompress(bytes, Infinity)).toThrow(
      `gzip: ${bytes.byteLength} bytes cannot decompress to the 67108864 bytes that they claim`,
    );
  });

  it("gzip refuses a stream that holds more than it claims, and produces at most the claimed bytes", () => {
    const bytes = gzipSync(Buffer.alloc(10_000_000));
    bytes.writeUInt32LE(500, bytes.byteLength - 4);

    expect(() => gzip().decompress(bytes, Infinity)).toThrow(DecodeError);
  });

  it("gzip refuses a second stream behind the first", () => {
    expect(() => gzip().decompress(Buffer.concat([gzipSync("a"), gzipSync("bc")]), 100)).toThrow(DecodeError);
  });

  it("brotli stops at the limit, and does not decompress the rest", async () => {
    const bomb = brotliCompressSync(Buffer.alloc(64 * KIB * KIB), { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } });
    const before = process.memoryUsage().arrayBuffers;

    await expect(async () => brotli().decompress(bomb, KIB * KIB)).rejects.toThrow(
      "brotli: decompresses to more than the 1048576 bytes allowed",
    );

    expect(bomb.byteLength).toBeLessThan(1_000);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * KIB * KIB);
  });

  it("reports a malformed stream without quoting it", () => {
    const act = () => gzip().decompress(Buffer.from("a secret that was never a stream of gzip data"), Infinity);

    expect(act).toThrow(DecodeError);
    expect(() => gzip().decompress(Buffer.from("too short"), 10)).toThrow("gzip: 9 bytes are not a gzip stream");
  });
});

it("gzip and brotli write streams that other programs read", () => {
  expect(gunzipSync(gzip().compress(Buffer.from("kettle")) as Uint8Array).toString()).toBe("kettle");
  expect([gzip().id, brotli().id]).toEqual(["gzip", "brotli"]);
});
