import { describe, expect, it } from "vitest";
import { flush } from "./outcome.ts";
import { createTestCache } from "./test-cache.ts";
import { TestClock } from "./test-clock.ts";
import { verifyHits } from "./verify-hits.ts";

function shop(invalidates: boolean) {
  const cache = createTestCache({ clock: new TestClock(), ttl: "1h", backend: true, localTtl: "1h" });
  const cents = new Map([
    [1, 100],
    [2, 100],
  ]);
  return {
    cache,
    product: (id: number) =>
      cache.getOrSet(`product:${id}`, async () => (await flush(1), { id, cents: cents.get(id) })),
    async change(id: number, to: number): Promise<void> {
      cents.set(id, to);
      await flush();
      if (invalidates) await cache.delete(`product:${id}`);
    },
  };
}

describe("C742: verifyHits", () => {
  it("finds an invalidation that a program forgot", async () => {
    const { cache, product, change } = shop(false);
    await using hits = verifyHits(cache);
    for (const id of [1, 2]) await product(id);
    await change(1, 200);
    for (const id of [1, 2]) await product(id);
    await expect(hits.done()).rejects.toThrow(/^1 of 2 hits differs from its source: "product:1" in cents$/);
    await product(2);
    expect(await hits.done()).toBe(1);
    await change(2, 300);
    for (const id of [1, 2]) await product(id);
    await expect(hits.done()).rejects.toThrow("2 of 2 hits differ from their source");
  });

  it("finds nothing where the source changes first, and the invalidation comes after that", async () => {
    const { cache, product, change } = shop(true);
    await using hits = verifyHits(cache);
    for (let n = 0; n < 5; n += 1) {
      await product(1);
      // It is compared while the source changes.
      void product(1);
      await change(1, n);
    }
    await product(1);
    await product(1);
    expect(await hits.done()).toBe(1);
  });

  it("ends when it is disposed, compares by the options that it is given, and refuses what is no cache", async () => {
    const { cache, product, change } = shop(false);
    {
      await using hits = verifyHits(cache, { ignore: ["cents"] });
      await product(1);
      await change(1, 200);
      await product(1);
      expect(await hits.done()).toBe(1);
    }
    await product(1);
    await flush();
    expect(cache.stats()).toMatchObject({ hits: 2, verified: 1, mismatches: 0 });
    expect(() => verifyHits({} as never)).toThrow("verifyHits: cache must be what createCache(...).build() gives");
  });
});
