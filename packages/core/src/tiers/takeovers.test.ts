import { createTestCache, flush, gate, scriptedBackend, TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import type { Cache } from "../cache/cache.ts";

/** Changes of a key, and the call of the backend that sends them. */
const CHANGES = {
  delete: ["remove", (cache) => cache.delete("k")],
  set: ["write", (cache) => cache.set("k", "new", { tags: ["t"] })],
  "set without a lifetime": ["remove", (cache) => cache.set("k", "new", { ttl: 0 })],
  markStale: ["markStale", (cache) => cache.markStale("k")],
  invalidateTags: ["tags.renew", (cache) => cache.invalidateTags("t")],
  clear: ["tags.renew", (cache) => cache.clear()],
  "a forced load": ["leases.store", (cache) => cache.getOrSet("k", () => "new", { forceRefresh: true, tags: ["t"] })],
} satisfies Record<string, [string, (cache: Cache) => Promise<unknown>]>;

async function open() {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported" });
  const of = (each: typeof backend) => createTestCache({ clock, ttl: "1h", backend: each });
  const [a, b] = [of(backend), of(backend.peer())];
  await b.set("k", "old", { tags: ["t"] });
  return { clock, backend, a, b, restore: backend.store.snapshot() };
}

it.for(Object.keys(CHANGES) as (keyof typeof CHANGES)[])(
  "C93 an answer from before another server took over ends nothing: %s",
  async (name) => {
    const { backend, a, b, restore } = await open();
    const [operation, change] = CHANGES[name];
    const answered = gate();
    backend.script(operation as "remove", { after: answered });
    const changing = change(a);
    await flush();
    restore();
    backend.link.replaced();
    await flush();
    answered.open();
    const result = await changing;
    if (name !== "a forced load") expect(result).toEqual({ status: "pending" });
    await flush();
    const found = await a.getOrSet("k", () => "loaded");
    expect(found).not.toBe("old");
    expect([await b.get("k"), a.stats().pending]).not.toContain("old");
    expect(a.stats().pending).toBe(0);
  },
);

it("C93 the store of a load that was answered then does not end what is issued again", async () => {
  const { backend, a, b, restore } = await open();
  await a.deleteMany(["first", "k"]);
  const [answered, replayed] = [gate(), gate()];
  backend.script("leases.store", { after: answered });
  const loading = a.getOrSet("k", () => "loaded");
  await flush();
  restore();
  // It is issued again alone, and the others after it.
  backend.script("remove", { key: "test::first", before: replayed });
  backend.link.replaced();
  await flush();
  answered.open();
  await loading;
  replayed.open();
  await flush();
  expect([await b.get("k"), a.stats().pending]).toEqual([undefined, 0]);
});

it.for(["delete", "invalidateTags"] as const)("C93 nor does the answer to a replay from before: %s", async (name) => {
  const { clock, backend, a, b, restore } = await open();
  const [operation, change] = CHANGES[name];
  backend.down();
  expect(await change(a)).toEqual({ status: "pending" });
  const answered = gate();
  backend.script(operation as "remove", { after: answered });
  backend.up();
  clock.advance(1_000);
  await flush();
  restore();
  backend.link.replaced();
  await flush();
  answered.open();
  await flush();
  clock.advance(1_000);
  await flush();
  expect([await b.get("k"), a.stats().pending]).toEqual([undefined, 0]);
});
