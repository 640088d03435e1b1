import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { Packr } from "msgpackr";
import { describe, expect, it, vi } from "vitest";
import { msgpack } from "./msgpack.ts";
import { check, read } from "./reader.ts";

const PLENTY = 8 * 1024 * 1024;
/** The estimate is kept for any bytes, and no value is small enough. */
const NONE = -16 * 1024;

it("any bytes are judged alike with and without an estimate of memory, built or not", () => {
  fc.assert(
    fc.property(fc.constantFrom(...SEEDS), edits, (seed, changes) => {
      const bytes = edited(seed, changes);
      const reason = verdict(check, bytes, NONE);
      expect(verdict(check, bytes, PLENTY)).toBe(reason.startsWith("it would take more than") ? "read" : reason);
      expect(verdict(read, bytes, NONE)).toBe(reason);
    }),
    { numRuns: 5_000, examples: SEEDS.map((seed): [Buffer, []] => [seed, []]) },
  );
});

it.each([
  ["an array", "dc 03e8", ""],
  ["a Set", "d47300 dc 03e8", ""],
  ["an object", "de 03e8", "a161"],
])("no more of %s is built once it would take too much memory", (_, head, name) => {
  const slice = vi.spyOn(Uint8Array.prototype, "slice");
  const bytes = Buffer.from(`${head}${`${name}c400`.repeat(1_000)}`.replaceAll(" ", ""), "hex");

  expect(verdict(read, bytes, -12_000)).toBe(
    "it would take more than 4 times maxDecodedBytes (-12000 bytes) of memory",
  );

  // 200 bytes each, of 17,536.
  expect(slice.mock.calls.length).toBeGreaterThan(10);
  expect(slice.mock.calls.length).toBeLessThan(90);
  slice.mockRestore();
});

describe("msgpack reads the values that msgpackr reads", () => {
  // As the format has it.
  const packr = new Packr({ useRecords: false, mapsAsObjects: true, moreTypes: true, copyBuffers: true });

  it("from what msgpackr writes", () => {
    const value = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { depthSize: "small" },
        fc.constantFrom(null, undefined, true, false),
        fc.double(),
        fc.integer(),
        fc.bigInt(),
        fc.date(),
        fc.string({ unit: "grapheme" }),
        fc.string({ unit: "grapheme", maxLength: 400 }),
        fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
        fc.float32Array(),
        fc.bigUint64Array(),
        fc.array(tie("value")),
        fc.array(tie("value"), { minLength: 16, maxLength: 40 }),
        fc.dictionary(fc.string().filter(isName), tie("value"), { noNullPrototype: true }),
        fc.array(tie("value")).map((members) => new Set(members)),
      ),
    })).value;
    fc.assert(
      fc.property(value, (given) => {
        const bytes = packr.pack(given);
        expect(isDeepStrictEqual(read(bytes, PLENTY), packr.unpack(bytes))).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  it("from any bytes that are not refused", () => {
    fc.assert(
      fc.property(fc.constantFrom(...SEEDS), edits, (seed, changes) => {
        const bytes = edited(seed, changes);
        // The byte c1 marks values that are those of this package alone.
        if (bytes.includes(0xc1) || verdict(read, bytes, PLENTY) !== "read") return;
        expect(read(bytes, PLENTY)).toStrictEqual(packr.unpack(bytes));
      }),
      { numRuns: 5_000, examples: SEEDS.map((seed): [Buffer, []] => [seed, []]) },
    );
  });
});

const isName = (name: string): boolean => name !== "__proto__";

function edited(seed: Buffer, changes: readonly Edit[]): Buffer {
  let bytes = [...seed];
  for (const { at, removed, added } of changes) bytes = bytes.toSpliced(at % (bytes.length + 1), removed, ...added);
  return Buffer.from(bytes);
}

function verdict(judge: typeof check | typeof read, bytes: Buffer, maxBytes: number): string {
  try {
    judge(bytes, maxBytes);
    return "read";
  } catch (error) {
    return (error as Error).message;
  }
}

interface Edit {
  readonly at: number;
  readonly removed: number;
  readonly added: Uint8Array;
}

const edits = fc.array(fc.record<Edit>({ at: fc.nat(), removed: fc.nat(2), added: fc.uint8Array({ maxLength: 3 }) }), {
  maxLength: 3,
});

const SEEDS: readonly Buffer[] = [
  ...[
    {
      rows: [1, 200, -200, 70_000, 5e9, 1 / 7, -7].map((id) => ({ id, name: `user ${id}`, active: true, none: null })),
    },
    { "7": 1, "12": [{ "3": 2 }], "9x": "digits first", "": 0, é: 1, ["n".repeat(40)]: "x".repeat(40) },
    [
      new Date(1e12),
      new Set([1, "a"]),
      new Map([["a", { b: 1 }]]),
      Buffer.from("bytes"),
      2n ** 70n,
      new Uint16Array(2),
    ],
    [new Date(-1e12), new Date(1.5e14), new Date(NaN), -5n, undefined, [undefined], new Set([[2.5, 1e300, -3e9]])],
    ["é漢字😀", "aé", `${"x".repeat(70)}é`, "abcdefghijkl", "abcdefghijklm", { "2026-01-31": -40 }],
  ].map((value) => Buffer.from(msgpack().encode(value))),
  // __proto__, also with its length in a byte of its own; a name that ends after the bytes; one in an overlong form.
  ...["81a95f5f70726f746f5f5f01", "9181d9095f5f70726f746f5f5f01", "81a5616263", "81a2c0b901"].map((bytes) =>
    Buffer.from(bytes, "hex"),
  ),
];
