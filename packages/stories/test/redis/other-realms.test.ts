/** Values of another realm, such as those of a plugin in a sandbox or of a test runner: known by brands. */
import { createContext, runInContext } from "node:vm";
import { createCache, json, keyOf, type Format } from "@hotset/core";
import { v8 } from "@hotset/formats";
import { msgpack } from "@hotset/formats/msgpack";
import { memory } from "@hotset/memory";
import { expect, it } from "vitest";

const realm = createContext({});
const foreign = (code: string): never => runInContext(`(${code})`, realm) as never;
const roundTrip = (format: Format, value: unknown): unknown => format.decode(format.encode(value));

const KEPT: readonly (readonly [code: string, own: unknown])[] = [
  ["new Date(0)", new Date(0)],
  ["new Date(NaN)", new Date(Number.NaN)],
  ["new Uint8Array([1, 2])", Uint8Array.of(1, 2)],
  ["new Uint8Array([0, 1, 2, 3]).subarray(1, 3)", Uint8Array.of(1, 2)],
  ["new Float64Array([1.5])", Float64Array.of(1.5)],
  ["new BigInt64Array([5n])", BigInt64Array.of(5n)],
  ["new DataView(new ArrayBuffer(2))", new DataView(new ArrayBuffer(2))],
  ["new Uint8Array([1]).buffer", Uint8Array.of(1).buffer],
  ["new Map([['a', new Date(0)]])", new Map([["a", new Date(0)]])],
  ["new Set([1])", new Set([1])],
  ["{ a: [{ at: new Date(0), of: new Set([1]) }] }", { a: [{ at: new Date(0), of: new Set([1]) }] }],
];

it.each(KEPT)("msgpack and v8 keep %s of another realm as its type", (code, own) => {
  for (const format of [msgpack(), v8()])
    expect(roundTrip(format, foreign(code))).toStrictEqual(roundTrip(format, own));
  expect(roundTrip(msgpack(), foreign(code))).toStrictEqual(own);
});

it("json writes a date of another realm as text, and refuses bytes and collections as the whole value", () => {
  expect(roundTrip(json(), foreign("{ at: new Date(0) }"))).toEqual({ at: "1970-01-01T00:00:00.000Z" });
  for (const code of ["new Uint8Array(1)", "new Map()", "new Set()", "new Error('a')", "new Date(NaN)"])
    expect(() => json().encode(foreign(code))).toThrow(/^json: /);
});

it("msgpack refuses an error, a pattern and a promise of another realm", () => {
  for (const code of ["new Error('a')", "/a/", "Promise.resolve(1)"])
    expect(() => msgpack().encode(foreign(code))).toThrow("cannot be written");
});

it("keyOf writes a date of another realm as one of its own, and so does a wrapped function", async () => {
  expect(keyOf("at", foreign("new Date(0)"))).toBe(keyOf("at", new Date(0)));
  expect(keyOf("at", foreign("{ a: [new Date(0)] }"))).toBe(keyOf("at", { a: [new Date(0)] }));
  expect(() => keyOf("at", foreign("new Date(NaN)"))).toThrow("an invalid date");
  await using cache = createCache({ name: "shop" }).tier(memory()).build();
  const year = cache.wrap((at: Date) => at.getUTCFullYear(), { name: "year" });
  expect(await year(foreign("new Date(0)"))).toBe(1970);
});
