import { v8 } from "@hotset/formats";
import { createTestCache, scriptedBackend, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { EncodeError } from "../contracts/errors.ts";
import { json, type Format } from "../index.ts";
import { pathText, withoutValues } from "./place.ts";

class Money {}
const items = (last: unknown): unknown => ({ items: [...Array.from({ length: 37 }, (_, id) => ({ id })), last] });
const cycle: { next: unknown[] } = { next: [] };
cycle.next.push({ self: cycle });

function nested(levels: number): object {
  let deep: object = () => 1;
  for (let i = 0; i < levels; i += 1) deep = { next: deep };
  return deep;
}

/** Refuses functions and class instances, anywhere. */
const strict: Format = {
  ...json(),
  id: "strict",
  encode: (value) =>
    Buffer.from(
      JSON.stringify(value, (_, part: unknown) => {
        if (typeof part === "function" || part instanceof Money) throw new Error("hunter2");
        return part;
      }),
    ),
};

describe("an error of encoding", () => {
  it.each<[what: string, format: Format, value: unknown, place: string]>([
    ["a function in an array, v8", v8(), items({ onClick: () => 1 }), "items[37].onClick is a function"],
    ["a symbol, v8", v8(), { a: { b: Symbol("hunter2") } }, "a.b is a symbol"],
    [
      "a promise in a Map, v8",
      v8(),
      new Map([["hunter2", { p: Promise.resolve() }]]),
      "[value 0].p is an instance of Promise",
    ],
    ["a member of a Set, v8", v8(), { set: new Set([1, () => 1]) }, "set[member 1] is a function"],
    ["a bigint, json", json(), items({ price: 1n }), "items[37].price is a bigint"],
    ["a bigint beside a function, json", json(), { onClick: () => 1, price: 1n }, "price is a bigint"],
    ["a name with spaces, json", json(), { "odd name": [[1n]] }, '["odd name"][0][0] is a bigint'],
    [
      "an instance, of another format",
      strict,
      { list: [{ price: new Money() }] },
      "list[0].price is an instance of Money",
    ],
    ["a cycle, json", json(), { list: [cycle] }, "list[0].next[0].self is a value that contains it"],
  ])("names the place: %s", async (_, format, value, place) => {
    const clock = new TestClock();
    const cache = createTestCache({ clock, backend: scriptedBackend({ clock, format }) });
    const error: unknown = await cache.set("k", value as object).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(EncodeError);
    expect((error as Error).message).toMatch(new RegExp(`: ${place.replaceAll(/[[\]]/g, "\\$&")}$`));
    expect((error as Error).message).not.toContain("hunter2");
  });

  it("of a whole value, and of one that no part is to blame for, names none", async () => {
    const clock = new TestClock();
    const cache = createTestCache({ clock, backend: scriptedBackend({ clock, format: json() }) });
    for (const value of [() => 1, JSON.parse('{"__proto__":1}') as object])
      await expect(cache.set("k", value)).rejects.toMatchObject({
        message: expect.not.stringMatching(/ is an? /) as string,
      });
  });

  it("is made in bounded time for a value that is nested deep or wide", async () => {
    const clock = new TestClock();
    const cache = createTestCache({ clock, backend: scriptedBackend({ clock, format: v8() }) });
    const wide = Array.from({ length: 200_000 }, (_, i) => i);
    await expect(cache.set("k", { deep: nested(900), wide })).rejects.toMatchObject({
      message: expect.stringContaining("deep.next.next") as string,
    });
  });

  it("names none in a value that is nested deeper than any format reads: it is encoded once", async () => {
    let encoded = 0;
    const format: Format = { ...json(), encode: (value) => ((encoded += 1), json().encode(value, 1e9)) };
    const clock = new TestClock();
    const cache = createTestCache({ clock, backend: scriptedBackend({ clock, format }) });
    for (const value of [nested(1_001), new Map([["k", [nested(100_000)]]]), [cycle, nested(2_000)]])
      await expect(cache.set("k", value)).rejects.toMatchObject({
        message: expect.not.stringContaining("next") as string,
      });
    expect(encoded).toBe(3);
  });
});

it.each<[message: string, value: unknown, shown: string]>([
  ["expected string, received 7", { price: 7 }, "expected string, received …"],
  ['"ada@example.org" must be a date', { user: { mail: "ada@example.org" } }, '"…" must be a date'],
  ["too small: 42 of 420", [42], "too small: … of 420"],
  ["must have 3 parts", { a: true, b: null, c: undefined, d: "" }, "must have 3 parts"],
  ["bad: a.b", { x: "a.b" }, "bad: …"],
])("the message of a schema is shown without what it quotes of the value: %s", (message, value, shown) => {
  expect(withoutValues(message, value)).toBe(shown);
});

it("writes paths as code does, and cuts long names", () => {
  expect(pathText(["a", 0, "b c", "0", Symbol("s")])).toBe('a[0]["b c"][0]["Symbol(s)"]');
  expect(pathText(["x".repeat(50)])).toBe(`["${"x".repeat(40)}…"]`);
});
