import { createTestCache, flush, scriptedBackend, TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import type { Cache } from "../cache/cache.ts";

const COPIES = 1_000;
const keys = Array.from({ length: COPIES }, (_, i) => `k${i}`);

function open(stack: "memory" | "memory over backend"): { readonly cache: Cache; readonly kept: () => number } {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported" });
  const cache = createTestCache({ clock, ttl: "1h", backend: stack === "memory" ? false : backend });
  return { cache, kept: () => keys.filter((key) => cache.peek(key) !== undefined).length };
}

const CALLS: readonly (readonly [string, (cache: Cache, tags: readonly string[]) => Promise<unknown>])[] = [
  ["invalidateTags", (cache, tags) => cache.invalidateTags(...tags)],
  ["markTagsStale", (cache, tags) => cache.markTagsStale(...tags)],
];

it.for(
  (["memory", "memory over backend"] as const).flatMap((stack) => CALLS.map(([name, call]) => ({ stack, name, call }))),
)("C616 calls on other tags, however many, cost no copy: $name over $stack", async ({ stack, call }) => {
  const { cache, kept } = open(stack);
  for (const key of keys) await cache.set(key, key, { tags: [key] });
  await flush();
  const others = (from: number): string[] => Array.from({ length: 100 }, (_, i) => `other ${from + i}`);
  for (let i = 0; i < 25_000; i += 100) {
    await call(cache, others(i));
    if (i === 15_000) await call(cache, ["k0", ...others(15_000), "k1"]);
  }
  expect(kept()).toBe(COPIES - 2);
  await call(cache, keys.slice(0, 10));
  expect(kept()).toBe(COPIES - 10);
  expect(await cache.get("k9")).toBe(undefined);
});
