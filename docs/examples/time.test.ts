// Tests of code with a cache move time by hand instead of waiting. Needs hotset and vitest: npx vitest run.

import { createCache, memory, type Cache } from "hotset";
import { createTestCache, gate, TestClock } from "hotset/testing";
import { describe, expect, it } from "vitest";

/** The code under test: it takes its cache, so that a test can give it one. */
const rates = (cache: Cache, fetchRate: (currency: string) => Promise<number>) => ({
  of: (currency: string): Promise<number> => cache.getOrSet(`rate:${currency}`, () => fetchRate(currency)),
});

describe("rates", () => {
  it("asks once a minute", async () => {
    const clock = new TestClock();
    await using cache = createCache({ name: "test", clock }).tier(memory()).defaults({ ttl: "1m" }).build();
    let calls = 0;
    const { of } = rates(cache, async () => (calls += 1));

    expect([await of("USD"), await of("USD")]).toEqual([1, 1]);
    clock.advance("59s");
    expect(await of("USD")).toBe(1);
    clock.advance("1s");
    expect(await of("USD")).toBe(2);
  });

  it("serves the last known rate for an hour while the bank is unreachable", async () => {
    const clock = new TestClock();
    await using cache = createTestCache({ clock, ttl: "1m", staleIfError: "1h" });
    let isOpen = true;
    const { of } = rates(cache, async () => {
      if (!isOpen) throw new Error("the bank is unreachable");
      return 1.1;
    });

    expect(await of("USD")).toBe(1.1);
    isOpen = false;
    clock.advance("30m");
    expect(await of("USD")).toBe(1.1);
    clock.advance("31m");
    await expect(of("USD")).rejects.toThrow("the bank is unreachable");
  });

  it("asks once for callers that come while the answer is under way", async () => {
    await using cache = createTestCache({ ttl: "1m" });
    const answer = gate<number>();
    const { of } = rates(cache, () => answer.pass());

    const callers = [of("USD"), of("USD")];
    await answer.arrived();
    answer.open(1.1);

    expect(await Promise.all(callers)).toEqual([1.1, 1.1]);
    expect(cache.stats().loads).toBe(1);
  });
});
