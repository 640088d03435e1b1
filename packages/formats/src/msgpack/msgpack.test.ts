import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { DecodeError, EncodeError } from "@hotset/core";
import { describeFormat } from "@hotset/testing/contract-suites";
import fc from "fast-check";
import { pack, Packr } from "msgpackr";
import { describe, expect, it } from "vitest";
import { msgpack } from "./msgpack.ts";

describeFormat("msgpack", { open: () => msgpack(), keeps: ["date", "map", "set", "bigint", "bytes", "nan"] });

const format = msgpack();
const roundTrip = (value: unknown): unknown => format.decode(format.encode(value));
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const fromHex = (text: string): Uint8Array => Buffer.from(text.replaceAll(" ", ""), "hex");

describe("the written bytes", () => {
  // Entries outlive versions: a line that changes here needs a new id.
  it.each<[what: string, value: unknown, bytes: string]>([
    ["an object, as a map", { a: 1, b: "c" }, "82 a161 01 a162 a163"],
    ["an array", [null, true, false, undefined], "94 c0 c3 c2 d40000"],
    ["integers", [0, 127, 128, -1, -33, 65_536, -(2 ** 31)], "97 00 7f cc80 ff d0df ce00010000 d280000000"],
    ["other numbers", [0.5, 2 ** 32, NaN, -0], "94 cb3fe0000000000000 cb41f0000000000000 cb7ff8000000000000 00"],
    ["text", "é", "a2 c3a9"],
    ["a buffer, as bytes", Buffer.from([1, 2]), "c402 0102"],
    ["other bytes, as msgpackr does", Uint8Array.of(1, 2), "c703 74 01 0102"],
    ["a date, as a timestamp", new Date(1_000), "d6ff 00000001"],
    ["a date with milliseconds", new Date(1_001), "d7ff 003d090000000001"],
    ["a bigint of 64 bits", [1n, 2n ** 63n], "92 d30000000000000001 cf8000000000000000"],
    ["a larger one", 2n ** 64n, "d842 00000000000000010000000000000000"],
    ["a Set", new Set([1]), "d47300 91 01"],
    ["a Map", new Map([["a", 1]]), "94 c1 00 a161 01"],
    ["text with a lone surrogate", "a\ud800", "93 c1 01 c404 610000d8"],
  ])("%s", (_, value, bytes) => {
    expect(hex(format.encode(value))).toBe(bytes.replaceAll(" ", ""));
    expect(roundTrip(value)).toStrictEqual(
      Object.is(value, -0) || Array.isArray(value)
        ? (value as unknown[]).map((item) => (item === 0 ? 0 : item))
        : value,
    );
    expect(format.id).toBe("msgpack");
  });

  it("are a copy of minimal size", () => {
    const first = format.encode({ a: 1 });
    const second = format.encode({ a: 2 });

    expect(format.decode(first)).toStrictEqual({ a: 1 });
    expect(format.decode(second)).toStrictEqual({ a: 2 });
    expect(format.encode("x".repeat(100_000)).buffer.byteLength).toBe(100_005);
  });

  it("leave no large buffer behind for the next encode", async () => {
    setFlagsFromString("--expose-gc");
    const collectGarbage = runInNewContext("gc") as () => void;
    const heldBytes = (): number => {
      format.encode({ a: 1 });
      collectGarbage();
      return process.memoryUsage().arrayBuffers;
    };
    const encodeLarge = (): number => format.encode("x".repeat(20_000_000)).byteLength;
    const before = heldBytes();

    expect(encodeLarge()).toBe(20_000_005);

    // Memory behind collected buffers is freed by another thread.
    await expect.poll(() => heldBytes() - before).toBeLessThan(1_000_000);
  });
});

describe("kept values beyond those of the suite (C111)", () => {
  class Money {
    readonly cents = 1;
    get euros(): number {
      return this.cents / 100;
    }
  }
  class Amount {
    readonly map = new Map([[1, new Money()]]);
    toJSON(): unknown {
      return { amount: this.map };
    }
  }

  it.each<[what: string, value: unknown, read: unknown]>([
    ["undefined", { a: undefined, b: [undefined] }, { a: undefined, b: [undefined] }],
    ["a buffer as a buffer", { a: Buffer.from("kettle") }, { a: Buffer.from("kettle") }],
    [
      "typed arrays",
      [new Float64Array([1.5, -0]), new BigInt64Array([-1n]), new Uint8ClampedArray([1])],
      [new Float64Array([1.5, -0]), new BigInt64Array([-1n]), new Uint8ClampedArray([1])],
    ],
    [
      "a DataView and an ArrayBuffer",
      [new DataView(new ArrayBuffer(3)), new ArrayBuffer(5)],
      [new DataView(new ArrayBuffer(3)), new ArrayBuffer(5)],
    ],
    ["an invalid date", new Date(NaN), new Date(NaN)],
    ["a mark of byte order at the beginning of long text", `\ufeff${"x".repeat(100)}`, `\ufeff${"x".repeat(100)}`],
    ["a hole as undefined", [1, , 3], [1, undefined, 3]],
    ["-0 as 0", { a: [-0], b: -0 }, { a: [0], b: 0 }],
    [
      "lone surrogates",
      ["\ud800", { a: `${"x".repeat(100)}\udfff` }, new Map([["\udc00", "😀"]]), new Set(["\ud800"])],
      ["\ud800", { a: `${"x".repeat(100)}\udfff` }, new Map([["\udc00", "😀"]]), new Set(["\ud800"])],
    ],
    [
      "maps in everything",
      { a: [new Map([[new Map([["k", 1]]), new Set([new Map()])]])] },
      { a: [new Map([[new Map([["k", 1]]), new Set([new Map()])]])] },
    ],
    ["an instance of a class as a plain object", [new Money()], [{ cents: 1 }]],
    [
      "the result of toJSON, for an object that has one",
      [new Amount(), new URL("http://a/")],
      [{ amount: new Map([[1, { cents: 1 }]]) }, "http://a/"],
    ],
    [
      "an object without a prototype as a plain one",
      Object.assign(Object.create(null) as object, { a: new Map() }),
      { a: new Map() },
    ],
    [
      "a Map of a class of its own as a Map",
      new (class Registry extends Map<string, number> {})([["a", 1]]),
      new Map([["a", 1]]),
    ],
    [
      "an object with a property that holds a Map, unlike its siblings",
      [
        { a: 1, m: 1 },
        { a: 2, m: new Map() },
      ],
      [
        { a: 1, m: 1 },
        { a: 2, m: new Map() },
      ],
    ],
  ])("%s", (_, value, read) => {
    expect(roundTrip(value)).toStrictEqual(read);
  });

  it("all that fast-check generates", () => {
    const name = fc.string({ unit: "grapheme" }).filter((text) => text !== "__proto__");
    const value = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { depthSize: "small" },
        fc.constantFrom(null, undefined, true, false),
        fc.double().map((number) => (number === 0 ? 0 : number)),
        fc.integer(),
        fc.bigInt(),
        fc.date(),
        fc.string({ unit: "binary" }),
        fc.string({ unit: fc.constantFrom("\ud800", "\udc00", "a", "é") }),
        fc.uint8Array(),
        fc.uint8Array().map((bytes) => Buffer.from(bytes)),
        fc.float64Array(),
        fc.array(tie("value")),
        fc.dictionary(name, tie("value"), { noNullPrototype: true }),
        fc.array(fc.tuple(tie("value"), tie("value"))).map((entries) => new Map(entries)),
        fc.array(tie("value")).map((members) => new Set(members)),
      ),
    })).value;

    fc.assert(
      fc.property(value, (given) => {
        const bytes = format.encode(given);

        expect(format.decode(bytes)).toStrictEqual(given);
      }),
      { seed: 1, numRuns: 2_000 },
    );
  });

  it("every date, to the millisecond", () => {
    fc.assert(
      fc.property(fc.date({ noInvalidDate: true }), (date) => {
        expect((roundTrip(date) as Date).getTime()).toBe(date.getTime());
      }),
      { seed: 1, numRuns: 2_000 },
    );
  });
});

describe("values refused on writing", () => {
  const cycle: unknown[] = [];
  cycle.push({ cycle });

  it.each<[what: string, value: unknown, message: string]>([
    ["a function", { a: [() => "secret"] }, "msgpack: a function cannot be written"],
    ["a symbol", [Symbol("secret")], "msgpack: a symbol cannot be written"],
    [
      "an Error",
      [new Error("secret")],
      "msgpack: an Error, RegExp, Promise or another instance of a built-in class cannot be written",
    ],
    [
      "a RegExp",
      /secret/,
      "msgpack: an Error, RegExp, Promise or another instance of a built-in class cannot be written",
    ],
    [
      "a promise",
      { a: Promise.resolve("secret") },
      "msgpack: an Error, RegExp, Promise or another instance of a built-in class cannot be written",
    ],
    [
      "a property named __proto__",
      JSON.parse('{"a":[{"__proto__":1}]}'),
      "msgpack: a property named __proto__ cannot be written; rename it",
    ],
    [
      "a name with a lone surrogate",
      { "\ud800": 1 },
      "msgpack: a property name with a lone surrogate cannot be written",
    ],
    ["a cycle", cycle, "msgpack: values that contain themselves or are nested more than 500 deep cannot be written"],
  ])("%s", (_, value, message) => {
    const act = () => format.encode(value);

    expect(act).toThrow(EncodeError);
    expect(act).toThrow(expect.objectContaining({ message, operation: "encode" }));
    expect(roundTrip({ next: [1] })).toStrictEqual({ next: [1] });
  });

  it("the error of a toJSON is the cause", () => {
    class Broken {
      toJSON(): never {
        throw new TypeError("broken");
      }
    }

    expect(() => format.encode([new Broken()])).toThrow(
      expect.objectContaining({ message: "msgpack: the value cannot be written", cause: new TypeError("broken") }),
    );
  });

  it.each([
    ["arrays", (inner: unknown) => [inner]],
    ["objects", (inner: unknown) => ({ inner })],
    ["Maps", (inner: unknown) => new Map([[1, inner]])],
    ["Sets", (inner: unknown) => new Set([inner])],
  ])("more than 500 levels of %s; 500 come back", (_, around) => {
    const nest = (depth: number): unknown => Array.from({ length: depth }).reduce<unknown>(around, "\ud800");

    expect(roundTrip(nest(500))).toStrictEqual(nest(500));
    expect(() => format.encode(nest(501))).toThrow(EncodeError);
  });
});

describe("values of too much memory are refused", () => {
  /** The limit is the smallest under which ten times as few are read. */
  it.each<[what: string, node: string, count: number, maxBytes: number]>([
    ["empty objects", "80", 5_000, 12_000],
    ["empty arrays", "90", 5_000, 12_000],
    ["slots", "c0", 50_000, 12_000],
    ["empty buffers", "c400", 2_000, 12_000],
    ["typed arrays", "c7027401ff", 1_000, 12_000],
    ["sets", "d4730090", 1_000, 12_000],
    ["Maps", "92c100", 1_000, 12_000],
    ["dates", "d6ff00000001", 2_000, 12_000],
    ["bigints", "d44201", 2_000, 12_000],
    ["text", "a26162", 10_000, 12_000],
    ["objects with an index", "81a339303001", 20, 12_000],
    ["objects with an index, in a small value", "81a339303001", 3_400, 8 * 2 ** 20],
    ["objects with rising indexes", "82a338303001a43132303001", 12, 12_000],
  ])("%s", (_, node, count, maxBytes) => {
    const of = (length: number) => fromHex(`dc ${length.toString(16).padStart(4, "0")}${node.repeat(length)}`);

    expect(() => format.decode(of(count), maxBytes)).toThrow(
      `it would take more than 4 times maxDecodedBytes (${maxBytes} bytes) of memory`,
    );
    expect(format.decode(of(Math.floor(count / 10)), maxBytes)).toHaveLength(Math.floor(count / 10));
  });

  it.each([
    ["c0b9 3030", 4],
    ["39c0b030", 4],
    ["e080b9", 3],
    ["f08080b9", 4],
  ])("a name in an overlong form, %s, which msgpackr would read as an index", (name, length) => {
    expect(() => format.decode(fromHex(`81 a${length} ${name} 01`))).toThrow("a property name is not UTF-8");
  });

  it.each([
    ["that may be an index", "81 db 07ffffff 39"],
    ["in a large value", `dc ffff ${"01".repeat(300_000)}`.replace("01", "81 db 07ffffff 61")],
  ])("a name %s, and claims 128 MiB, is refused at once", (_, bytes) => {
    const startedAt = process.cpuUsage();
    expect(() => format.decode(fromHex(bytes))).toThrow("they are cut short");
    const { user, system } = process.cpuUsage(startedAt);
    // In microseconds. To look for each byte that it claims takes three seconds.
    expect(user + system).toBeLessThan(1_000_000);
  });

  it("bytes whose positions are not integers of 32 bits are refused", () => {
    const bytes = new Uint8Array(2 ** 31 + 64);
    bytes.set(fromHex("93 db 80000000"));
    bytes.set(fromHex("c7 03 77"), 2 ** 31 + 6);
    expect(() => format.decode(bytes)).toThrow("they are longer than 2 GB");
  });

  it("names in other scripts and names that begin with a digit are read", () => {
    const value = { ก: 1, é: 2, "😀": 3, 日: 4, "2026-01-31": 5, "9é": 6 };

    expect(roundTrip(value)).toStrictEqual(value);
  });
});

describe("bytes refused on reading", () => {
  it.each<[what: string, bytes: string, reason: string]>([
    ["nothing", "", "they are cut short"],
    ["two values", "01 01", "something follows the value"],
    ["a byte with which no value begins", "c1", "they hold the byte c1 in a place without a mark"],
    ["the same in an array, but not at its beginning", "92 01 c1", "they hold the byte c1 in a place without a mark"],
    ["an array of 4 billion", "dd ffffffff", "they are cut short"],
    ["100 arrays of 60,000 each", "dc 0064 " + "dc ea60 ".repeat(100), "they are cut short"],
    ["an array of 5 with 3", "95 01 02 03", "they are cut short"],
    ["a map of 4 billion", "df ffffffff", "they are cut short"],
    ["a map of 2 with 1", "82 a161 01", "they are cut short"],
    ["100 arrays of 4 billion", "dd ffffffff".repeat(100), "they are cut short"],
    ["a map of 4 billion, with 1", "df ffffffff a161 01", "they are cut short"],
    ["a name of 4 GiB", "81 db ffffffff 61 01", "they are cut short"],
    ["a name of 65,535", "81 da ffff 61 01", "they are cut short"],
    ["a name without a value", "81 a161", "they are cut short"],
    ["an empty name without a value", "81 a0", "they are cut short"],
    ["text of 4 GiB", "db ffffffff 61", "they are cut short"],
    ["text of 65,535", "da ffff 61", "they are cut short"],
    ["text of 255", "d9 ff 61", "they are cut short"],
    ["text of 31", "bf 61", "they are cut short"],
    ["bytes of 4 GiB", "c6 ffffffff 61", "they are cut short"],
    ["bytes of 65,535", "c5 ffff 61", "they are cut short"],
    ["bytes of 255", "c4 ff 61", "they are cut short"],
    ["a typed array of 4 GiB", "c9 ffffffff 74 01", "they are cut short"],
    ["a bigint of 4 GiB", "c9 ffffffff 42 01", "they are cut short"],
    ["a number cut short", "cb 3fe000", "they are cut short"],
    ["a header cut short", "dd ffff", "they are cut short"],
    ["an empty bigint", "c7 00 42", "an extension is empty"],
    ["a date of 5 bytes", "c7 05 ff 0000000000", "a date is malformed"],
    ["a Set that is not an array", "d4 73 00 a3 616263", "a Set is malformed"],
    ["an error", "d4 65 00 93 a5 4572726f72 a1 61 c0", "they hold an extension that is not read"],
    ["a regular expression", "d4 78 00 92 a1 61 a0", "they hold an extension that is not read"],
    ["a record, for which msgpackr generates code", "d4 72 40 91 a1 61 01", "they hold an extension that is not read"],
    ["a record of two bytes", "d5 72 40 00 91 a1 61 01", "they hold an extension that is not read"],
    ["text that is kept elsewhere", "d6 62 00000005 c0", "they hold an extension that is not read"],
    ["a reference", "92 d6 69 00000001 90 d6 70 00000001", "they hold an extension that is not read"],
    ["an extension of the application", "d4 01 00", "they hold an extension that is not read"],
    ["__proto__", "81 a9 5f5f70726f746f5f5f 81 a1 61 01", "a property is named __proto__"],
    ["__proto__ inside", "91 81 d9 09 5f5f70726f746f5f5f 01", "a property is named __proto__"],
    ["a name that is a number", "81 01 01", "a property name is not text"],
    ["a map below a mark", `${"91".repeat(500)} 92 c1 80`, "it is nested more than 500 levels deep"],
    ["502 levels", "91".repeat(502) + "c0", "it is nested more than 500 levels deep"],
    ["a million levels", "91".repeat(1_000_000), "it is nested more than 500 levels deep"],
    ["a million levels of objects", "81a161".repeat(1_000_000), "it is nested more than 500 levels deep"],
    ["JSON", Buffer.from('{"a":1}').toString("hex"), "something follows the value"],
  ])("%s", (_, text, reason) => {
    const bytes = fromHex(text);
    const act = () => format.decode(bytes);

    expect(act).toThrow(DecodeError);
    expect(act).toThrow(
      expect.objectContaining({
        message: `msgpack: ${bytes.byteLength} bytes cannot be read: ${reason}`,
        operation: "decode",
      }),
    );
    expect(roundTrip({ next: [1] })).toStrictEqual({ next: [1] });
  });

  it.each<[what: string, bytes: string]>([
    ["a mark of another kind", "92 c1 05"],
    ["a mark without a kind", "91 c1"],
    ["a Map of a key without a value", "93 c1 00 01"],
    ["text that is not bytes", "93 c1 01 a1 61"],
    ["a typed array that is cut short", "c7 04 74 06 010203"],
    ["a typed array of an unknown kind", "c7 02 74 63 01"],
    ["a Set of the members of a mark", "d4 73 00 92 c1 05"],
    ["a Set of a Map", "d4 73 00 92 c1 00"],
  ])("%s", (_, bytes) => {
    expect(() => format.decode(fromHex(bytes))).toThrow(DecodeError);
    expect(roundTrip({ next: [1] })).toStrictEqual({ next: [1] });
  });

  it("anything else, without quoting it", () => {
    const act = () => format.decode(Buffer.concat([format.encode("secret"), format.encode(1)]));

    expect(act).toThrow("msgpack: 8 bytes cannot be read: something follows the value");
    expect(act).not.toThrow(expect.objectContaining({ cause: expect.anything() as unknown }));
  });
});

describe("bytes of other programs", () => {
  it("are read if MessagePack defines them", () => {
    const value = { id: 1, name: "é 漢字", list: [1.5, null, true], big: 2 ** 40, when: new Date(1_700_000_000_123) };

    expect(format.decode(pack(value))).toStrictEqual(value);
    expect(format.decode(fromHex("82 a161 ca3f800000 a162 cf0000010000000000"))).toStrictEqual({ a: 1, b: 2n ** 40n });
  });

  it("are refused if they are records", () => {
    expect(() => format.decode(new Packr().pack([{ a: 1 }, { a: 2 }]))).toThrow(DecodeError);
  });
});

describe("bytes in a value", () => {
  it("have memory of their own, as much as they need", () => {
    const reply = Buffer.alloc(65_536);
    const bytes = format.encode({ small: Buffer.from("kettle"), other: Uint8Array.of(1, 2, 3) });
    reply.set(bytes, 1_000);

    const { small, other } = format.decode(reply.subarray(1_000, 1_000 + bytes.byteLength)) as {
      small: Buffer;
      other: Uint8Array;
    };
    reply.fill(0);

    expect(small).toStrictEqual(Buffer.from("kettle"));
    expect(other).toStrictEqual(Uint8Array.of(1, 2, 3));
    expect([small.buffer.byteLength, other.buffer.byteLength]).toEqual([6, 3]);
  });

  it("come back the same from bytes in any kind of view", () => {
    const bytes = format.encode([Buffer.from("kettle")]);

    expect(format.decode(Uint8Array.from(bytes))).toStrictEqual([Buffer.from("kettle")]);
  });

  it("are read in proportion: no more memory than there are bytes", () => {
    const before = process.memoryUsage().arrayBuffers;
    const act = () => format.decode(fromHex("dc 0064 " + "c9 7fffffff 74 01 ".repeat(100)));

    expect(act).toThrow(DecodeError);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000);
  });
});
