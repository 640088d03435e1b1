/** Entries that another program wrote into a shared store, to do harm. */
import { DecodeError, json, type Compressor, type Format } from "@hotset/core";
import { brotli, gzip, v8 } from "@hotset/formats";
import { msgpack } from "@hotset/formats/msgpack";
import { zstd } from "@hotset/formats/zstd";
import { scriptedBackend, TestClock } from "@hotset/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { open } from "../support/stacks.ts";

const MB = 2 ** 20;
const FORMATS: readonly Format[] = [json(), msgpack(), v8()];

describe("decoding tampered bytes", () => {
  const VALUES: readonly unknown[] = [
    [],
    { id: 1, name: "Ada Lovelace", roles: ["admin", { nested: [true, null, -0.5] }], 12: "twelve" },
    Array.from({ length: 50 }, (_, id) => ({ id, text: `item ${id}`, tags: [] })),
  ];
  const COMPRESSORS: readonly (Compressor | undefined)[] = [
    undefined,
    gzip({ minBytes: 0 }),
    brotli({ minBytes: 0 }),
    zstd({ minBytes: 0 }),
  ];
  it.each(
    FORMATS.flatMap((format) => COMPRESSORS.map((each) => [format.id, each?.id ?? "none", format, each] as const)),
  )("changed bytes of %s under %s give a value or a DecodeError", async (_format, _compressor, format, compressor) => {
    for (const value of VALUES) {
      const plain = format.encode(value);
      const intact = compressor === undefined ? plain : await compressor.compress(plain);
      const change = fc.tuple(fc.nat(intact.length - 1), fc.nat(255));
      await fc.assert(
        fc.asyncProperty(
          fc.array(change, { minLength: 1, maxLength: 4 }),
          fc.nat(intact.length),
          async (changes, cutAt) => {
            const bytes = Uint8Array.from(cutAt % 3 === 0 ? intact.subarray(0, cutAt) : intact);
            for (const [at, byte] of changes) if (at < bytes.length) bytes[at] = byte;
            try {
              format.decode(compressor === undefined ? bytes : await compressor.decompress(bytes, 8 * MB));
            } catch (error) {
              expect(error).toBeInstanceOf(DecodeError);
            }
          },
        ),
        { seed: 1, numRuns: 200 },
      );
    }
  });

  it("a program that sets maxDecodedBytes gets values of that size", async () => {
    const value = "x".repeat(9 * MB);
    const clock = new TestClock();
    const { cache } = open("backend", { clock, backend: scriptedBackend({ clock, maxDecodedBytes: 10 * MB }) });
    await cache.set("k", value);
    expect((await cache.get("k")) === value).toBe(true);
    const { cache: bounded } = open("backend");
    await expect(bounded.set("k", value)).rejects.toMatchObject({ code: "ENCODE_FAILED" });
  });
});

describe("what is written can be read: nesting of 500 levels", () => {
  const nested = (levels: number, around: (inner: unknown) => unknown): unknown =>
    Array.from({ length: levels }).reduce<unknown>(around, 1);
  const AROUND: readonly (readonly [string, (inner: unknown) => unknown])[] = [
    ["arrays", (inner) => [inner]],
    ["objects", (inner) => ({ inner })],
    ["objects beside others", (inner) => ({ a: 1, inner, b: "]}" })],
  ];
  it.each(FORMATS.flatMap((format) => AROUND.map(([what, around]) => [format.id, what, format, around] as const)))(
    "%s keeps 500 levels of %s, and refuses to write more",
    (_id, _what, format, around) => {
      const value = nested(500, around);
      expect(format.decode(format.encode(value))).toStrictEqual(value);
      expect(() => format.encode(nested(501, around))).toThrow(
        expect.objectContaining({ code: "ENCODE_FAILED", message: expect.stringMatching(/500/) as string }),
      );
    },
  );

  it.each([
    ["json", Buffer.from(`${"[".repeat(501)}${"]".repeat(501)}`)],
    ["json", Buffer.from(`${'{"a":'.repeat(501)}1${"}".repeat(501)}`)],
    ["json", Buffer.from(`[${"[],".repeat(400_000)}${"[".repeat(500)}${"]".repeat(500)}]`)],
    ["msgpack", Buffer.concat([Buffer.alloc(501, 0x91), Uint8Array.of(1)])],
    [
      "v8",
      Buffer.concat([Uint8Array.of(0xff, 0x0f), Buffer.alloc(1_002, Uint8Array.of(0x41, 1)), Uint8Array.of(0x30)]),
    ],
  ])("%s refuses to read deeper values", (id, bytes) => {
    expect(() => FORMATS.find((format) => format.id === id)!.decode(bytes)).toThrow(
      "it is nested more than 500 levels deep",
    );
  });

  it.each(FORMATS.map((format) => [format.id, format] as const))(
    "%s refuses to write a value that would take too much memory to read",
    (_id, format) => {
      const value = Array.from({ length: 10_000 }, () => ({}));
      const act = () => format.encode(value, 100_000);
      expect(act).toThrow(expect.objectContaining({ code: "ENCODE_FAILED" }));
      expect(act).toThrow("it would take more than 4 times maxDecodedBytes (100000 bytes) of memory");
      expect(format.decode(format.encode(value, MB), MB)).toHaveLength(10_000);
    },
  );
});
