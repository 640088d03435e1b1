import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DecodeError, EncodeError } from "../contracts/errors.ts";
import { describeFormat } from "../testing/describe-format.ts";
import { json } from "./json.ts";

describeFormat("json", { open: () => json() });

const format = json();
const decodeText = (text: string): unknown => format.decode(Buffer.from(text));

describe("json", () => {
  it("writes JSON in UTF-8, which other programs read", () => {
    expect(format.id).toBe("json");
    expect(Buffer.from(format.encode({ name: "Zoë", "a b": [1, null] })).toString("utf8")).toBe(
      '{"name":"Zoë","a b":[1,null]}',
    );
  });

  it("reads JSON that other programs wrote", () => {
    expect(decodeText(' {"a" : [1e3, "\\u00e9\\u005f", "\\ud83d\\ude00"]}\n')).toStrictEqual({ a: [1000, "é_", "😀"] });
  });

  it("keeps what JSON.stringify keeps, as fast-check finds it", () => {
    const named = fc.string({ unit: "binary" }).filter((name) => name !== "__proto__");
    const value = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { depthSize: "small" },
        fc.constantFrom(null, true, false),
        fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0),
        fc.string({ unit: "binary" }),
        fc.array(tie("value")),
        fc.dictionary(named, tie("value"), { noNullPrototype: true }),
      ),
    })).value;

    fc.assert(
      fc.property(value, (given) => {
        expect(format.decode(format.encode(given))).toStrictEqual(given);
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  it("changes inside a value what JSON has no word for (C111)", () => {
    const given = {
      date: new Date(0),
      map: new Map([[1, 2]]),
      set: new Set([1]),
      undef: undefined,
      f: () => 1,
      nan: NaN,
      inf: Infinity,
      zero: -0,
      list: [undefined, , Symbol("s")],
      bytes: Uint8Array.of(7),
    };

    expect(format.decode(format.encode(given))).toStrictEqual({
      date: "1970-01-01T00:00:00.000Z",
      map: {},
      set: {},
      nan: null,
      inf: null,
      zero: 0,
      list: [null, null, null],
      bytes: { 0: 7 },
    });
  });

  it("keeps text with lone surrogates", () => {
    expect(format.decode(format.encode(["a\ud800", "\udc00"]))).toStrictEqual(["a\ud800", "\udc00"]);
  });

  class Money {
    readonly cents = 1;
  }

  it("writes instances of classes as plain objects, or as their toJSON says", () => {
    expect(format.decode(format.encode(new Money()))).toStrictEqual({ cents: 1 });
    expect(format.decode(format.encode({ toJSON: () => "short" }))).toBe("short");
  });

  it.each<[what: string, value: unknown, message: string]>([
    ["undefined", undefined, "json: undefined cannot be written"],
    ["a function", () => 1, "json: function cannot be written"],
    ["a symbol", Symbol("secret"), "json: symbol cannot be written"],
    ["what its toJSON makes undefined", { toJSON: () => undefined }, "json: object cannot be written"],
    ["NaN", NaN, "json: NaN, infinities and invalid dates would be written as null"],
    ["an infinity", -Infinity, "json: NaN, infinities and invalid dates would be written as null"],
    ["an invalid date", new Date(NaN), "json: NaN, infinities and invalid dates would be written as null"],
    ["bytes", Uint8Array.of(1), "json: bytes cannot be written; use msgpack() or v8()"],
    ["a buffer", Buffer.from("a"), "json: bytes cannot be written; use msgpack() or v8()"],
    ...[
      new Map([[1, 2]]),
      new Set([1]),
      new Error("secret"),
      /a/,
      Promise.resolve(1),
      new WeakMap(),
      new ArrayBuffer(1),
    ].map((value): [string, unknown, string] => [
      value.constructor.name,
      value,
      "json: a Map, Set, Error or the like would be written as {}; use v8(), or msgpack() for Map and Set",
    ]),
    [
      "a bigint inside",
      { a: [1n] },
      "json: the value cannot be written: a bigint, a cycle, nesting too deep, or a toJSON that throws",
    ],
    [
      "a property named __proto__",
      JSON.parse('{"a":[{"__proto__":1}]}'),
      "json: a property named __proto__ cannot be written; rename it",
    ],
  ])("refuses to write %s", (_, value, message) => {
    const act = () => format.encode(value);

    expect(act).toThrow(EncodeError);
    expect(act).toThrow(expect.objectContaining({ message, operation: "encode" }));
  });

  it("passes on, as the cause, what a toJSON throws", () => {
    const cause = new Error("no JSON for this");

    expect(() =>
      format.encode({
        toJSON: () => {
          throw cause;
        },
      }),
    ).toThrow(expect.objectContaining({ cause }));
  });

  it.each<[what: string, bytes: Uint8Array]>([
    ["nothing", new Uint8Array(0)],
    ["text that is not JSON", Buffer.from("secret value")],
    ["two values", Buffer.from("1 2")],
    ["JSON in Latin-1", Buffer.from('"é"', "latin1")],
    ["JSON in UTF-16", Buffer.from('"a"', "utf16le")],
    ["a byte order mark", Buffer.from('\ufeff"a"')],
    ["an overlong form", Uint8Array.of(0x22, 0xc0, 0xaf, 0x22)],
    ["a surrogate in UTF-8", Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22)],
    ["NaN", Buffer.from("NaN")],
  ])("refuses to read %s, and quotes nothing of it", (_, bytes) => {
    const act = () => format.decode(bytes);

    expect(act).toThrow(DecodeError);
    expect(act).toThrow(
      expect.objectContaining({
        message: `json: ${bytes.byteLength} bytes are not JSON in UTF-8`,
        operation: "decode",
      }),
    );
    expect(act).not.toThrow(expect.objectContaining({ cause: expect.anything() as unknown }));
  });

  it.each([
    '{"__proto__":{"polluted":1}}',
    '[{"a":{"\\u005f_proto__":1}}]',
    '{"\\u005F\\u005f\\u0070\\u0072\\u006f\\u0074\\u006f\\u005f\\u005f":1}',
  ])("refuses to read a property named __proto__, however it is spelt: %s", (text) => {
    const act = () => decodeText(text);

    expect(act).toThrow(DecodeError);
    expect(act).toThrow("json: a property is named __proto__");
  });

  it("reads __proto__ where it is text", () => {
    const value = { a: "__proto__", b: '"__proto__":', x__proto__: "\\u005f", "\u0001": "__proto__" };

    expect(format.decode(format.encode(value))).toStrictEqual(value);
  });
});
