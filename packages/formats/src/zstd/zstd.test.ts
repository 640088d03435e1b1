import { execFileSync } from "node:child_process";
import { buffer } from "node:stream/consumers";
import { constants, createZstdCompress, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { type CompressorOptions, ConfigurationError, DecodeError, InvalidArgumentError } from "@hotset/core";
import { describeCompressor } from "@hotset/testing/contract-suites";
import { describe, expect, it } from "vitest";
import { nativeEngine } from "./engine.ts";
import { zstd, zstdOn } from "./zstd.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const engines = ["native", "zlib"] as const;

it("has zstd-napi here: without it, each test of the native engine would run on node:zlib", () => {
  expect(nativeEngine(3, KIB)?.name).toBe("native");
});

describe.each(engines)("on %s", (engine) => {
  describeCompressor(`zstd on ${engine}`, { open: () => zstdOn(engine) });
  describeCompressor(`zstd on ${engine}, level 12`, { open: () => zstdOn(engine, { level: 12 }) });
  describeCompressor(`zstd on ${engine}, level -7`, { open: () => zstdOn(engine, { level: -7 }) });

  const compressor = zstdOn(engine);
  const text = (byteLength: number): Buffer => Buffer.alloc(byteLength, "a copper kettle for the kitchen; ");

  it.each(engines)("reads frames of %s", async (other) => {
    for (const byteLength of [0, 1, 100, 255, 256, 65_791, 65_792, 128 * KIB, 128 * KIB + 1, MIB]) {
      const frame = await zstdOn(other).compress(text(byteLength));

      expect(
        Buffer.from(await compressor.decompress(frame, byteLength)).equals(text(byteLength)),
        `${byteLength} bytes`,
      ).toBe(true);
    }
  });

  it("writes frames that other programs read, and reads theirs", async () => {
    for (const byteLength of [0, 5_000, MIB]) {
      expect(zstdDecompressSync(await compressor.compress(text(byteLength))).equals(text(byteLength))).toBe(true);
      const checked = zstdCompressSync(text(byteLength), { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
      expect(Buffer.from(await compressor.decompress(checked, byteLength)).equals(text(byteLength))).toBe(true);
    }
  });

  it("reads frames written as streams, whose size is unknown, within the limit", async () => {
    for (const pieces of [
      [],
      ["kettle"],
      ["a".repeat(500), "b".repeat(500)],
      ["x".repeat(300_000), "y".repeat(300_001)],
    ]) {
      const frame = await streamed(pieces);
      const content = Buffer.from(pieces.join(""));

      expect(Buffer.from(await compressor.decompress(frame, content.byteLength)).equals(content)).toBe(true);
      expect(Buffer.from(await compressor.decompress(frame, Infinity)).equals(content)).toBe(true);
      if (content.byteLength > 0) {
        await expect(async () => compressor.decompress(frame, content.byteLength - 1)).rejects.toThrow(
          `zstd: decompresses to more than the ${content.byteLength - 1} bytes allowed`,
        );
        await expect(async () => compressor.decompress(frame, 0)).rejects.toThrow(
          "zstd: decompresses to more than the 0 bytes allowed",
        );
      }
    }
  });

  it("refuses 1 GiB in 32 KiB synchronously, without allocating anything", () => {
    const bomb = zeros(1024 * MIB, { says: 1024 * MIB });
    const before = process.memoryUsage().arrayBuffers;

    expect(() => compressor.decompress(bomb, 64 * MIB)).toThrow(
      "zstd: decompresses to more than the 67108864 bytes allowed",
    );

    expect(bomb.byteLength).toBeLessThan(33 * KIB);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(KIB);
  });

  it("stops at the limit in a frame of 1 GiB of unknown size", async () => {
    const bomb = zeros(1024 * MIB, {});

    await expect(async () => compressor.decompress(bomb, 100 * KIB)).rejects.toThrow(
      "zstd: decompresses to more than the 102400 bytes allowed",
    );
    await expect(async () => compressor.decompress(bomb, MIB)).rejects.toThrow(
      "zstd: decompresses to more than the 1048576 bytes allowed",
    );
  });

  it.each<[what: string, frame: Uint8Array]>([
    ["less than it holds", zeros(MIB, { says: 500 })],
    ["less than it holds, for a large content", zeros(8 * MIB, { says: 7 * MIB })],
    [
      "more than it holds, within the maximum of its blocks",
      Buffer.concat([head({ says: 200 }), block(2, zstdBlock(100))]),
    ],
  ])("refuses a frame that claims %s", async (_, frame) => {
    await expect(async () => compressor.decompress(frame, Infinity)).rejects.toThrow(DecodeError);
    expect(Buffer.from(await compressor.decompress(await compressor.compress(text(100)), 100)).equals(text(100))).toBe(
      true,
    );
  });

  it.each<[what: string, frame: Uint8Array, message: string]>([
    [
      "1 GiB that its blocks cannot hold",
      zeros(100, { says: 1024 * MIB }),
      "claim more content than their blocks can hold",
    ],
    [
      "a dictionary",
      Buffer.from([...head({}).subarray(0, 4), 0x01, 0x58, 7, ...block(0, Buffer.from("a"))]),
      "need a dictionary",
    ],
    ["a skippable frame", Buffer.from("502a4d1801000000ff", "hex"), "are not a Zstandard frame"],
    ["an old frame", Buffer.from("27b52ffd00", "hex"), "are not a Zstandard frame"],
    ["two frames", Buffer.concat([zstdCompressSync("a"), zstdCompressSync("b")]), "continue after the frame"],
    [
      "a frame and a skippable one",
      Buffer.concat([zstdCompressSync("a"), Buffer.from("502a4d1801000000ff", "hex")]),
      "continue after the frame",
    ],
    [
      "a window of 2 GiB",
      Buffer.concat([Buffer.from("28b52ffd00a8", "hex"), block(0, Buffer.from("a"))]),
      "need too large a window",
    ],
    [
      "a block of a reserved kind",
      Buffer.concat([head({ says: 1 }), block(3, Buffer.from("a"))]),
      "hold a malformed block",
    ],
    ["a block of 2 MiB", Buffer.concat([head({}), Buffer.from([0xff, 0xff, 0xff])]), "hold a malformed block"],
    ["nothing", new Uint8Array(0), "are cut short"],
    ["gzip", Buffer.from("1f8b0800000000000003030000000000000000", "hex"), "are not a Zstandard frame"],
  ])("refuses %s", (_, frame, message) => {
    const act = () => compressor.decompress(frame, Infinity);

    expect(act).toThrow(DecodeError);
    expect(act).toThrow(`zstd: ${frame.byteLength} bytes ${message}`);
  });

  it.each([
    [-7, 128],
    [3, 128],
    [4, 128],
    [5, 32],
    [9, 32],
    [10, 2],
    [22, 2],
  ])("at level %d compresses in the thread pool above %d KiB", async (level, kib) => {
    const leveled = zstdOn(engine, { level });
    const noise = Uint8Array.from({ length: kib * KIB + 1 }, (_, i) => (i * i * 31 + (i >> 3)) & 0xff);

    expect(leveled.compress(noise.subarray(1))).toBeInstanceOf(Uint8Array);
    const later = leveled.compress(noise);
    expect(later).toBeInstanceOf(Promise);
    expect(Buffer.from(await compressor.decompress(await later, noise.byteLength)).equals(noise)).toBe(true);
  });

  it("decompresses more than 512 KiB of content in the thread pool", async () => {
    expect(compressor.decompress(await compressor.compress(text(512 * KIB)), Infinity)).toBeInstanceOf(Uint8Array);
    expect(compressor.decompress(await compressor.compress(text(512 * KIB + 1)), Infinity)).toBeInstanceOf(Promise);
  });

  it("writes the content size into every frame, so that readers can refuse it before they allocate", async () => {
    for (const byteLength of [1, 5_000, MIB]) {
      const frame = await compressor.compress(text(byteLength));

      expect(() => compressor.decompress(frame, byteLength - 1)).toThrow(
        `zstd: decompresses to more than the ${byteLength - 1} bytes allowed`,
      );
    }
  });
});

describe("options", () => {
  it.each<[options: unknown, message: string]>([
    [{ level: -8 }, "zstd: level must be a whole number from -7 to 22, got -8"],
    [{ level: 23 }, "zstd: level must be a whole number from -7 to 22, got 23"],
    [{ level: "3" }, 'zstd: level must be a whole number from -7 to 22, got "3"'],
    [{ minBytes: -1 }, "zstd: minBytes must be a whole number of at least 0, or Infinity, got -1"],
    [{ dictionary: "d" }, 'zstd: unknown option "dictionary"; accepted: level, minBytes'],
  ])("refuses %o and names the accepted values", (options, message) => {
    const act = () => zstd(options as CompressorOptions);

    expect(act).toThrow(message.includes("unknown option") ? ConfigurationError : InvalidArgumentError);
    expect(act).toThrow(expect.objectContaining({ message }));
  });

  it("has defaults", () => {
    expect([zstd().id, zstd().minBytes, zstd({ minBytes: 0 }).minBytes]).toEqual(["zstd", 1024, 0]);
  });

  it("compresses more at a higher level", async () => {
    const items = Buffer.from(Array.from({ length: 2_000 }, (_, i) => `item ${(i * 7919) % 997}`).join());
    const [fastest, usual] = await Promise.all(
      [-7, 3].map(async (level) => (await zstd({ level }).compress(items)).byteLength),
    );

    expect(usual).toBeLessThan(fastest! / 2);
  });
});

describe("loading", () => {
  const run = (code: string): unknown => {
    const args = ["--conditions=@hotset/source", "--input-type=module", "--eval", code];
    return JSON.parse(
      execFileSync(process.execPath, args, {
        cwd: import.meta.dirname,
        encoding: "utf8",
        stdio: ["ignore", "pipe", "inherit"],
      }),
    );
  };

  const report = `
    const { createRequire } = await import("node:module");
    const isLoaded = () => ({
      native: Object.keys(createRequire(import.meta.url).cache).some((file) => file.includes("zstd-napi")),
      zlib: process.moduleLoadList.includes("NativeModule zlib"),
    });
  `;

  it("waits for the first use", () => {
    const seen = run(`
      const { zstd } = await import("./index.ts");
      ${report}
      const before = isLoaded();
      const compressor = zstd();
      const made = isLoaded();
      compressor.compress(new Uint8Array(2000));
      console.log(JSON.stringify({ before, made, used: isLoaded() }));
    `);

    const nothing = { native: false, zlib: false };
    expect(seen).toEqual({ before: nothing, made: nothing, used: { native: true, zlib: false } });
  });

  it("falls back to node:zlib where zstd-napi is not installed", async () => {
    const seen = run(`
      import { registerHooks } from "node:module";
      registerHooks({
        resolve(specifier, context, next) {
          if (specifier.startsWith("zstd-napi")) throw Object.assign(new Error("Cannot find module"), { code: "MODULE_NOT_FOUND" });
          return next(specifier, context);
        },
      });
      const { zstd } = await import("./index.ts");
      ${report}
      const frame = zstd().compress(Buffer.alloc(2000, "kettle"));
      console.log(JSON.stringify({ frame: Buffer.from(frame).toString("hex"), loaded: isLoaded() }));
    `) as { frame: string; loaded: unknown };

    expect(seen.loaded).toEqual({ native: false, zlib: true });
    expect(
      Buffer.from(await zstd().decompress(Buffer.from(seen.frame, "hex"), 2_000)).equals(Buffer.alloc(2_000, "kettle")),
    ).toBe(true);
  });
});

// ---- frames by hand (RFC 8878, section 3.1.1)

/** Up to the blocks: of a single segment where it `says` its size, else with a window of 2 MiB. */
function head({ says }: { readonly says?: number }): Buffer {
  if (says === undefined) return Buffer.from("28b52ffd0058", "hex");
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(says));
  return Buffer.concat([Buffer.from("28b52ffde0", "hex"), size]);
}

/** The last one. */
function block(kind: number, content: Uint8Array): Buffer {
  const header = (content.byteLength << 3) | (kind << 1) | 1;
  return Buffer.concat([Buffer.from([header & 0xff, (header >> 8) & 0xff, header >> 16]), content]);
}

/** The content of the one block of a frame of `byteLength` bytes. */
function zstdBlock(byteLength: number): Uint8Array {
  const frame = zstdCompressSync(Buffer.alloc(byteLength, "abcdefg"));
  return frame.subarray(4 + 1 + 1 + 3);
}

/** Zeros, in blocks of one repeated byte. */
function zeros(byteLength: number, options: { readonly says?: number }): Buffer {
  const blocks: number[] = [];
  for (let left = byteLength; left > 0; left -= 128 * KIB) {
    const header = (Math.min(left, 128 * KIB) << 3) | (1 << 1) | (left <= 128 * KIB ? 1 : 0);
    blocks.push(header & 0xff, (header >> 8) & 0xff, header >> 16, 0);
  }
  return Buffer.concat([head(options), Buffer.from(blocks)]);
}

async function streamed(pieces: readonly string[]): Promise<Buffer> {
  const stream = createZstdCompress();
  // One by one: ended while a piece is still to be written, Node puts an empty frame behind the frame.
  for (const piece of pieces) await new Promise((resolve) => stream.write(piece, resolve));
  stream.end();
  return buffer(stream);
}
