import { expect, it, vi } from "vitest";
import { TagTable } from "./tag-table.ts";
import { TestClock } from "./testing/test-clock.ts";
import { Trust } from "./trust.ts";

it("knows 100,000 versions at most: it forgets many at once, and says so once for all of them", async () => {
  const forgotten = vi.fn<() => void>();
  const table = new TagTable(new Trust(), new TestClock(), forgotten);
  const version = { hard: "v", soft: "v" };
  const source = table.learning({
    read: async (tags) => tags.map(() => version),
    pin: () => Promise.reject(new Error("not asked here")),
    unchangedSince: () => Promise.reject(new Error("not asked here")),
    renew: () => Promise.reject(new Error("not asked here")),
  });
  const tags = Array.from({ length: 100_000 }, (_, i) => `t${i}`);
  await source.read(tags);
  expect([table.size, forgotten.mock.calls.length]).toEqual([100_000, 0]);
  await source.read(["t0"]);
  expect([table.size, forgotten.mock.calls.length]).toEqual([100_000, 0]);
  await source.read(["another"]);
  expect([table.size, forgotten.mock.calls.length]).toEqual([90_001, 1]);
  expect([table.has("another"), table.has("t99999"), table.has("t10000"), table.has("t9999"), table.has("t0")]).toEqual([true, true, true, false, false]);
});
