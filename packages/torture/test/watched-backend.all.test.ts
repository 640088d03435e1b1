import { createTestCache, gate, scriptedBackend, TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import { watchBackend, type WatchedLease } from "../src/watched-backend.ts";

function open() {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true });
  const removed: object[] = [];
  const watched = watchBackend(
    backend,
    () => clock.now(),
    (removal) => removed.push(removal),
    () => undefined,
  );
  const cache = createTestCache({ clock, local: false, backend });
  /** The lease of the load, as its loader finds it. */
  const load = (key: string) => watched.during(() => cache.getOrSet(key, () => watched.leaseOf(key) ?? "none"));
  return { clock, backend, watched, cache, load, removed };
}

it("knows the lease of a load by its call, also beside thousands of others", async () => {
  const { clock, backend, watched, cache, load } = open();
  const granting = gate();
  backend.script("leases.acquire", { key: "test::a", before: granting });
  const askedAt = clock.now();
  const loading = load("a");
  await granting.arrived();
  clock.advance(5);
  const others = Array.from({ length: 3_000 }, (_, i) => String(i));
  await watched.during(() =>
    cache.getOrSetMany(
      others,
      (each) => each,
      (missing) => missing.map((each) => [each, each] as const),
    ),
  );
  granting.open();
  expect(await loading).toEqual({ askedAt });
});

it("knows a load whose lease was given up before its loader began", async () => {
  const { backend, cache, load } = open();
  const granting = gate();
  backend.script("leases.acquire", { key: "test::a", before: granting });
  const loading = load("a");
  await granting.arrived();
  await cache.clear();
  granting.open();
  expect(await loading).toBe("none");
});

it("counts a lease that was not granted as none", async () => {
  const { backend, load } = open();
  backend.script("leases.acquire", { key: "test::a", fail: true });
  expect(await load("a")).toBe("none");
});

it("knows when the lease of a load is given up", async () => {
  const { clock, watched, cache } = open();
  const loading = gate();
  let lease: WatchedLease | undefined;
  const call = watched.during(() =>
    cache.getOrSet("a", async () => {
      lease = watched.leaseOf("a");
      await loading.pass();
      return 1;
    }),
  );
  await loading.arrived();
  const askedAt = clock.now();
  clock.advance(5);
  expect(lease).toEqual({ askedAt });
  await cache.clear();
  expect(lease).toEqual({ askedAt, givenUpAt: askedAt + 5 });
  loading.open();
  await call;
});

it("notes when the lease is taken over, also for a caller that has left", async () => {
  const { clock, backend, cache, removed } = open();
  const taking = gate();
  backend.script("leases.acquire", { key: "test::a", after: taking });
  const leaving = new AbortController();
  const call = cache.getOrSet("a", () => 1, { forceRefresh: true, signal: leaving.signal });
  await taking.arrived();
  const from = clock.now();
  leaving.abort(new Error("left"));
  await expect(call).rejects.toThrow("left");
  clock.advance(200);
  expect(removed).toEqual([]);
  taking.open();
  await cache.drain();
  expect(removed).toEqual([{ from, to: from + 200, key: "a", takesLease: true }]);
});
