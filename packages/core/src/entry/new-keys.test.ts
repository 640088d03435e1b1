import { describe, expect, it } from "vitest";
import { InvalidArgumentError } from "../contracts/errors.ts";
import { NewKeys, newKeysBudget, type NewKeysOptions } from "./new-keys.ts";

const OWNER = {};

describe("NewKeys", () => {
  it("admits as many new keys as the burst, and then as many as come back in time", () => {
    const newKeys = new NewKeys();
    const budget = newKeysBudget({ perSecond: 2, burst: 3 });
    const admitted = (at: number, from: number, count: number): number =>
      Array.from({ length: count }, (_, i) => newKeys.admits(OWNER, budget, `k${from + i}`, at)).filter(Boolean).length;
    expect(admitted(0, 0, 10)).toBe(3);
    expect(admitted(1_000, 100, 10)).toBe(2);
    expect(admitted(1_250, 200, 10)).toBe(0);
    expect(admitted(1_500, 300, 10)).toBe(1);
    // No more than the burst, however long it was quiet.
    expect(admitted(1_000_000, 400, 10)).toBe(3);
  });

  it("admits the second miss within the window, up to its end, and not after it", () => {
    const budget = newKeysBudget({ perSecond: 0, window: "10s" });
    const second = (ms: number): boolean => {
      const newKeys = new NewKeys();
      expect(newKeys.admits(OWNER, budget, "k", 5_000)).toBe(false);
      return newKeys.admits(OWNER, budget, "k", 5_000 + ms);
    };
    expect([0, 10_000, 11_000, 3_000_000].map(second)).toEqual([true, true, false, false]);
  });

  it("counts from the last miss", () => {
    const newKeys = new NewKeys();
    const budget = newKeysBudget({ perSecond: 0, window: "10s" });
    const misses = [0, 8_000, 16_000, 40_000].map((at) => newKeys.admits(OWNER, budget, "k", at));
    expect(misses).toEqual([false, true, true, false]);
  });

  it("spends nothing for a second miss, and keeps budgets of namespaces apart", () => {
    const newKeys = new NewKeys();
    const budget = newKeysBudget({ perSecond: 0, burst: 1 });
    const [one, other] = [{}, {}];
    expect(newKeys.admits(one, budget, "a", 0)).toBe(true);
    expect(newKeys.admits(one, budget, "a", 0)).toBe(true);
    expect(newKeys.admits(one, budget, "b", 0)).toBe(false);
    expect(newKeys.admits(other, budget, "c", 0)).toBe(true);
  });

  it("takes few keys of a flood for keys that it has seen", () => {
    const newKeys = new NewKeys();
    const budget = newKeysBudget({ perSecond: 0 });
    let admitted = 0;
    for (let i = 0; i < 1_000_000; i += 1) if (newKeys.admits(OWNER, budget, `flood:${i}`, i / 10)) admitted += 1;
    // One of 16,384 by chance: 46 of those that find a mark, with a deviation of 7.
    expect(admitted).toBeLessThan(120);
  });

  it("remembers most keys through a flood of fewer keys than it has slots", () => {
    const newKeys = new NewKeys();
    const budget = newKeysBudget({ perSecond: 0 });
    const keys = Array.from({ length: 1_000 }, (_, i) => `page:${i}`);
    for (const key of keys) newKeys.admits(OWNER, budget, key, 0);
    for (let i = 0; i < 50_000; i += 1) newKeys.admits(OWNER, budget, `flood:${i}`, 1_000);
    const known = keys.filter((key) => newKeys.admits(OWNER, budget, key, 2_000)).length;
    // e^(-50,000 / 262,144) of them: 826.
    expect(known).toBeGreaterThan(760);
  });
});

describe("newKeysBudget", () => {
  it("has a burst of ten seconds and a window of five minutes", () => {
    expect(newKeysBudget({ perSecond: 2.5 })).toEqual({ perSecond: 2.5, burst: 25, windowMs: 300_000 });
    const all = { perSecond: 0, burst: 7, window: "1m", admit: "second-miss" } as const;
    expect(newKeysBudget(all)).toEqual({ perSecond: 0, burst: 7, windowMs: 60_000 });
  });

  const WRONG: readonly (readonly [given: unknown, message: string])[] = [
    [{}, "newKeys.perSecond must be a number of at least 0, got undefined"],
    [{ perSecond: -1 }, "newKeys.perSecond must be a number of at least 0, got -1"],
    [{ perSecond: Infinity }, "newKeys.perSecond must be a number of at least 0, got Infinity"],
    [{ perSecond: 1, burst: 0.5 }, "newKeys.burst must be a whole number of at least 0, got 0.5"],
    [{ perSecond: 1, window: 10 }, "newKeys.window must be from 1000 to 86400000 ms, got 10"],
    [{ perSecond: 1, admit: "never" }, 'newKeys.admit must be "second-miss", got "never"'],
    [{ perSeconds: 1 }, 'options: unknown option "newKeys.perSeconds"'],
    [null, "newKeys must be an object, got null"],
  ];
  it.each(WRONG)("refuses %j", (given, message) => {
    const call = (): unknown => newKeysBudget(given as NewKeysOptions);
    expect(call).toThrow(InvalidArgumentError);
    expect(call).toThrow(message);
  });
});
