import { createTestCache, scriptedBackend, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";

const keyOf = (id: number): string => `user:${id}`;

describe("C191 items that a batch loader leaves out", () => {
  it.for([true, false])("are null, and not asked for again within negativeTtl; local tier: %s", async (local) => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock });
    const cache = createTestCache({ clock, backend, local, ttl: "1m", negativeTtl: "10s" });
    const asked: (readonly number[])[] = [];
    const read = (): Promise<Map<number, string | null>> =>
      cache.getOrSetMany(
        [1, 2],
        keyOf,
        (missing) => {
          asked.push(missing);
          return missing.includes(1) ? [[1, "Ada"] as const] : [];
        },
        { absentAsNull: true },
      );
    const expected = new Map([
      [1, "Ada"],
      [2, null],
    ]);
    expect(await read()).toEqual(expected);
    expect(await read()).toEqual(expected);
    expect(asked).toEqual([[1, 2]]);
    expect(await cache.get(keyOf(2))).toBe(null);
    clock.advance("10s");
    expect(await read()).toEqual(expected);
    expect(asked).toEqual([[1, 2], [2]]);
  });

  it("replace a value that was there, also in the background", async () => {
    const clock = new TestClock();
    const cache = createTestCache({ clock, ttl: 100, staleWhileRevalidate: 1_000 });
    await cache.set(keyOf(1), "Ada");
    clock.advance(100);
    const read = (): Promise<Map<number, string | null>> =>
      cache.getOrSetMany([1], keyOf, (): readonly (readonly [number, string])[] => [], { absentAsNull: true });
    expect(await read()).toEqual(new Map([[1, "Ada"]]));
    await cache.drain();
    expect(await read()).toEqual(new Map([[1, null]]));
  });

  it("are absent and stored nowhere without the option, and with false", async () => {
    const cache = createTestCache();
    let loads = 0;
    for (const options of [undefined, { absentAsNull: false }] as const) {
      const read = cache.getOrSetMany(
        [1],
        keyOf,
        (): readonly (readonly [number, string])[] => ((loads += 1), []),
        options,
      );
      expect(await read).toEqual(new Map());
    }
    expect(loads).toBe(2);
    expect(await cache.inspect(keyOf(1))).toBe(undefined);
  });

  it("a value of the option that is neither true nor false is refused, and nothing is loaded", async () => {
    const cache = createTestCache();
    const read = cache.getOrSetMany([1], keyOf, () => [[1, 1]] as const, { absentAsNull: "yes" as never });
    await expect(read).rejects.toThrow('absentAsNull must be true or false, got "yes"');
    expect(cache.stats().loads).toBe(0);
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
  ])("C349: has failed, and no item counts as left out: %s", async (_, result, shown) => {
    const cache = createTestCache({ ttl: "1m" });
    const load = (): never => result as never;
    await expect(cache.getOrSetMany([1, 2], keyOf, load, { absentAsNull: true })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: `${PAIRS}, got ${shown}`,
    });
    expect(await cache.get(keyOf(1))).toBe(undefined);
  });
});

describe("C349: a batch loader that gives an item that it was not asked for", () => {
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
      await expect(cache.getOrSetMany(items, key, load, { absentAsNull: true })).rejects.toMatchObject({
        code: "INVALID_VALUE",
        message: expect.stringContaining(`was not asked for: ${shown}; return the very items`) as string,
      });
      expect([await cache.get("k0"), await cache.get("k1")]).toEqual([undefined, undefined]);
    }
  });
});
