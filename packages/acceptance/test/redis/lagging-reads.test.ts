import { flush, mapTier, createTestCache, scriptedBackend, TestClock } from "@hotset/core/testing";
import { expect, it } from "vitest";
import { never } from "../support/stacks.ts";

it("A44: a value read from lagging copies of a backend is not kept in a local tier; a value written here is", async () => {
  const clock = new TestClock();
  const backend = Object.assign(scriptedBackend({ clock, coherence: "none" }), { readsLag: true });
  const cache = createTestCache({ clock, ttl: "1m", localTtl: "1m", local: mapTier(), backend });
  await createTestCache({ clock, ttl: "1m", local: false, backend }).set("k", "old");
  expect(await cache.get("k")).toBe("old");
  expect(await cache.getOrSet("k", never)).toBe("old");
  expect((await cache.getMany(["k"])).get("k")).toBe("old");
  expect(cache.peek("k")).toBe(undefined);
  await cache.set("k", "new");
  expect(cache.peek("k")).toBe("new");
  await cache.getOrSet("j", () => "loaded");
  await flush();
  expect(cache.peek("j")).toBe("loaded");
});
