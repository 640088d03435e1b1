import { describe, expect, it } from "vitest";
import { estimateBytes } from "./value-size.ts";

const cycle: unknown[] = [1];
cycle.push(cycle, cycle);

it.each<[what: string, value: unknown, bytes: number]>([
  ["null", null, 8],
  ["undefined", undefined, 8],
  ["a number", 1.5, 8],
  ["a boolean", true, 8],
  ["an empty string", "", 8],
  ["a string", "four", 16],
  ["a bigint", 2n ** 64n, 17],
  ["a function", () => 1, 64],
  ["an empty object", {}, 40],
  ["an object", { id: 1, name: "Ada" }, 40 + (4 + 8) + (8 + 14)],
  ["an array", [1, 2, 3], 40 + 24],
  ["nested objects", [{}, {}], 40 + 80],
  ["a map", new Map([["a", 1]]), 40 + (40 + 10 + 8)],
  ["a set", new Set([1, 2]), 40 + 16],
  ["a date", new Date(), 40],
  ["bytes", Buffer.alloc(1_000), 40 + 1_000],
  ["a view into a buffer", new Uint8Array(1_000).subarray(10, 20), 40 + 10],
  ["a buffer", new ArrayBuffer(1_000), 40 + 1_000],
  [
    "an object with several references, once",
    Array(10).fill("x".repeat(1_000).split(",")),
    40 + 10 * 8 + 32 + 8 + 2_000,
  ],
  ["a cycle", cycle, 40 + 8 + 8 + 8],
])("estimates %s", (_, value, bytes) => {
  expect(estimateBytes(value)).toBe(bytes);
});

it("measures 256 elements of a large array, spread over it, and scales up", () => {
  let looks = 0;
  const array = new Proxy(
    Array.from({ length: 100_000 }, (_, i) => (i < 50_000 ? "" : "x".repeat(100))),
    {
      get(target, name, receiver) {
        if (name !== "length") looks += 1;
        return Reflect.get(target, name, receiver) as unknown;
      },
    },
  );
  expect(estimateBytes(array)).toBe(40 + 50_000 * 8 + 50_000 * 208);
  expect(looks).toBe(256);
});

it("scales up maps, sets and objects from their first elements", () => {
  const numbers = Array.from({ length: 10_000 }, (_, i) => i);
  expect(estimateBytes(new Set(numbers))).toBe(40 + 80_000);
  expect(estimateBytes(new Map(numbers.map((i) => [i, i])))).toBe(40 + 10_000 * 56);
  expect(estimateBytes(Object.fromEntries(numbers.map((i) => [`k${i + 10_000}`, i])))).toBe(40 + 10_000 * 20);
});

it("measures a bounded number of objects, in any nesting", () => {
  let looks = 0;
  const endless = (): object =>
    new Proxy(
      {},
      {
        ownKeys: () => ((looks += 1), ["a", "b", "c"]),
        getOwnPropertyDescriptor: () => ({ value: endless(), enumerable: true, configurable: true }),
      },
    );
  expect(estimateBytes(endless())).toBeGreaterThan(2_000 * 32);
  expect(looks).toBeLessThanOrEqual(2_000);
});

const grid = (rows: number, columns: number): readonly (readonly object[])[] =>
  Array.from({ length: rows }, () => Array.from({ length: columns }, () => ({ id: 1.5 })));
/** A record with one number: 32 and its slot, its name, the number. */
const RECORD = 40 + 4 + 8;

describe("a value of more than 2,000 objects", () => {
  it.each([
    [300, 300],
    [256, 20],
    [20, 5_000],
  ])("counts as much as all of its objects, where they are alike: %i lists of %i", (rows, columns) => {
    expect(estimateBytes(grid(rows, columns))).toBe(40 + rows * (40 + columns * RECORD));
  });

  it("counts so in maps, sets and objects as well", () => {
    const rows = grid(300, 300);
    const row = 40 + 300 * RECORD;
    expect(estimateBytes(new Set(rows))).toBe(40 + 300 * row);
    expect(estimateBytes(new Map(rows.map((each, i) => [i, each])))).toBe(40 + 300 * (40 + 8 + row));
    expect(estimateBytes(Object.fromEntries(rows.map((each, i) => [`r${i + 100}`, each])))).toBe(40 + 300 * (8 + row));
  });

  it("counts with its later parts, however much lies in the first ones", () => {
    expect(estimateBytes({ a: grid(100, 100), b: grid(1, 100_000) })).toBe(
      40 + 2 + 40 + 100 * (40 + 100 * RECORD) + 2 + 40 + 40 + 100_000 * RECORD,
    );
  });
});

it("survives a list of a million links", () => {
  let list: { next: unknown } | undefined;
  for (let i = 0; i < 1_000_000; i += 1) list = { next: list };
  expect(estimateBytes(list)).toBeGreaterThan(100 * 48);
});

it("calls no getter", () => {
  const value = {
    get lazy(): string {
      throw new Error("was run");
    },
  };
  expect(estimateBytes(value)).toBe(40 + 8 + 8);
});
