import { defineBackend, type Cache, type StoredAnswer } from "@hotset/core";
/** Loads after a tag call, of a key that others have a copy of too. */
import { createTestCache, flush, gate, scriptedBackend, TestClock, type ScriptedBackend } from "@hotset/testing";
import { expect, it } from "vitest";

interface Scene {
  readonly cache: Cache;
  readonly other: Cache;
  readonly backend: ScriptedBackend;
  /** Moves the clock until it has settled. */
  settled<T>(call: Promise<T>): Promise<T>;
}

/** The copy of `cache` is under a tag that `other` has called. From then on each call of the backend takes so long. */
async function crowd(tripMs: number): Promise<Scene> {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported", deadlineMs: 1_000 });
  const cache = createTestCache({ clock, backend, ttl: "1h" });
  const other = createTestCache({ clock, backend: backend.peer(), ttl: "1h" });
  const settled = async <T>(call: Promise<T>): Promise<T> => {
    let isOver = false;
    void call.finally(() => (isOver = true)).catch(() => undefined);
    for (let i = 0; i < 1_000 && !isOver; i += 1) {
      await flush();
      clock.advance(10);
    }
    return call;
  };
  await settled(cache.getOrSet("k", () => "old", { tags: ["t"] }));
  await settled(other.invalidateTags("t"));
  expect(cache.peek("k")).toBe(undefined);
  backend.forgetCalls();
  backend.script("*", { before: tripMs, times: 10_000 });
  return { cache, other, backend, settled };
}

it("pins versions once the lease is granted", async () => {
  const { cache, backend, settled } = await crowd(10);
  expect(await settled(cache.getOrSet("k", () => "new", { tags: ["t"] }))).toBe("new");
  const order = backend.calls.map(({ operation }) => operation);
  expect(order.slice(0, 4)).toEqual(["read", "tags.read", "leases.acquire", "tags.pin"]);
});

it.each([100, 300, 340, 400, 450])("C52 stores the load where each call takes %s ms of 1,000", async (tripMs) => {
  const { cache, other, settled } = await crowd(tripMs);
  expect(await settled(cache.getOrSet("k", () => "new", { tags: ["t"] }))).toBe("new");
  await settled(cache.drain());
  expect(await settled(other.getOrSet("k", () => expect.fail("it is there"), { tags: ["t"] }))).toBe("new");
});

it("a forced load, which is always granted the lease, pins in the same trip", async () => {
  const { cache, backend, settled } = await crowd(10);
  const options = { tags: ["t"], forceRefresh: true };
  expect(await settled(cache.getOrSet("k", () => "new", options))).toBe("new");
  const order = backend.calls.map(({ operation }) => operation);
  expect(order.slice(0, 2)).toEqual(["tags.pin", "leases.acquire"]);
});

it("a read that finds a version outdated drops the copy of it, and no newer one", async () => {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported" });
  const asked = gate<void>();
  const outdated: StoredAnswer = { data: new Uint8Array(), staleInMs: 0, expiresInMs: 1, meta: "", isSeen: false };
  const read = async (key: string, seen?: string): Promise<StoredAnswer | undefined> => {
    if (seen === undefined) return backend.read(key);
    await asked.pass();
    return outdated;
  };
  const cache = createTestCache({ clock, backend: defineBackend({ ...backend, read }), ttl: "1h" });
  const [old, now] = ["old".repeat(1_000), "new".repeat(1_000)];
  await cache.set("k", old, { tags: ["t"] });
  await createTestCache({ clock, backend: backend.peer(), ttl: "1h" }).invalidateTags("t");
  expect(cache.peek("k")).toBe(undefined);
  const reading = cache.get("k");
  await asked.arrived();
  await cache.set("k", now);
  asked.open();
  await reading;
  expect(cache.peek("k")).toBe(now);
});
