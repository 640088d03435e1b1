import type { Format } from "@hotset/core";
import { beforeEach, describe, expect, it } from "vitest";
import { attempt, deepFreeze, expectPlain, expectReadWithItsLimit, expectUnpolluted } from "./decoded.ts";
import { describeFormatOfOneType } from "./describe-format-of-one-type.ts";
import { randomFrom } from "./random.ts";

/** Kinds of values beyond JSON that a format may keep. */
export type KeptKind = "date" | "map" | "set" | "bigint" | "bytes" | "nan";

/** How the suite opens a format, and the values that it must keep. */
export interface DescribeFormatOptions {
  /** Returns a new format: called for each test. An error that it throws fails the test. */
  open(): Format;
  /** The kinds of values beyond JSON that come back unchanged. @default none */
  readonly keeps?: readonly KeptKind[] | undefined;
  /**
   * For a format of one type, which refuses other values: values of that type, at least one. The suite tests these
   * instead of JSON values and {@link keeps}. Each must come back unchanged, as `toStrictEqual` compares.
   */
  readonly values?: readonly unknown[] | undefined;
}

/**
 * The contract of {@link Format}, as a suite for Vitest; calls `describe` itself.
 *
 * A format keeps JSON values. Further kinds of values that it keeps are listed in `keeps`; it may refuse or change all
 * others, as its documentation says. A format of one type keeps that type alone: give examples of it in `values`.
 *
 * @throws TypeError for `values` without any.
 */
export function describeFormat(name: string, options: DescribeFormatOptions): void {
  if (options.values !== undefined) return describeFormatOfOneType(name, options.open, options.values);
  describe(`format ${name}`, () => {
    let format: Format;

    beforeEach(() => {
      format = options.open();
    });

    const roundTrip = (value: unknown): unknown => format.decode(format.encode(value));

    it("has an id that can be stored: 1 to 32 of a-z 0-9 . -", () => {
      expect(format.id).toMatch(/^[a-z0-9.-]{1,32}$/);
      expect(options.open().id).toBe(format.id);
    });

    it.each(JSON_VALUES)("keeps %s", (_, value) => {
      expect(roundTrip(value)).toStrictEqual(value);
    });

    it.each(JSON_VALUES)("keeps %s deep inside", (_, value) => {
      const around = { before: [1, { value }], after: [value, value] };

      expect(roundTrip(around)).toStrictEqual(around);
    });

    it.each([
      ["a record", SAMPLE],
      ["text", SAMPLE.name],
      ["1,000 empty objects", Array.from({ length: 1_000 }, () => ({}))],
    ])("reads with a maxBytes what it wrote with it: %s", (_, value) => {
      expectReadWithItsLimit(format, value);
    });

    it.each(NUMBERS)("keeps the number %d", (number) => {
      expect(roundTrip(number)).toBe(number);
    });

    it("keeps values made at random", () => {
      const random = randomFrom(1);
      for (let round = 0; round < 300; round++) {
        const value = randomValue(random, 4);

        expect(roundTrip(value)).toStrictEqual(value);
      }
    });

    it("keeps 1 MB of text, and of records", () => {
      const text = "kettle é 漢字 😀 ".repeat(60_000);
      const records = Array.from({ length: 10_000 }, (_, id) => ({
        id,
        name: `item ${id}`,
        price: id / 7,
        tags: ["a", `b${id % 9}`],
        parent: null,
      }));

      expect(roundTrip(text) === text).toBe(true);
      expect(roundTrip(records)).toStrictEqual(records);
    });

    it("returns plain objects and arrays, like JSON.parse", () => {
      const value = roundTrip({ a: [{}] }) as { a: object[] };

      expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
      expect(Object.getPrototypeOf(value.a)).toBe(Array.prototype);
      expect(Object.getPrototypeOf(value.a[0])).toBe(Object.prototype);
    });

    describe.each(options.keeps ?? [])("keeps %s", (kind) => {
      it.each(KEPT_VALUES[kind])("%s", (_, value) => {
        expect(roundTrip(value)).toStrictEqual(value);
        expect(roundTrip({ inside: [value, { value }] })).toStrictEqual({ inside: [value, { value }] });
      });
    });

    it("does not change its input", () => {
      const value = { text: "a", list: [1, { b: null }], when: new Date(5), id: 1n };
      const plain = { text: "a", list: [1, { b: null }] };
      for (const given of options.keeps?.includes("date") && options.keeps.includes("bigint")
        ? [plain, value]
        : [plain]) {
        const before = structuredClone(given);

        const bytes = format.encode(deepFreeze(given));
        const bytesBefore = Uint8Array.from(bytes);
        format.decode(bytes);

        expect(given).toStrictEqual(before);
        expect(Buffer.compare(bytes, bytesBefore)).toBe(0);
      }
    });

    it("returns bytes that later encodes do not change", () => {
      const kept = Array.from({ length: 50 }, (_, i) => ({
        value: { i, text: "x".repeat(i * 37) },
        bytes: format.encode({ i, text: "x".repeat(i * 37) }),
      }));
      for (let i = 0; i < 200; i++) format.encode({ noise: "y".repeat(i * 50), i: -i });
      format.encode("z".repeat(300_000));

      for (const { value, bytes } of kept) expect(format.decode(bytes)).toStrictEqual(value);
    });

    it("returns values that share no memory with the bytes", () => {
      const value = {
        text: "a copper kettle",
        list: [1, "b"],
        ...(options.keeps?.includes("bytes") ? { bytes: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) } : {}),
      };
      const bytes = Uint8Array.from(format.encode(value));

      const decoded = format.decode(bytes);
      bytes.fill(0xff);

      expect(decoded).toStrictEqual(value);
    });

    it("reads bytes that lie anywhere in memory", () => {
      const bytes = format.encode({ text: "a copper kettle", list: [1.5, null] });
      const within = new Uint8Array(bytes.byteLength + 40).fill(0x20);
      within.set(bytes, 7);

      const there = within.subarray(7, 7 + bytes.byteLength);

      expect(format.decode(there)).toStrictEqual({ text: "a copper kettle", list: [1.5, null] });
      expect(format.decode(Buffer.from(within.buffer, 7, bytes.byteLength))).toStrictEqual({
        text: "a copper kettle",
        list: [1.5, null],
      });
    });

    it("encodes while it encodes, when a getter calls it", () => {
      let inner: Uint8Array | undefined;
      const value = {
        before: "b".repeat(100),
        get middle(): string {
          inner = format.encode({ inner: [1, 2, 3], text: "i".repeat(50) });
          return "m";
        },
        after: ["a"],
      };

      expect(roundTrip(value)).toStrictEqual({ before: "b".repeat(100), middle: "m", after: ["a"] });
      expect(format.decode(inner!)).toStrictEqual({ inner: [1, 2, 3], text: "i".repeat(50) });
    });

    it.each<[what: string, value: unknown]>([
      ["a function", () => 1],
      ["a symbol", Symbol("s")],
    ])("refuses %s, and keeps working", (_, value) => {
      expect(() => format.encode(value)).toThrow();
      expect(roundTrip({ next: [1] })).toStrictEqual({ next: [1] });
    });

    it("refuses a cycle or keeps it, and keeps working", () => {
      const cycle: { self?: unknown; list: unknown[] } = { list: [1] };
      cycle.self = cycle;
      cycle.list.push(cycle);

      const decoded = attempt(() => roundTrip(cycle)) as typeof cycle | Error;

      if (!(decoded instanceof Error)) {
        expect(decoded.self).toBe(decoded);
        expect(decoded.list[1]).toBe(decoded);
      }
      expect(roundTrip({ next: [1] })).toStrictEqual({ next: [1] });
    });

    it.each([2n ** 63n - 1n, 2n ** 64n, -(2n ** 63n) - 1n, 2n ** 300n, -(3n ** 500n)])(
      "refuses the bigint %d or keeps it",
      (bigint) => {
        const decoded = attempt(() => roundTrip({ bigint }));

        if (!(decoded instanceof Error)) expect(decoded).toStrictEqual({ bigint });
      },
    );

    it("refuses nesting of 100,000 levels or keeps it, and keeps working", () => {
      let value: unknown = 1;
      for (let depth = 0; depth < 100_000; depth++) value = [value];

      const decoded = attempt(() => roundTrip(value));

      if (!(decoded instanceof Error)) {
        let depth = 0;
        for (let at: unknown = decoded; Array.isArray(at); at = at[0]) depth++;
        expect(depth).toBe(100_000);
      }
      expect(roundTrip({ next: [1] })).toStrictEqual({ next: [1] });
    });

    it("refuses a property named __proto__, or keeps it as a property", () => {
      const value: unknown = JSON.parse('{"a":{"__proto__":{"polluted":1}}}');

      const decoded = attempt(() => roundTrip(value)) as { a: object } | Error;

      if (!(decoded instanceof Error)) {
        expect(Object.getPrototypeOf(decoded.a)).toBe(Object.prototype);
        expect(Object.getOwnPropertyDescriptor(decoded.a, "__proto__")?.value).toStrictEqual({ polluted: 1 });
      }
      expectUnpolluted();
    });

    it("sets no prototype when bytes name a property __proto__", () => {
      for (const placeholder of ["xx_roto__", "xxxxxxxxx"]) {
        const bytes = Buffer.from(
          format.encode({ a: { [placeholder]: { polluted: 1 } }, b: [{ [placeholder]: [1] }] }),
        );
        for (let at = bytes.indexOf(placeholder); at !== -1; at = bytes.indexOf(placeholder))
          bytes.write("__proto__", at);

        const decoded = attempt(() => format.decode(bytes));

        if (!(decoded instanceof Error)) expectPlain(decoded);
        expectUnpolluted();
      }
    });

    it("refuses bytes that are cut short", () => {
      const bytes = format.encode(SAMPLE);
      for (let end = 0; end < bytes.byteLength; end++) {
        expect(() => format.decode(bytes.subarray(0, end)), `${end} of ${bytes.byteLength}`).toThrow();
      }
    });

    it("refuses bytes after the end", () => {
      const bytes = format.encode(SAMPLE);

      expect(() => format.decode(Buffer.concat([bytes, bytes]))).toThrow();
      expect(() => format.decode(Buffer.concat([bytes, Uint8Array.of(0x00)]))).toThrow();
      expect(() => format.decode(Buffer.concat([bytes, Uint8Array.of(0xff)]))).toThrow();
    });

    it("answers foreign bytes with an error or with a value, and works afterwards", () => {
      const random = randomFrom(2);
      for (let round = 0; round < 3_000; round++) {
        const decoded = attempt(() => format.decode(random.bytes(random.below(64))));

        if (!(decoded instanceof Error)) expectPlain(decoded);
      }
      expectUnpolluted();
      expect(roundTrip(SAMPLE)).toStrictEqual(SAMPLE);
    });

    it("answers damaged bytes with an error or with a value, and works afterwards", () => {
      const random = randomFrom(3);
      const intact = format.encode(SAMPLE);
      for (let round = 0; round < 3_000; round++) {
        const damaged = Uint8Array.from(intact);
        for (let flips = random.below(3); flips >= 0; flips--)
          damaged[random.below(damaged.byteLength)] = random.below(256);
        const decoded = attempt(() => format.decode(damaged));

        if (!(decoded instanceof Error)) expectPlain(decoded);
      }
      expectUnpolluted();
      expect(format.decode(intact)).toStrictEqual(SAMPLE);
    });

    it.each([
      ["empty objects", {}],
      ["empty arrays", []],
    ])("takes at most eight times maxBytes: refuses 100,000 %s that would take more", (_, element) => {
      const value = Array.from({ length: 100_000 }, () => structuredClone(element));
      const bytes = format.encode(value, 2 ** 30);

      expect(() => format.encode(value, 1_024)).toThrow();
      // The least that an element takes is a reference of 8 bytes and an object of 16.
      if (24 * value.length > 8 * bytes.byteLength) expect(() => format.decode(bytes, bytes.byteLength)).toThrow();
      expect(roundTrip({ next: [1] })).toStrictEqual({ next: [1] });
    });
  });
}

const SAMPLE = {
  id: 48_213,
  name: "Ada Lovelace",
  roles: ["admin", "editor", { nested: [true, false, null] }],
  score: -0.875,
  text: "é 漢字 😀 ".repeat(12),
  empty: { list: [], object: {}, text: "" },
};

const NUMBERS: readonly number[] = [
  1,
  -1,
  31,
  32,
  63,
  64,
  127,
  128,
  255,
  256,
  65_535,
  65_536,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 53 - 1,
  2 ** 53,
  1e21,
  1e300,
  -32,
  -33,
  -128,
  -129,
  -32_768,
  -32_769,
  -(2 ** 31),
  -(2 ** 31) - 1,
  -(2 ** 53),
  0.1,
  -0.5,
  1 / 3,
  5e-324,
  1.7976931348623157e308,
  3.4028234663852886e38,
];

const JSON_VALUES: readonly (readonly [what: string, value: unknown])[] = [
  ["null", null],
  ["true", true],
  ["false", false],
  ["0", 0],
  ["empty text", ""],
  ["an empty array", []],
  ["an empty object", {}],
  ["text", "a copper kettle"],
  ["text of every length up to 300", Array.from({ length: 300 }, (_, length) => "x".repeat(length))],
  [
    "text of every length up to 300, in other scripts",
    Array.from({ length: 300 }, (_, length) => "é漢😀".repeat(length).slice(0, length - (length % 4))),
  ],
  ["text of 70,000 characters", "漢".repeat(70_000)],
  ["every character up to U+07FF", Array.from({ length: 0x800 }, (_, code) => String.fromCharCode(code))],
  ["special characters", '\0\b\t\n\r\u001f"\\/\u007f\u2028\u2029\ufeff\ufffd\uffff'],
  [
    "text that looks like something else",
    ["null", "true", "1", "{}", "__proto__", "constructor", "2020-01-01T00:00:00.000Z", "NaN"],
  ],
  ["an array of everything", [null, true, 1, "a", [], {}, [[]], [{}]]],
  ["arrays of every length up to 40", Array.from({ length: 40 }, (_, length) => Array.from({ length }, (__, i) => i))],
  ["an array of 70,000", Array.from({ length: 70_000 }, (_, i) => i % 300)],
  [
    "objects of every size up to 40",
    Array.from({ length: 40 }, (_, size) => Object.fromEntries(Array.from({ length: size }, (__, i) => [`k${i}`, i]))),
  ],
  ["an object of 70,000 properties", Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [`key ${i}`, i % 7]))],
  [
    "odd names of properties",
    { "": 1, " ": 2, "a.b": 3, "0": 4, "-1": 5, é: 6, "😀": 7, "\0": 8, ["n".repeat(300)]: 9 },
  ],
  [
    "names of inherited properties",
    {
      constructor: 1,
      hasOwnProperty: 2,
      toString: 3,
      valueOf: 4,
      toJSON: 5,
      length: 6,
      prototype: 7,
      __defineGetter__: 8,
    },
  ],
  [
    "names that a library might use itself",
    [
      { a: 1 },
      { a: 1, __keys__: 2 },
      { a: 1, __keys__: 2, push: 3 },
      { b: 1, __keys__: 2, push: 3 },
      { a: 1, __keys__: 2, length: 5 },
    ],
  ],
  ["the same names in another order", [{ a: 1, b: 2 }, { b: 1, a: 2 }, { a: 1 }, { a: 1, b: 2, c: 3 }]],
  ["100 shapes of objects", Array.from({ length: 100 }, (_, i) => ({ [`a${i}`]: i, [`b${i}`]: { [`c${i}`]: [i] } }))],
  ["nesting of 100 levels", Array.from({ length: 100 }).reduce((inner: unknown) => ({ inner: [inner] }), null)],
];

const BYTES = Uint8Array.from({ length: 256 }, (_, i) => i);

const KEPT_VALUES: { readonly [K in KeptKind]: readonly (readonly [what: string, value: unknown])[] } = {
  date: [
    ["today", new Date("2026-01-31T08:15:30.123Z")],
    ["without milliseconds", new Date("2026-01-31T08:15:30Z")],
    ["the epoch, and around it", [new Date(0), new Date(1), new Date(-1), new Date(-1_000), new Date(999)]],
    [
      "the ends of 32 bits",
      [
        new Date(2 ** 32 * 1_000 - 1),
        new Date(2 ** 32 * 1_000),
        new Date(2 ** 34 * 1_000),
        new Date(2 ** 34 * 1_000 + 1),
      ],
    ],
    ["the first and the last", [new Date(-8.64e15), new Date(8.64e15)]],
  ],
  map: [
    ["empty", new Map()],
    [
      "of text",
      new Map([
        ["a", 1],
        ["b", 2],
      ]),
    ],
    [
      "of keys of any kind",
      new Map<unknown, unknown>([
        [1, "number"],
        ["1", "text"],
        [null, "null"],
        [true, []],
        [{ a: 1 }, "object"],
        [[1], new Map([[1, 2]])],
      ]),
    ],
    [
      "of 20 and of 70,000",
      [
        new Map(Array.from({ length: 20 }, (_, i) => [i, i])),
        new Map(Array.from({ length: 70_000 }, (_, i) => [`k${i}`, i % 7])),
      ],
    ],
    ["next to an object like it", [new Map([["a", 1]]), { a: 1 }]],
    ["with a key named __proto__", new Map([["__proto__", 1]])],
  ],
  set: [
    ["empty", new Set()],
    ["of anything", new Set([1, "1", null, [1], { a: 1 }, new Set(["inner"])])],
    ["of 70,000", new Set(Array.from({ length: 70_000 }, (_, i) => i))],
    ["next to an array like it", [new Set([1]), [1]]],
  ],
  bigint: [
    ["small", [0n, 1n, -1n, 127n, 128n, -128n, -129n]],
    ["next to a number like it", [1n, 1]],
    [
      "of 53 to 65 bits",
      [2n ** 53n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 64n, -(2n ** 63n), -(2n ** 63n) - 1n, -(2n ** 64n)],
    ],
    ["of a thousand digits", [10n ** 1_000n, -(10n ** 1_000n)]],
    ["of 65,536 bits and more", [2n ** 65_535n, 2n ** 65_536n, 2n ** 70_001n - 1n, -(2n ** 70_000n)]],
  ],
  bytes: [
    ["none", new Uint8Array(0)],
    ["of every value", BYTES],
    ["a part of a larger buffer", BYTES.subarray(3, 130)],
    ["70,000", new Uint8Array(70_000).fill(7)],
    ["next to an array like them", [Uint8Array.of(1, 2), [1, 2]]],
  ],
  nan: [
    ["NaN", NaN],
    ["infinities", [Infinity, -Infinity]],
  ],
};

function randomValue(random: ReturnType<typeof randomFrom>, depth: number): unknown {
  switch (random.below(depth > 0 ? 8 : 6)) {
    case 0:
      return [null, true, false][random.below(3)];
    case 1:
      return random.below(70_000) - 35_000;
    case 2:
      return (random.below(2 ** 30) - 2 ** 29) / 2 ** random.below(40);
    case 3:
    case 4:
      return randomText(random);
    case 5:
      return random.below(2 ** 53) + 1;
    case 6:
      return Array.from({ length: random.below(8) }, () => randomValue(random, depth - 1));
    default:
      return Object.fromEntries(
        Array.from({ length: random.below(8) }, () => [`${randomText(random)}.`, randomValue(random, depth - 1)]),
      );
  }
}

function randomText(random: ReturnType<typeof randomFrom>): string {
  const alphabet = ["abcdefgh ", "é\u07ff¿", "漢字\ud7ff\ue000\uffff", '\0\n"\\'][random.below(4)]!;
  return Array.from(
    { length: random.below(random.below(10) === 0 ? 200 : 12) },
    () => alphabet[random.below(alphabet.length)],
  ).join("");
}
