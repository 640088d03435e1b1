/** close() of one of several processes: it leaves no lease, timer or listener behind. */
import type { Clock } from "@hotset/core";
import { memory } from "@hotset/memory";
import { createTestCache, flush, gate, outcome, scriptedBackend, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { gatedLoads, inStep } from "../support/processes.ts";
import { rejectionsDuring } from "../support/stacks.ts";

const K = "test::k";

describe("C56 close", () => {
  it.each(["reported", "sole-writer"] as const)("releases the leases of loads that it ends (%s)", async (coherence) => {
    const { p1, store, clock } = await inStep({ backend: { coherence } });
    const loads = gatedLoads<string>();
    const first = outcome(p1.cache.getOrSet("k", loads.load));
    await loads.arrived(1);
    expect(store.leaseHolder(K)).not.toBe(undefined);
    const closing = p1.cache.close({ timeout: 0 });
    clock.advance(1);
    await closing;
    await first;
    expect(store.leaseHolder(K)).toBe(undefined);
  });

  it("leaves behind no timer, no listener, no lease and no rejection, with calls of every kind under way", async () => {
    const clock = new TestClock();
    const timers = new Set<() => void>();
    const counting: Clock = {
      now: () => clock.now(),
      schedule(callback, delayMs) {
        const due = (): void => {
          timers.delete(due);
          callback();
        };
        timers.add(due);
        const cancel = clock.schedule(due, delayMs);
        return () => {
          timers.delete(due);
          cancel();
        };
      },
    };
    const pass = async (ms: number): Promise<void> => {
      for (let passed = 0; passed < ms; passed += 500) {
        clock.advance(500);
        await flush();
      }
    };
    const backend = scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported" });
    const cache = createTestCache({
      clock: counting,
      ttl: 1_000,
      staleWhileRevalidate: "1h",
      local: memory(),
      backend,
    });
    const other = createTestCache({ clock, loadTimeout: "1h", local: memory(), backend: backend.peer() });
    const loads = gatedLoads<string>();
    const theirs = gatedLoads<string>();
    const hanging = gate();
    const calls: Promise<unknown>[] = [];
    const rejected = await rejectionsDuring(async () => {
      await Promise.all([cache.connect(), other.connect()]);
      calls.push(other.getOrSet("theirs", theirs.load));
      await flush();
      await cache.set("stale", 1);
      clock.advance(1_000);
      await flush();
      expect(await cache.getOrSet("stale", loads.load)).toBe(1);
      calls.push(
        outcome(cache.getOrSet("loading", loads.load, { hardTimeout: "1h" })),
        outcome(cache.getOrSet("forced", loads.load, { forceRefresh: true })),
        outcome(cache.getOrSet("theirs", loads.load)),
        outcome(
          cache.getOrSetMany(
            ["theirs", "many"],
            (key) => key,
            () => new Promise<never>(() => undefined),
          ),
        ),
      );
      await flush();
      backend.script("remove", { fail: true });
      expect(await cache.delete("pending")).toEqual({ status: "pending" });
      for (const operation of ["write", "read", "leases.acquire"] as const)
        backend.script(operation, { key: `test::${operation}`, before: hanging });
      calls.push(
        outcome(cache.set("write", 1)),
        outcome(cache.getOrSet("read", loads.load)),
        outcome(cache.getOrSet("leases.acquire", loads.load)),
      );
      await flush();
      backend.link.lose();
      const closing = cache.close({ timeout: 10 });
      await flush();
      await pass(3_000);
      await closing;
      const keys = ["stale", "loading", "forced", "many", "theirs"];
      expect(keys.filter((key) => backend.store.leaseHolder(`test::${key}`) !== undefined)).toEqual(["theirs"]);
      hanging.open();
      await pass(60_000);
      expect(timers.size).toBe(0);
      expect(backend.link.attached).toBe(0);
      for (const run of theirs.runs) run.open("v");
      await Promise.all(calls);
      await other.close();
    });
    expect(rejected).toEqual([]);
  });
});

it.for(["a set", "a load", "a touch"] as const)(
  "C117 close waits for the confirmation of the copy of %s, and reports no failure of it",
  async (name) => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock, leases: true, coherence: "reported" });
    const cache = createTestCache({ clock, local: memory(), backend });
    const errors: unknown[] = [];
    await cache.connect();
    if (name === "a touch") await cache.set("k", 1);
    await flush();
    cache.on("backend:error", ({ operation }) => errors.push(operation));
    const confirming = gate();
    backend.forgetCalls();
    backend.script("leases.confirm", { before: confirming });
    if (name === "a set") await cache.set("k", 1);
    else if (name === "a load") await cache.getOrSet("k", () => 1);
    else await cache.touch("k");
    const closing = cache.close();
    await flush();
    expect([backend.count("leases.confirm"), backend.isClosed]).toEqual([1, false]);
    confirming.open();
    await closing;
    expect([backend.isClosed, errors]).toEqual([true, []]);
  },
);

it("C117 close waits for the confirmation of the copy of a set that it has waited for", async () => {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases: true, coherence: "reported" });
  const cache = createTestCache({ clock, local: memory(), backend });
  await cache.connect();
  const [writing, confirming] = [gate(), gate()];
  backend.script("write", { before: writing });
  backend.script("leases.confirm", { before: confirming });
  const set = cache.set("k", 1);
  const closing = cache.close();
  writing.open();
  await set;
  await flush();
  expect([backend.count("leases.confirm"), backend.isClosed]).toEqual([1, false]);
  confirming.open();
  await closing;
  expect(backend.isClosed).toBe(true);
});

it.for(["of a load that failed", "that is granted too late"] as const)(
  "C117 close waits until the lease %s is released, and reports no failure of it",
  async (lease) => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock, leases: true, coherence: "reported" });
    const cache = createTestCache({ clock, local: memory(), backend });
    await cache.connect();
    const errors: string[] = [];
    const [granting, releasing] = [gate(), gate()];
    backend.script("leases.release", { before: releasing });
    if (lease === "of a load that failed") {
      granting.open();
      await outcome(cache.getOrSet("k", () => Promise.reject(new Error("down"))));
    } else {
      const reading = gate();
      backend.script("read", { key: K, before: reading });
      backend.script("leases.acquire", { before: granting });
      const call = cache.getOrSet("k", () => 1);
      await reading.arrived();
      clock.advance(600);
      reading.open();
      await granting.arrived();
      clock.advance(600);
      expect(await call).toBe(1);
    }
    cache.on("backend:error", ({ operation }) => errors.push(operation));
    const closing = cache.close();
    await flush();
    expect(backend.isClosed).toBe(false);
    granting.open();
    await flush();
    expect([backend.count("leases.release"), backend.isClosed]).toEqual([1, false]);
    releasing.open();
    await closing;
    expect([backend.isClosed, errors]).toEqual([true, []]);
  },
);

it("C117 close reports no failure, and no state, of what it cuts off", async () => {
  const clock = new TestClock();
  const breaker = { failures: 1, waitMs: 10_000, longestWaitMs: 10_000 };
  const backend = scriptedBackend({ clock, leases: true, coherence: "reported", breaker });
  const cache = createTestCache({ clock, local: memory(), backend });
  await cache.connect();
  const confirming = gate();
  backend.script("leases.confirm", { before: confirming, fail: true });
  await cache.set("k", 1);
  const events: string[] = [];
  cache.on("backend:error", ({ operation }) => events.push(operation));
  cache.on("backend:state", ({ state }) => events.push(state));
  const closing = cache.close({ timeout: 0 });
  clock.advance(1);
  await closing;
  confirming.open();
  await flush();
  expect([backend.isClosed, events]).toEqual([true, []]);
});
