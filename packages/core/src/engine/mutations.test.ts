import { createTestCache, gate, mapTier, outcome, scriptedBackend, TestClock } from "@hotset/testing";
import { expect, it } from "vitest";

it("C60 C72 a set under tag versions that have changed unnoticed is written again, under those of now", async () => {
  const clock = new TestClock();
  // Nothing reports changes: what was seen last may be outdated.
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true });
  const here = createTestCache({ clock, backend });
  const there = createTestCache({ clock, backend: backend.peer() });
  await here.set("k", "first", { tags: ["t"] });
  await there.invalidateTags("t");
  backend.forgetCalls();
  expect(await here.set("k", "second", { tags: ["t"] })).toEqual({ status: "stored" });
  expect([backend.count("write"), backend.count("tags.pin")]).toEqual([2, 1]);
  expect(await there.get("k")).toBe("second");
  backend.forgetCalls();
  expect(await here.set("k", "third", { tags: ["t"] })).toEqual({ status: "stored" });
  expect([backend.count("write"), backend.count("tags.pin")]).toEqual([1, 0]);
  await Promise.all([here.close(), there.close()]);
});

it("C64 where the local tier throws after the last of several sets was stored, no older one is sent after it", async () => {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true });
  const tier = mapTier();
  const remove = tier.delete.bind(tier);
  const cache = createTestCache({ clock, backend, local: tier });
  const [writing, answering] = [gate(), gate()];
  backend.script("write", { before: writing });
  backend.script("write", { after: answering });
  const first = cache.set("k", "first");
  await writing.arrived();
  const waiting = [cache.set("k", "older"), cache.set("k", "last")];
  writing.open();
  expect(await first).toEqual({ status: "stored" });
  await answering.arrived();
  const error = new Error("the tier is broken");
  tier.delete = () => {
    throw error;
  };
  answering.open();
  const rejected = { status: "rejected", reason: error };
  expect(await Promise.all(waiting.map(outcome))).toEqual([rejected, rejected]);
  tier.delete = remove;
  expect(backend.count("write")).toBe(2);
  expect(await createTestCache({ clock, backend: backend.peer() }).get("k")).toBe("last");
  await cache.close();
});
