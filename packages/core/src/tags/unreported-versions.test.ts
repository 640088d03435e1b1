import { createTestCache, flush, gate, scriptedBackend, TestClock, type ScriptedBackend } from "@hotset/testing";
import { expect, it } from "vitest";
import type { Cache } from "../cache/cache.ts";

interface Process {
  readonly cache: Cache;
  readonly backend: ScriptedBackend;
}

/** Two processes that receive no changes. */
function unreported(): { readonly clock: TestClock; readonly here: Process; readonly there: Process } {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "none" });
  const open = (of: ScriptedBackend): Process => ({
    backend: of,
    cache: createTestCache({ clock, ttl: "1h", local: false, backend: of }),
  });
  return { clock, here: open(backend), there: open(backend.peer()) };
}

const TAGS = { tags: ["t"] } as const;
let loads = 0;
const load = async ({ cache }: Process, key: string): Promise<unknown> => cache.getOrSet(key, () => (loads += 1), TAGS);

it("a load without reported changes pins the versions of its tags once a second, and each load is kept", async () => {
  const { clock, here, there } = unreported();
  loads = 0;
  for (const [key, pins] of [
    ["a", 1],
    ["b", 1],
    ["c", 1],
  ] as const) {
    await load(here, key);
    expect(here.backend.count("tags.pin")).toBe(pins);
  }
  clock.advance(999);
  await load(here, "d");
  expect(here.backend.count("tags.pin")).toBe(1);
  clock.advance(1);
  await load(here, "e");
  expect(here.backend.count("tags.pin")).toBe(2);
  const kept = await Promise.all(["a", "b", "c", "d", "e"].map((key) => there.cache.get(key)));
  expect(kept).toEqual([1, 2, 3, 4, 5]);
});

it("a tag that was invalidated elsewhere is pinned again by the next load, which is kept", async () => {
  const { here, there } = unreported();
  loads = 0;
  await load(here, "a");
  await there.cache.invalidateTags("t");
  expect(await load(here, "a")).toBe(2);
  expect(here.backend.count("tags.pin")).toBe(2);
  expect([await load(here, "a"), await load(there, "a")]).toEqual([2, 2]);
  await there.cache.markTagsStale("t");
  expect([await load(here, "a"), await load(there, "a")]).toEqual([3, 3]);
});

it("a tag that was invalidated here is pinned again, also where a pin was on its way", async () => {
  const { here, there } = unreported();
  loads = 0;
  const pinned = gate();
  here.backend.script("tags.pin", { after: pinned });
  const first = load(here, "a");
  await pinned.arrived();
  await here.cache.invalidateTags("t");
  pinned.open();
  expect(await first).toBe(1);
  // Forced, so no read finds the new version before the load.
  expect(await here.cache.getOrSet("b", () => (loads += 1), { ...TAGS, forceRefresh: true })).toBe(2);
  expect(await there.cache.get("b")).toBe(2);
  await here.cache.invalidateTags("t");
  expect(await load(here, "b")).toBe(3);
  expect(await there.cache.get("b")).toBe(3);
});

it("late tags are refused once, and not for a second, after a renewal elsewhere", async () => {
  const { here, there } = unreported();
  const late = (key: string): Promise<unknown> =>
    here.cache.getOrSet(key, (ctx) => {
      ctx.setOptions({ tags: ["late"] });
      return key;
    });
  await late("a");
  await there.cache.invalidateTags("late");
  await late("b");
  await late("c");
  await flush();
  expect([await there.cache.get("a"), await there.cache.get("c")]).toEqual([undefined, "c"]);
});
