/** Entries that another program wrote into a shared store, to do harm. */
import { inspect } from "node:util";
import { DecodeError, json, type Compressor, type Format, type StoredEntry } from "@hotset/core";
import { brotli, gzip, v8 } from "@hotset/formats";
import { scriptedBackend, TestClock } from "@hotset/testing";
import { msgpack } from "@hotset/msgpack";
import { zstd } from "@hotset/zstd";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { counted, never, open, STACKS_WITH_BACKEND } from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

const MB = 2 ** 20;
const FORMATS: readonly Format[] = [json(), msgpack(), v8()];

describe("C141 decoding tampered bytes", () => {
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

describe("C142 what is written can be read: nesting of 500 levels", () => {
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

  it("json refuses to write what a toJSON nests too deep, and writes what it flattens", () => {
    const written = (levels: number) => [
      ...Array.from({ length: 600 }, () => [1, []]), // Enough brackets that the text may be deep.
      nested(levels - 1, (inner) => [inner]),
    ];
    const deep = (levels: number) => ({ toJSON: () => written(levels) });
    expect(() => json().encode(deep(501))).toThrow("json: the value could not be read back");
    expect(json().decode(json().encode(deep(500)))).toStrictEqual(written(500));
  });

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

  it("objects of equal names cost a tenth of objects of different names", () => {
    const records = (name: (i: number) => string) =>
      Array.from({ length: 3_000 }, (_, i) => ({
        [`${name(i)}a`]: i,
        [`${name(i)}b`]: i,
        [`${name(i)}c`]: i,
        [`${name(i)}d`]: i,
      }));
    for (const format of FORMATS) {
      expect(
        format.decode(
          format.encode(
            records(() => "same"),
            250_000,
          ),
        ),
      ).toHaveLength(3_000);
      expect(() =>
        format.encode(
          records((i) => `${i}-`),
          250_000,
        ),
      ).toThrow("it would take more than");
    }
  });
});

describe.each(STACKS_WITH_BACKEND)("C143 a forged meta, %s", (stack) => {
  const tags = (count: number) => Array.from({ length: count }, (_, i) => `${i}`);
  const FORGED: readonly (readonly [string, string])[] = [
    ["a tag that no key can have", '{"f":"json","g":["\\ud800"],"v":["a","b"]}'],
    ["an empty tag", '{"f":"json","g":[""],"v":["a","b"]}'],
    ["versions that do not fit its tags", '{"f":"json","g":["t"],"v":["a"]}'],
    ["40,000 tags", JSON.stringify({ f: "json", g: tags(40_000), v: tags(40_001) })],
    ["a validator of 1 MB", JSON.stringify({ f: "json", a: "x".repeat(MB) })],
    ["text that is not JSON", "hunter2"],
  ];
  it.each(FORGED)("with %s is a miss, reported once, and overwritten by the next load", async (_, meta) => {
    const { cache: writer, clock, backend } = open("backend");
    await writer.set("k", "Ada");
    const forge = (entry: StoredEntry): StoredEntry => ({ ...entry, meta });
    backend.store.set("test::k", forge(backend.store.get("test::k")!));
    const { cache } = open(stack, { clock, backend });
    const seen = watch(cache, "decode:error", "backend:error");
    expect(await cache.get("k")).toBeUndefined();
    const source = counted("loaded");
    expect(await cache.getOrSet("k", source.load)).toBe("loaded");
    expect(await cache.getOrSet("k", never)).toBe("loaded");
    expect(await writer.get("k")).toBe("loaded");
    expect(source.runs).toBe(1);
    const reason = "its meta was not written by this library, or it is sealed and this backend has no seal";
    expect(seen.map(([name, { error }]) => [name, error.message])).toEqual([
      ["decode:error", `a stored entry cannot be read: ${reason}`],
    ]);
    expect(inspect(seen[0]![1].error, { showHidden: true })).not.toContain("hunter2");
  });
});
