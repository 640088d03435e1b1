import { createTestCache, flush, gate, scriptedBackend, TestClock } from "@hotset/testing";
import { expect, it } from "vitest";

it.each(["delete", "tag"] as const)("a load that a %s fences is stored nowhere, and counted", async (by) => {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock });
  const cache = createTestCache({ clock, backend });
  const events: string[] = [];
  cache.on("fenced", (event) => events.push(event.by));
  const source = gate();
  const call = cache.getOrSet("k", () => source.pass().then(() => 1), { tags: ["t"] });
  await source.arrived();
  await (by === "delete" ? cache.delete("k") : cache.invalidateTags("t"));
  source.open();
  expect(await call).toBe(1);
  await flush();
  expect([cache.stats().fenced, events, await cache.get("k")]).toEqual([
    1,
    [by === "delete" ? "delete" : "tags"],
    undefined,
  ]);
});
