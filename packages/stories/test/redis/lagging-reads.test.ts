import { flush, mapTier, createTestCache, scriptedBackend, TestClock } from "@hotset/testing";
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

it("a touch of a value that was read from a lagging copy leaves its localTtl as it was", async () => {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, coherence: "none" });
  const lagging = Object.assign(backend.peer(), { readsLag: true });
  const open = (of: typeof backend) =>
    createTestCache({ clock, ttl: "1m", localTtl: "1m", local: mapTier(), backend: of });
  const [here, there] = [open(lagging), open(backend)];
  await there.set("k", "v", { localTtl: "10s" });
  expect(await here.touch("k")).toEqual({ status: "touched" });
  expect(here.peek("k")).toBe(undefined);
  const reader = open(backend);
  expect(await reader.get("k")).toBe("v");
  clock.advance(9_999);
  expect(reader.peek("k")).toBe("v");
  clock.advance(1);
  expect(reader.peek("k")).toBe(undefined);
});
