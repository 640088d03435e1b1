import type { Compressor } from "@hotset/core";
import { beforeEach, describe, expect, it } from "vitest";
import { randomFrom } from "./random.ts";

const text = (byteLength: number): Uint8Array => Buffer.alloc(byteLength, "a copper kettle for the kitchen; ");

/**
 * The contract of {@link Compressor}, as a suite for Vitest; calls `describe` itself.
 *
 * A compressor that changes nothing, such as `passthrough()`, need not detect that a stream is cut short.
 * Throws nothing: a broken promise of the contract is a failed test.
 *
 * @param options `open` returns a new compressor for each test.
 */
export function describeCompressor(name: string, options: { open(): Compressor }): void {
  describe(`compressor ${name}`, () => {
    let compressor: Compressor;
    let changesNothing: boolean;

    beforeEach(async () => {
      compressor = options.open();
      changesNothing = Buffer.from(text(10_000)).equals(await compressor.compress(text(10_000)));
    });

    const decompress = async (bytes: Uint8Array, maxBytes: number): Promise<Uint8Array> =>
      compressor.decompress(bytes, maxBytes);

    it("has an id that can be stored: 1 to 32 of a-z 0-9 . -", () => {
      expect(compressor.id).toMatch(/^[a-z0-9.-]{1,32}$/);
      expect(options.open().id).toBe(compressor.id);
    });

    it("gives no minBytes, or a size", () => {
      const { minBytes = 0 } = compressor;

      expect(minBytes).toBeGreaterThanOrEqual(0);
      expect(minBytes === Infinity || Number.isInteger(minBytes)).toBe(true);
    });

    const random = randomFrom(7);
    const cases: readonly (readonly [what: string, bytes: Uint8Array])[] = [
      ["nothing", new Uint8Array(0)],
      ["one byte", Uint8Array.of(0xff)],
      ["63 bytes", random.bytes(63)],
      ["1 KiB of text", text(1024)],
      ["1 KiB that does not compress", random.bytes(1024)],
      ["64 KiB + 1 of text", text(64 * 1024 + 1)],
      ["256 KiB of zeros", new Uint8Array(256 * 1024)],
      ["256 KiB + 1 of zeros", new Uint8Array(256 * 1024 + 1)],
      ["300 KiB that do not compress", random.bytes(300 * 1024)],
      ["1 MiB of text", text(1024 * 1024)],
      ["a part of a larger buffer", random.bytes(5_000).subarray(17, 4_017)],
      ["a Node buffer", Buffer.from("a copper kettle")],
    ];

    it.each(cases)("restores %s exactly, and does not change its input", async (_, bytes) => {
      const before = Uint8Array.from(bytes);

      const compressed = await compressor.compress(bytes);
      const compressedBefore = Uint8Array.from(compressed);
      const decompressed = await compressor.decompress(compressed, bytes.byteLength);

      expect(Buffer.compare(decompressed, before)).toBe(0);
      expect(Buffer.compare(bytes, before)).toBe(0);
      expect(Buffer.compare(compressed, compressedBefore)).toBe(0);
    });

    it.each(cases.filter(([, bytes]) => bytes.byteLength > 0))("keeps the limit exactly: %s", async (_, bytes) => {
      const compressed = await compressor.compress(bytes);

      await expect(decompress(compressed, bytes.byteLength - 1)).rejects.toThrow();
      await expect(decompress(compressed, 0)).rejects.toThrow();
      expect((await decompress(compressed, bytes.byteLength + 1)).byteLength).toBe(bytes.byteLength);
      expect((await decompress(compressed, Infinity)).byteLength).toBe(bytes.byteLength);
    });

    it("decompresses bytes that lie anywhere in memory", async () => {
      const compressed = await compressor.compress(text(2_000));
      const within = new Uint8Array(compressed.byteLength + 20).fill(0xff);
      within.set(compressed, 13);

      const decompressed = await compressor.decompress(within.subarray(13, 13 + compressed.byteLength), 2_000);

      expect(Buffer.compare(decompressed, text(2_000))).toBe(0);
    });

    it.each([100, 2_000, 500_000])("refuses a stream that is cut short: of %d bytes", async (byteLength) => {
      if (changesNothing) return;
      const compressed = await compressor.compress(randomFrom(byteLength).bytes(byteLength));
      const step = Math.ceil(compressed.byteLength / 50);

      for (let end = 0; end < compressed.byteLength; end += step) {
        await expect(
          decompress(compressed.subarray(0, end), byteLength),
          `${end} of ${compressed.byteLength}`,
        ).rejects.toThrow();
      }
      await expect(decompress(compressed.subarray(0, -1), byteLength)).rejects.toThrow();
    });

    it.each<[what: string, tail: Uint8Array]>([
      ["text", Buffer.from("garbage!")],
      ["a zero byte", Uint8Array.of(0)],
      ["many zero bytes", new Uint8Array(64)],
      ["random bytes", randomFrom(3).bytes(40)],
    ])("refuses %s after the end", async (_, tail) => {
      if (changesNothing) return;
      for (const byteLength of [0, 2_000, 500_000]) {
        const compressed = await compressor.compress(text(byteLength));

        await expect(
          decompress(Buffer.concat([compressed, tail]), 10_000_000),
          `of ${byteLength} bytes`,
        ).rejects.toThrow();
      }
    });

    it("answers foreign bytes with an error, or with no more than the limit", async () => {
      const foreign = randomFrom(11);
      for (let round = 0; round < 500; round++) {
        const result = await decompress(foreign.bytes(foreign.below(200)), 1_000).catch((error: unknown) => error);

        if (result instanceof Uint8Array) expect(result.byteLength).toBeLessThanOrEqual(1_000);
        else expect(result).toBeInstanceOf(Error);
      }
    });

    it("answers damaged bytes with an error, or with no more than the limit", async () => {
      const damage = randomFrom(13);
      const intact = await compressor.compress(text(3_000));
      for (let round = 0; round < 500; round++) {
        const damaged = Uint8Array.from(intact);
        damaged[damage.below(damaged.byteLength)]! ^= 1 + damage.below(255);
        const result = await decompress(damaged, 4_000).catch((error: unknown) => error);

        if (result instanceof Uint8Array) expect(result.byteLength).toBeLessThanOrEqual(4_000);
        else expect(result).toBeInstanceOf(Error);
      }
      expect(Buffer.compare(await decompress(intact, 3_000), text(3_000))).toBe(0);
    });

    it("handles 50 calls at once without mixing them up", async () => {
      const inputs = Array.from({ length: 50 }, (_, i) =>
        Buffer.alloc(i % 10 === 0 ? 400_000 : i * 997, `item ${i}; `),
      );

      const outputs = await Promise.all(
        inputs.map(async (input) => compressor.decompress(await compressor.compress(input), input.byteLength)),
      );

      outputs.forEach((output, i) => expect(Buffer.compare(output, inputs[i]!), `item ${i}`).toBe(0));
    });

    it("returns results that later calls do not change", async () => {
      const compressed = await compressor.compress(text(5_000));
      const decompressed = await compressor.decompress(compressed, 5_000);
      const [compressedBefore, decompressedBefore] = [Uint8Array.from(compressed), Uint8Array.from(decompressed)];

      for (let i = 1; i <= 20; i++)
        await compressor.decompress(await compressor.compress(new Uint8Array(i * 500).fill(i)), i * 500);

      expect(Buffer.compare(compressed, compressedBefore)).toBe(0);
      expect(Buffer.compare(decompressed, decompressedBefore)).toBe(0);
    });
  });
}
