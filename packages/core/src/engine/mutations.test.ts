import { createTestCache, scriptedBackend, TestClock } from "@hotset/testing";
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
