import { createTestCache, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";

const keyOf = (id: number): string => `user:${id}`;

describe("items that a batch loader leaves out", () => {
  it("are absent and stored nowhere", async () => {
    const cache = createTestCache();
    let loads = 0;
    const read = (): Promise<Map<number, string>> =>
      cache.getOrSetMany([1], keyOf, (): readonly (readonly [number, string])[] => ((loads += 1), []));
    expect([await read(), await read()]).toEqual([new Map(), new Map()]);
    expect(loads).toBe(2);
    expect(await cache.inspect(keyOf(1))).toBe(undefined);
  });

  it("are remembered for negativeTtl where it gives null for them", async () => {
    const clock = new TestClock();
    const cache = createTestCache({ clock, ttl: "1m", negativeTtl: "10s" });
    const asked: (readonly number[])[] = [];
    const read = (): Promise<Map<number, string | null>> =>
      cache.getOrSetMany([1, 2], keyOf, (missing) => {
        asked.push(missing);
        return missing.map((id) => [id, id === 1 ? "Ada" : null] as const);
      });
    const expected = new Map([
      [1, "Ada"],
      [2, null],
    ]);
    expect([await read(), await read()]).toEqual([expected, expected]);
    clock.advance("10s");
    expect(await read()).toEqual(expected);
    expect(asked).toEqual([[1, 2], [2]]);
  });
});

const PAIRS = "load must return pairs of an item and its value, as a Map or a list such as [[item, value]]";

describe("a batch loader whose result is not a list of pairs", () => {
  it.each([
    ["undefined", undefined, "undefined"],
    ["null", null, "null"],
    ["an object", { "1": "Ada" }, "a value of type object"],
    ["text", "Ada", "a value of type string"],
    ["values alone", [{ name: "Ada" }], "a list with a value of type object"],
    ["texts alone", ["Ada"], "a list with a value of type string"],
    ["rows", [[1, "Ada", 36]], "a list with an array of 3"],
  ])("has failed, and no item counts as left out: %s", async (_, result, shown) => {
    const cache = createTestCache({ ttl: "1m" });
    const load = (): never => result as never;
    await expect(cache.getOrSetMany([1, 2], keyOf, load)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: `${PAIRS}, got ${shown}`,
    });
    expect(await cache.get(keyOf(1))).toBe(undefined);
  });
});

describe("a batch loader that gives an item that it was not asked for", () => {
  it.each<[string, unknown[], unknown, string]>([
    ["text for a number", [1, 2], "2", "a value of type string, and it was asked for a value of type number"],
    ["a bigint for text", ["1", "2"], 2n, "a value of type bigint, and it was asked for a value of type string"],
    [
      "a copy of an object",
      [{ id: 1 }, { id: 2 }],
      { id: 2 },
      "a value of type object, and it was asked for a value of type object",
    ],
  ])("has failed for all, and nothing is stored: %s", async (_, items, given, shown) => {
    const key = (item: unknown): string => `k${items.indexOf(item)}`;
    for (const backend of [false, true]) {
      const cache = createTestCache({ ttl: "1m", backend });
      const load = ([first]: readonly unknown[]) => [[first, "Ada"] as const, [given, "Bob"] as const];
      await expect(cache.getOrSetMany(items, key, load)).rejects.toMatchObject({
        code: "INVALID_VALUE",
        message: expect.stringContaining(`was not asked for: ${shown}; return the very items`) as string,
      });
      expect([await cache.get("k0"), await cache.get("k1")]).toEqual([undefined, undefined]);
    }
  });
});
