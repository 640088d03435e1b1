import { serialize } from "node:v8";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DecodeError, EncodeError } from "../contracts/errors.ts";
import { describeFormat } from "../testing/describe-format.ts";
import { v8 } from "./v8.ts";

describeFormat("v8", { open: () => v8(), keeps: ["date", "map", "set", "bigint", "bytes", "nan"] });

const format = v8();
const roundTrip = (value: unknown): unknown => format.decode(format.encode(value));

describe("v8", () => {
  it("keeps whatever Node can clone, as fast-check finds it", () => {
    const value = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withSparseArray: true,
      withUnicodeString: true,
      key: fc.string().filter((key) => key !== "__proto__"),
    });

    fc.assert(
      fc.property(value, (given) => {
        expect(roundTrip(given)).toEqual(given);
      }),
      { seed: 1, numRuns: 1_000 },
    );
  });

  it.each<[what: string, value: unknown]>([
    ["undefined inside", { a: undefined, b: [undefined] }],
    ["-0", [-0]],
    ["holes", [1, , 3]],
    ["many holes", { grid: Array.from({ length: 100 }, () => new Array(127)) }],
    ["an array with properties", Object.assign([1, 2], { name: "pair" })],
    ["a regular expression", /a+/giu],
    ["boxed values", [Object(1), Object("a"), Object(true), Object(false), Object(1n)]],
    ["a buffer", Buffer.from("a copper kettle")],
    [
      "typed arrays",
      [new Float64Array([1.5]), new BigUint64Array([1n]), new DataView(new ArrayBuffer(3)), new ArrayBuffer(5)],
    ],
    ["a buffer that can grow", new ArrayBuffer(8, { maxByteLength: 64 })],
    ["text with lone surrogates", ["a\ud800", "\udc00"]],
    ["text of every width", ["latin é", "漢字", "x".repeat(300), "漢".repeat(300)]],
  ])("keeps %s (C111)", (_, value) => {
    expect(roundTrip(value)).toStrictEqual(value);
  });

  it("keeps cycles, and one object in two places", () => {
    const shared = { shared: true };
    const value: { a: object; b: object; self?: unknown } = { a: shared, b: shared };
    value.self = value;

    const decoded = roundTrip(value) as typeof value;

    expect(decoded.self).toBe(decoded);
    expect(decoded.a).toBe(decoded.b);
    expect(decoded.a).toStrictEqual(shared);
  });

  it("keeps errors, with class, message, cause and properties of the built-in ones", () => {
    const decoded = roundTrip(
      new RangeError("too far", { cause: new Map([["a", new TypeError("inner")]]) }),
    ) as RangeError;

    expect(decoded).toBeInstanceOf(RangeError);
    expect(decoded.message).toBe("too far");
    expect((decoded.cause as Map<string, unknown>).get("a")).toBeInstanceOf(TypeError);
  });

  it("gives instances of other classes back as plain objects", () => {
    class Money {
      readonly cents = 1;
    }

    expect(roundTrip(new Money())).toStrictEqual({ cents: 1 });
  });

  it("gives typed arrays memory of their own", () => {
    const bytes = format.encode({ a: Uint8Array.of(1, 2), b: new Float64Array([1]) });

    const { a, b } = format.decode(bytes) as { a: Uint8Array; b: Float64Array };

    expect(a.buffer).not.toBe(bytes.buffer);
    expect(a.buffer.byteLength).toBeLessThanOrEqual(bytes.byteLength);
    expect(b.buffer).not.toBe(bytes.buffer);
  });

  it.each<[what: string, value: unknown]>([
    ["a function inside", { secret: () => 1 }],
    ["a symbol inside", [Symbol("secret")]],
    ["a promise", Promise.resolve("secret")],
    ["a WeakMap", new WeakMap()],
  ])("refuses to write %s, and quotes nothing of it", (_, value) => {
    const act = () => format.encode(value);

    expect(act).toThrow(EncodeError);
    expect(act).toThrow(
      expect.objectContaining({
        message:
          "v8: the value holds what cannot be cloned: a function, symbol, promise or the like, or is nested too deep",
        operation: "encode",
      }),
    );
    expect(act).not.toThrow(expect.objectContaining({ cause: expect.anything() as unknown }));
  });

  it("refuses to write what it would refuse to read", () => {
    const holes: number[] = [];
    holes[10_000_000] = 1;

    expect(() => format.encode(JSON.parse('{"__proto__":1}'))).toThrow(
      "v8: the value could not be read back: a property is named __proto__",
    );
    expect(() => format.encode(holes)).toThrow(
      "v8: the value could not be read back: it claims far more memory than its bytes account for",
    );
  });

  const clone = (...body: number[]): Uint8Array => Uint8Array.of(0xff, 0x0f, ...body);
  const text = (characters: string): number[] => [...Buffer.from(characters, "latin1")];

  it.each<[what: string, bytes: Uint8Array, reason: string]>([
    ["nothing", new Uint8Array(0), "it is cut short"],
    ["JSON", Buffer.from('{"a":1}'), "it does not begin as a structured clone does"],
    ["a header alone", clone(), "it is cut short"],
    ["a version to come", Uint8Array.of(0xff, 0x10, 0x54), "its version is 16, not 13 to 15"],
    ["a version long gone", Uint8Array.of(0xff, 0x0c, 0x54), "its version is 12, not 13 to 15"],
    ["two values", clone(0x54, 0x54), "something follows the value"],
    [
      "an array of 33 million holes",
      clone(...text("a"), 0xc0, 0x95, 0xde, 0x0f, ...text("@"), 0, 0xc0, 0x95, 0xde, 0x0f),
      "it claims far more memory than its bytes account for",
    ],
    [
      "100 arrays of 16,000 holes",
      clone(
        ...text("A"),
        100,
        ...Array.from({ length: 100 }, () => [0x61, 0x80, 0x7d, 0x40, 0, 0x80, 0x7d]).flat(),
        ...text("$"),
        0,
        100,
      ),
      "it claims far more memory than its bytes account for",
    ],
    [
      "an array of 33 million elements",
      clone(...text("A"), 0xc0, 0x95, 0xde, 0x0f),
      "an array claims more elements than there are bytes",
    ],
    [
      "room for 2 GiB",
      clone(...text("~"), 0, 0xff, 0xff, 0xff, 0xff, 0x07),
      "it claims far more memory than its bytes account for",
    ],
    ["text of 2 GiB", clone(0x22, 0xff, 0xff, 0xff, 0xff, 0x07, 0x61), "it is cut short"],
    ["a bigint of 2 GiB", clone(...text("Z"), 0xfe, 0xff, 0xff, 0xff, 0x0f), "it is cut short"],
    ["a number of 6 bytes", clone(0x55, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), "a number has more than 32 bits"],
    ["shared memory", clone(...text("u"), 0), "it holds what v8.serialize does not write (tag 117)"],
    ["a module of WebAssembly", clone(...text("w"), 0), "it holds what v8.serialize does not write (tag 119)"],
    ["an error that is malformed", clone(...text("r!")), "an error is malformed"],
    [
      "a million levels",
      Buffer.concat([clone(), Buffer.alloc(2_000_000, Uint8Array.of(0x41, 1))]),
      "it is nested too deep",
    ],
    [
      "__proto__ in Latin-1",
      clone(...text('o"'), 9, ...text("__proto__o{"), 0, ...text("{"), 1),
      "a property is named __proto__",
    ],
    [
      "__proto__ in UTF-16",
      clone(...text("oc"), 18, ...Buffer.from("__proto__", "utf16le"), ...text("o{"), 0, ...text("{"), 1),
      "a property is named __proto__",
    ],
    [
      "__proto__ in UTF-8",
      clone(...text("oS"), 9, ...text("__proto__o{"), 0, ...text("{"), 1),
      "a property is named __proto__",
    ],
    [
      "__proto__ of an array",
      clone(...text("A"), 0, 0x22, 9, ...text("__proto__T$"), 1, 0),
      "a property is named __proto__",
    ],
  ])("refuses to read %s", (_, bytes, reason) => {
    const act = () => format.decode(bytes);

    expect(act).toThrow(DecodeError);
    expect(act).toThrow(
      expect.objectContaining({
        message: `v8: ${bytes.byteLength} bytes are no structured clone: ${reason}`,
        operation: "decode",
      }),
    );
  });

  it("refuses with DecodeError what only Node finds wrong", () => {
    expect(() => format.decode(clone(...text("^"), 9))).toThrow(DecodeError);
  });

  it("reads what Node's serialize wrote elsewhere", () => {
    expect(format.decode(serialize({ a: [1, "b"] }))).toStrictEqual({ a: [1, "b"] });
  });
});
