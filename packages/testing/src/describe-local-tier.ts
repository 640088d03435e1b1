import type { LocalEntry, LocalTier } from "@hotset/core";
import { describe, expect, it } from "vitest";
import { TestClock } from "./index.ts";
import { PECULIAR_KEYS } from "./peculiar-keys.ts";
import { randomFrom } from "./random.ts";

/**
 * The contract of {@link LocalTier}, as a suite for Vitest. Throws nothing: a broken promise of the contract is a
 * failed test.
 *
 * @param options.open makes a new, empty tier, not attached yet, that holds at most `maxEntries` small values. The
 * suite
 *   attaches it.
 */
export function describeLocalTier(
  name: string,
  options: { open(limits: { readonly maxEntries: number }): LocalTier },
): void {
  /** An attached tier, and its reported evictions. */
  const open = (maxEntries: number) => {
    const clock = new TestClock();
    const evicted: { readonly key: string; readonly reason: "entries" | "bytes" }[] = [];
    const tier = options.open({ maxEntries });
    tier.attach({ clock, evicted: (key, reason) => void evicted.push({ key, reason }) });
    return { tier, clock, evicted };
  };

  describe(`${name} keeps the contract of LocalTier`, () => {
    it("has a label, and is empty at first", () => {
      const { tier } = open(10);
      expect(tier.label).toMatch(/./u);
      expect(["shared", "frozen", "cloned", undefined]).toContain(tier.values);
      expect(tier.entryCount).toBe(0);
      expect(tier.usedBytes ?? 0).toBe(0);
      expect(tier.get("shop::1")).toBe(undefined);
    });

    it("keeps the same object", () => {
      const { tier } = open(10);
      const entry = lasting({ name: "Ada" });
      tier.set("shop::1", entry);
      expect(tier.get("shop::1")).toBe(entry);
      expect(tier.get("shop::1")).toBe(entry);
      expect(tier.entryCount).toBe(1);
    });

    it.each([
      ["null", null],
      ["zero", 0],
      ["an empty string", ""],
      ["false", false],
      ["NaN", NaN],
    ])("keeps %s as a value", (_, value) => {
      const { tier } = open(10);
      tier.set("shop::1", lasting(value));
      expect(tier.get("shop::1")?.value).toBe(value);
    });

    it("replaces an entry, and does not report an eviction", () => {
      const { tier, evicted } = open(10);
      tier.set("shop::1", lasting("old"));
      const entry = lasting("new");
      tier.set("shop::1", entry);
      expect(tier.get("shop::1")).toBe(entry);
      expect(tier.entryCount).toBe(1);
      expect(evicted).toEqual([]);
    });

    it("deletes an entry once, and does not report an eviction", () => {
      const { tier, evicted } = open(10);
      tier.set("shop::1", lasting("a"));
      tier.set("shop::2", lasting("b"));
      expect(tier.delete("shop::1")).toBe(true);
      expect(tier.delete("shop::1")).toBe(false);
      expect(tier.delete("shop::3")).toBe(false);
      expect(tier.get("shop::1")).toBe(undefined);
      expect(tier.get("shop::2")?.value).toBe("b");
      expect(tier.entryCount).toBe(1);
      expect(evicted).toEqual([]);
    });

    it("clears everything, does not report evictions, and keeps working", () => {
      const { tier, evicted } = open(10);
      for (let i = 0; i < 10; i += 1) tier.set(`shop::${i}`, lasting(i));
      tier.clear();
      expect(tier.entryCount).toBe(0);
      expect(tier.usedBytes ?? 0).toBe(0);
      for (let i = 0; i < 10; i += 1) expect(tier.get(`shop::${i}`)).toBe(undefined);
      tier.set("shop::1", lasting("again"));
      expect(tier.get("shop::1")?.value).toBe("again");
      expect(evicted).toEqual([]);
    });

    it("never holds more entries than its limit, and reports each eviction once", () => {
      const { tier, evicted } = open(3);
      const mostHeld: number[] = [];
      for (let i = 0; i < 50; i += 1) {
        tier.set(`shop::${i}`, lasting(i));
        mostHeld.push(tier.entryCount);
      }
      expect(Math.max(...mostHeld)).toBeLessThanOrEqual(3);
      const here = Array.from({ length: 50 }, (_, i) => `shop::${i}`).filter((key) => tier.get(key) !== undefined);
      expect(here.length).toBe(tier.entryCount);
      const gone = evicted.map(({ key }) => key);
      expect(new Set(gone).size).toBe(gone.length);
      expect(gone.filter((key) => here.includes(key))).toEqual([]);
      for (const { reason } of evicted) expect(["entries", "bytes"]).toContain(reason);
    });

    it("holds one entry if its limit is one", () => {
      const { tier } = open(1);
      for (const value of ["a", "b", "c"]) tier.set(`shop::${value}`, lasting(value));
      expect(tier.entryCount).toBeLessThanOrEqual(1);
      tier.clear();
      tier.set("shop::d", lasting("d"));
      expect(tier.get("shop::d")?.value).toBe("d");
    });

    it("may be changed while it reports an eviction", () => {
      const clock = new TestClock();
      const tier = options.open({ maxEntries: 2 });
      let calls = 0;
      tier.attach({
        clock,
        evicted(key) {
          calls += 1;
          if (calls > 1) return;
          tier.set(key, lasting("back"));
          tier.delete(key);
        },
      });
      for (let i = 0; i < 20; i += 1) tier.set(`shop::${i}`, lasting(i));
      expect(tier.entryCount).toBeLessThanOrEqual(2);
      const here = Array.from({ length: 20 }, (_, i) => tier.get(`shop::${i}`)?.value).filter(
        (value) => value !== undefined,
      );
      expect(here.length).toBe(tier.entryCount);
    });

    it("returns only the entry stored last under the same key", () => {
      const { tier, evicted } = open(5);
      const model = new Map<string, LocalEntry>();
      const random = randomFrom(42);
      for (let step = 0; step < 2_000; step += 1) {
        const key = `shop::${random.below(8)}`;
        const action = random.below(10);
        if (action === 0) {
          tier.clear();
          model.clear();
        } else if (action <= 2) {
          tier.delete(key);
          model.delete(key);
        } else if (action <= 6) {
          const entry = lasting(step);
          tier.set(key, entry);
          model.set(key, entry);
        } else {
          const entry = tier.get(key);
          if (entry !== undefined) expect(entry).toBe(model.get(key));
        }
        expect(tier.entryCount).toBeLessThanOrEqual(5);
      }
      expect(evicted.length).toBeGreaterThan(0);
    });

    it.each(PECULIAR_KEYS)("keeps an entry under a key %s", (_, key) => {
      const { tier } = open(10);
      expect(tier.get(key)).toBe(undefined);
      expect(tier.delete(key)).toBe(false);
      tier.set(key, lasting("own"));
      tier.set(`${key} `, lasting("other"));
      expect(tier.get(key)?.value).toBe("own");
      expect(tier.delete(key)).toBe(true);
      expect(tier.get(key)).toBe(undefined);
      expect(tier.get(`${key} `)?.value).toBe("other");
    });

    it("distinguishes all of them", () => {
      const { tier } = open(100);
      for (const [what, key] of PECULIAR_KEYS) tier.set(key, lasting(what));
      expect(tier.entryCount).toBe(PECULIAR_KEYS.length);
      for (const [what, key] of PECULIAR_KEYS) expect(tier.get(key)?.value).toBe(what);
    });

    it("returns a living entry after any time, and does not report the end of a life as an eviction", () => {
      const { tier, clock, evicted } = open(10);
      tier.set("shop::forever", lasting("forever"));
      tier.set("shop::day", { value: "day", deadAt: clock.now() + 86_400_000 });
      tier.set("shop::second", { value: "second", deadAt: clock.now() + 1_000 });
      clock.advance(86_399_999);
      expect(tier.get("shop::day")?.value).toBe("day");
      clock.advance("1000d");
      expect(tier.get("shop::forever")?.value).toBe("forever");
      expect(evicted).toEqual([]);
    });
  });
}

const lasting = (value: unknown): LocalEntry => ({ value, deadAt: Infinity });
