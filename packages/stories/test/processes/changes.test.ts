/**
 * Changes by another process over a backend that keeps tag versions as entries, and during a refresh.
 */
import { createTestCache, flush, gate, outcome } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { gatedLoads, inStep } from "../support/processes.ts";

const K = "test::k";

describe("C67 where versions of tags are kept as entries", () => {
  const AS_ENTRIES = { backend: { tagVersions: false } } as const;

  it.each(["invalidateTags", "markTagsStale"] as const)("%s elsewhere is received", async (call) => {
    const { p1, p2 } = await inStep(AS_ENTRIES);
    await p1.cache.set("k", 1, { tags: ["t"] });
    expect(await p1.cache.get("k")).toBe(1);
    expect(p1.cache.peek("k")).toBe(1);
    await p2.cache[call]("t");
    expect(p1.cache.peek("k")).toBe(undefined);
    expect(await p1.cache.get("k")).toBe(undefined);
  });

  it("an invalidation elsewhere leaves copies without its tags alone", async () => {
    const { p1, p2 } = await inStep(AS_ENTRIES);
    await p1.cache.set("k", 1, { tags: ["t"] });
    expect(await p1.cache.get("k")).toBe(1);
    await p2.cache.invalidateTags("other");
    expect(p1.cache.peek("k")).toBe(1);
    await p2.cache.invalidateTags("t}::", "t");
    expect(p1.cache.peek("k")).toBe(undefined);
  });

  it("no load takes versions from before an invalidation that was received before it began", async () => {
    const { p1, p2 } = await inStep(AS_ENTRIES);
    await p1.cache.set("copy", "old", { tags: ["t"] });
    expect(await p1.cache.get("copy")).toBe("old");
    const reading = gate();
    for (const key of ["{~test}::t", "{~~test}::t"]) p1.backend.script("read", { key, after: reading });
    const first = p1.cache.getOrSet("before", () => "old", { tags: ["t"] });
    await reading.arrived(2);
    await p2.cache.invalidateTags("t");
    const second = p1.cache.getOrSet("after", () => "new", { tags: ["t"] });
    await flush();
    const again = gate();
    for (const key of ["{~test}::t", "{~~test}::t"]) p1.backend.script("read", { key, before: again });
    reading.open();
    await flush();
    expect(p1.cache.peek("copy")).toBe(undefined);
    again.open();
    expect([await first, await second]).toEqual(["old", "new"]);
    expect([await p2.cache.get("before"), await p2.cache.get("after"), await p1.cache.get("copy")]).toEqual([
      undefined,
      "new",
      undefined,
    ]);
  });
});

it.each(["refreshAhead", "staleWhileRevalidate"] as const)(
  "C67 a refresh after a stale answer: does not answer a call after an invalidation elsewhere with the invalidated value (%s)",
  async (window) => {
    const { p1, p2, clock } = await inStep({ ttl: 1_000, [window]: window === "refreshAhead" ? 0.5 : "1h" });
    await p1.cache.set("k", "old", { tags: ["t"] });
    await flush();
    clock.advance(window === "refreshAhead" ? 600 : 1_000);
    await flush();
    const reading = gate();
    p1.backend.script("read", { key: K, after: reading });
    const loads = gatedLoads<string>();
    expect(await p1.cache.getOrSet("k", loads.load, { tags: ["t"] })).toBe("old");
    await reading.arrived();
    const asking = gate();
    p1.backend.script("tags.pin", { before: asking });
    reading.open();
    await asking.arrived();
    await p2.cache.invalidateTags("t");
    asking.open();
    await loads.arrived(1);
    await flush();
    const second = p1.cache.getOrSet("k", loads.load, { tags: ["t"] });
    expect(await outcome(second)).toEqual({ status: "pending" });
    for (const run of loads.runs) run.open("new");
    expect(await second).toBe("new");
  },
);

it("C90 a cache without a backend: its changes reach no other of its name", async () => {
  const [here, there] = [createTestCache(), createTestCache()];
  for (const cache of [here, there]) await cache.set("k", "v", { tags: ["t"] });
  await here.invalidateTags("t");
  await here.delete("j");
  await here.clear();
  await flush();
  expect([here.peek("k"), there.peek("k"), here.name === there.name]).toEqual([undefined, "v", true]);
  expect(await there.getOrSet("k", () => "loaded", { current: true })).toBe("v");
});
