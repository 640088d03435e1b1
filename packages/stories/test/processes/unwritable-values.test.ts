/** Values that the format refuses, in processes that share a backend with leases and coherence. */
import { createCache, json, type Cache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { flush, scriptedBackend, TestClock, type ScriptedBackend } from "@hotset/testing";
import { expect, it } from "vitest";

const clock = new TestClock();

/** Two processes, and what they share. */
async function open(): Promise<{ readonly caches: readonly [Cache, Cache]; readonly backend: ScriptedBackend }> {
  const backend = scriptedBackend({ clock, format: json(), leases: true, coherence: "reported" });
  const of = (each: ScriptedBackend): Cache =>
    createCache({ name: "shop", clock }).tier(memory()).tier(each).defaults({ ttl: 1_000 }).build();
  const caches = [of(backend), of(backend.peer())] as const;
  for (const cache of caches) {
    cache.on("backend:error", () => undefined);
    await cache.connect();
  }
  return { caches, backend };
}

it("each process loads it once, and both keep it until it ends", async () => {
  const { caches, backend } = await open();
  const loads = [0, 0];
  const round = async (): Promise<void> => {
    for (const [i, cache] of caches.entries())
      expect(await cache.getOrSet("k", () => ((loads[i]! += 1), 1n), { tags: ["t"] })).toBe(1n);
    await flush();
  };
  for (let time = 0; time < 4; time += 1) await round();
  expect(loads).toEqual([1, 1]);
  expect(backend.store.get("shop::k")).toMatchObject({ data: new Uint8Array(), staleInMs: 1_000 });
  clock.advance(999);
  await round();
  expect(loads).toEqual([1, 1]);
  clock.advance(1);
  await round();
  expect(loads).toEqual([2, 2]);
});

it.each(["delete", "set", "invalidateTags", "clear"] as const)("%s, called elsewhere, ends it", async (how) => {
  const { caches } = await open();
  const [first, second] = caches;
  for (const cache of caches) await cache.getOrSet("k", () => 1n, { tags: ["t"] });
  expect([first.peek("k"), second.peek("k")]).toEqual([1n, 1n]);
  if (how === "delete") await second.delete("k");
  else if (how === "set") await second.set("k", 2);
  else if (how === "invalidateTags") await second.invalidateTags("t");
  else await second.clear();
  await flush();
  expect(await first.getOrSet("k", () => 3)).toBe(how === "set" ? 2 : 3);
});

it("an entry that is there stays, and so does the copy of the refused value", async () => {
  const {
    caches: [first, second],
  } = await open();
  await first.set("k", "old");
  expect(await first.getOrSet("k", () => 1n, { forceRefresh: true })).toBe(1n);
  await flush();
  expect([first.peek("k"), await second.get("k")]).toEqual([1n, "old"]);
});

it("without a local tier it is kept nowhere, and its load is reported as refused", async () => {
  const backend = scriptedBackend({ clock, format: json(), leases: true });
  const cache = createCache({ name: "shop", clock }).tier(backend).build();
  cache.on("backend:error", () => undefined);
  const results: string[] = [];
  cache.on("load", ({ result }) => results.push(result));
  for (let time = 0; time < 2; time += 1) expect(await cache.getOrSet("k", () => 1n)).toBe(1n);
  expect(results).toEqual(["refused", "refused"]);
});
