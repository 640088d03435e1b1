import type { Namespace } from "@hotset/core";
import { heartbeat, inspect, type Inspection, type ProcessRecord } from "@hotset/core/inspect";
import { createTestCache, flush, gate, mapTier, scriptedBackend, TestClock } from "@hotset/testing";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";

let clock: TestClock;
beforeEach(() => void (clock = new TestClock()));

type Figures = NonNullable<ReturnType<Inspection["figures"]>>;
const of = ({ groups }: Figures, name: string) =>
  groups.find(({ namespace, group }) => (group ?? namespace.join("/")) === name);

/** Steps of five seconds. */
async function pass(steps: number): Promise<void> {
  for (let i = 0; i < steps; i += 1) {
    clock.advance(5_000);
    await flush();
  }
}

/** Loads that take as long as the test says. */
const loadsOf =
  (namespace: Namespace) =>
  async (key: string, ms: number): Promise<void> => {
    const loaded = namespace.getOrSet(
      key,
      () => new Promise<number>((resolve) => clock.schedule(() => resolve(1), ms)),
    );
    await flush();
    clock.advance(ms);
    await loaded;
  };

describe("figures", () => {
  it("compare the last calls of a namespace and of a group with those before", async () => {
    const cache = createTestCache({ clock, ttl: "1h", keyGroups: [{ name: "queries", match: "q:" }] });
    using inspection = inspect(cache);
    const search = cache.namespace("search");
    for (let i = 0; i < 300; i += 1) await search.getOrSet(`q:${i % 3}`, () => 1);
    await pass(4);
    for (let i = 0; i < 60; i += 1) await search.getOrSet(`q:new:${i}`, () => 1);
    for (const name of ["", "search", "queries"])
      expect(of(inspection.figures()!, name)).toMatchObject({
        recent: { ms: 10_000, calls: 60, hitRatio: 0, loads: 60, loadErrors: 0 },
        before: { calls: 300, hitRatio: 0.99, loads: 3 },
      });
    // Fewer calls than enough: a longer part of the minute.
    await pass(6);
    await search.getOrSet("q:0", () => 1);
    expect(of(inspection.figures()!, "search")!.recent).toMatchObject({ ms: 30_000, calls: 61 });
  });

  it("compare hits that stay few with the time before they were, whoever looks; then with the time around", async () => {
    const cache = createTestCache({ clock, ttl: "30d" });
    using inspection = inspect(cache);
    let fresh = 0;
    const calls = async (count: number, hits: number): Promise<void> => {
      for (let i = 0; i < count; i += 1) await cache.getOrSet(i % 10 < hits ? "k" : `k${(fresh += 1)}`, () => 1);
    };
    const ratios = (): readonly number[] => {
      const { recent, before } = inspection.figures()!.groups[0]!;
      return [recent.hitRatio!, before.hitRatio!].map((ratio) => Math.round(10 * ratio) / 10);
    };
    await calls(1, 10);
    await calls(300, 9);
    await pass(4);
    // Nobody looks for ten minutes.
    for (let step = 0; step < 120; step += 1) {
      await calls(60, 2);
      await pass(1);
    }
    expect(ratios()).toEqual([0.2, 0.9]);
    // It rises, and falls again: what was low is left out.
    for (let step = 0; step < 12; step += 1) {
      await calls(60, 9);
      await pass(1);
    }
    expect(ratios()).toEqual([0.9, 0.9]);
    for (let step = 0; step < 12; step += 1) {
      await calls(60, 2);
      await pass(1);
    }
    expect(ratios()).toEqual([0.2, 0.9]);
    // Few calls say nothing.
    await pass(24);
    clock.advance("1d");
    await calls(60, 2);
    await pass(1);
    await calls(60, 2);
    await pass(1);
    // Since it was noticed: the first of those calls were usual.
    expect(ratios()).toEqual([0.2, 0.3]);
  });

  it("compare a process that has just started with the others of its cache", async () => {
    const backend = scriptedBackend({ clock });
    const former = createTestCache({ name: "shop", clock, backend, ttl: "1h" });
    const beat = heartbeat(former, { name: "web-1" });
    onTestFinished(() => beat.stop());
    for (let i = 0; i < 300; i += 1) await former.getOrSet(`k${i % 3}`, () => 1);
    await pass(14);
    const cache = createTestCache({ name: "shop", clock, backend, ttl: "1h" });
    await cache.get("used");
    const next = heartbeat(cache, { name: "web-2" });
    onTestFinished(() => next.stop());
    using inspection = inspect(cache);
    await pass(2);
    for (let i = 0; i < 60; i += 1) await cache.getOrSet(`new${i}`, () => 1);
    await pass(1);
    expect(inspection.figures()!.groups[0]).toMatchObject({
      recent: { hitRatio: 0 },
      before: { calls: 300, hitRatio: 0.99 },
    });
  });

  it("have the durations of loads, the slowest key, and the loads that failed", async () => {
    const cache = createTestCache({ clock, ttl: 1 });
    using inspection = inspect(cache);
    const invoices = cache.namespace("invoices");
    const load = loadsOf(invoices);
    for (let i = 0; i < 20; i += 1) await load(`i:${i}`, 100);
    await pass(5);
    for (let i = 0; i < 5; i += 1) await load(`i:${i}`, 3_000 + i);
    await expect(invoices.getOrSet("x", () => Promise.reject(new Error("db")))).rejects.toThrow("db");
    const { recent, before, slowest, failed } = of(inspection.figures()!, "invoices")!;
    expect([Math.round(recent.p95Ms! / 1_000), Math.round(before.p95Ms! / 10)]).toEqual([3, 10]);
    expect([slowest, failed]).toEqual([
      { key: "i:4", ms: 3_004 },
      { count: 1, at: expect.any(Number) as number, error: "Error: db" },
    ]);
    await pass(12);
    expect(of(inspection.figures()!, "invoices")).not.toHaveProperty("failed");
  });

  it("name the key whose loads failed most, of those that failed more than once", async () => {
    const cache = createTestCache({ clock });
    using inspection = inspect(cache);
    const settings = cache.namespace("settings");
    const fail = (key: string): Promise<unknown> =>
      settings.getOrSet(key, () => Promise.reject(new Error("db")), { errorBackoff: 0 }).catch(() => undefined);
    await fail("globex");
    expect(of(inspection.figures()!, "settings")!.failed).not.toHaveProperty("most");
    for (const key of ["acme", "initech", "acme", "acme"]) await fail(key);
    await pass(1);
    expect(of(inspection.figures()!, "settings")!.failed).toMatchObject({ count: 5, most: { key: "acme", count: 3 } });
    await pass(13);
    expect(of(inspection.figures()!, "settings")).not.toHaveProperty("failed");
  });

  it("have the loads that wait for a slot, as often as they were seen", async () => {
    const cache = createTestCache({ clock, maxLoads: 1 });
    using inspection = inspect(cache);
    expect(inspection.figures()).not.toHaveProperty("queued");
    const source = gate();
    const loads = ["a", "b", "c"].map((key) => cache.getOrSet(key, () => source.pass().then(() => 1)));
    await flush();
    await pass(2);
    expect(inspection.figures()!.queued).toEqual({
      seen: 2,
      looks: 3,
      loads: 2,
      callers: 2,
      forMs: 10_000,
      maxLoads: 1,
    });
    source.open();
    await Promise.all(loads);
    await pass(1);
    expect(inspection.figures()!.queued).toEqual({
      seen: 2,
      looks: 4,
      loads: 2,
      callers: 2,
      forMs: 10_000,
      maxLoads: 1,
    });
    await pass(12);
    expect(inspection.figures()).not.toHaveProperty("queued");
  });

  it("compare loads that stay slow with the time before they were, for an hour; then slow is usual", async () => {
    const cache = createTestCache({ clock, ttl: 1 });
    using inspection = inspect(cache);
    const load = loadsOf(cache.namespace("invoices"));
    const before = (): number => Math.round(of(inspection.figures()!, "invoices")!.before.p95Ms! / 10) * 10;
    const minutes = async (count: number, ms: number): Promise<void> => {
      for (let i = 0; i < 12 * count; i += 1) {
        await load("i", ms);
        await pass(1);
        before();
      }
    };
    await minutes(2, 100);
    await minutes(40, 1_000);
    expect(before()).toBe(100);
    // None ends for longer than a window: that says nothing of what is usual.
    await pass(20);
    expect(before()).toBe(100);
    await minutes(1, 1_000);
    expect(before()).toBe(100);
    await minutes(1, 100);
    expect(before()).toBeGreaterThan(900);
    await minutes(60, 3_000);
    expect(before()).toBeGreaterThan(900);
    await minutes(40, 3_000);
    expect(before()).toBeGreaterThan(2_900);
  });

  it("have the errors of a tier with the last text and its kind", async () => {
    const backend = scriptedBackend({ clock });
    await createTestCache({ name: "shop", clock, backend }).set("k", 1);
    const other = createTestCache({ name: "shop", clock, backend });
    using second = inspect(other);
    await backend.write("shop::k", { ...backend.store.get("shop::k")!, data: Uint8Array.of(1, 2, 3), meta: "" });
    await other.get("k");
    expect(second.figures()!.tiers.at(-1)).toMatchObject({
      state: "up",
      errors: 1,
      lastError: { operation: "read", kind: "DECODE_FAILED" },
    });
    await pass(13);
    expect(second.figures()!.tiers.at(-1)).toMatchObject({ errors: 0, lastError: { kind: "DECODE_FAILED" } });
  });

  it("have evictions, the largest value written, and the load with most callers", async () => {
    const local = mapTier({ maxEntries: 3 });
    const cache = createTestCache({ clock, backend: scriptedBackend({ clock }), local });
    using inspection = inspect(cache);
    for (let i = 0; i < 5; i += 1) await cache.set(`k${i}`, "x".repeat(10));
    await pass(13);
    for (let i = 0; i < 5; i += 1) await cache.namespace("files").set(`k${i}`, "x".repeat(100 * i));
    const calls = Array.from({ length: 30 }, () =>
      cache.getOrSet("hot", () => new Promise<number>((resolve) => clock.schedule(() => resolve(1), 700))),
    );
    await flush();
    clock.advance(700);
    await Promise.all(calls);
    const { tiers, largest, shared } = inspection.figures()!;
    expect(tiers[0]).toMatchObject({ entries: 3, evicted: 6 });
    expect(largest).toMatchObject({ namespace: ["files"], key: "k4", bytes: 402, before: 12 });
    expect(shared).toMatchObject({ namespace: [], key: "hot", callers: 30, ms: 700 });
  });

  it("of five minutes are counted for each namespace, group and tier", async () => {
    const cache = createTestCache({ clock, ttl: "1h" });
    using inspection = inspect(cache);
    await cache.namespace("a").getOrSet("k", () => 1);
    await pass(70);
    await cache.namespace("a").getOrSet("k", () => 1);
    await cache.namespace("b").getOrSet("k", () => 1);
    const { ms, namespaces, tiers } = inspection.recent()!;
    expect(ms).toBe(295_000);
    expect(
      namespaces.map(({ namespace, hits, misses, loadLatency }) => [namespace, hits, misses, loadLatency.count]),
    ).toEqual([
      [[], 1, 1, 1],
      [["a"], 1, 0, 0],
      [["b"], 0, 1, 1],
    ]);
    expect(tiers).toMatchObject([{ label: "map", hits: 1, misses: 1, errors: 0 }]);
    using without = inspect(cache, { remember: 0 });
    expect([without.figures(), without.recent()]).toEqual([undefined, undefined]);
  });
});

describe("a record", () => {
  it("has the figures of its process; ones without their form are left out", async () => {
    const backend = scriptedBackend({ clock });
    const cache = createTestCache({ name: "shop", clock, backend });
    await cache.get("used");
    const beat = heartbeat(cache, { name: "web-1", every: "5s" });
    onTestFinished(() => beat.stop());
    await flush();
    using inspection = inspect(cache);
    const [own] = await inspection.processes();
    expect(own).toMatchObject({ everyMs: 5_000, figures: { groups: [{ namespace: [], recent: { calls: 0 } }] } });
    const stored = backend.store.get("shop:~processes::0")!;
    for (const figures of [{}, { ...own!.figures, groups: [{}] }, { ...own!.figures, largest: { bytes: "5" } }, null]) {
      const data = new TextEncoder().encode(JSON.stringify({ ...own, id: "b", figures }));
      await backend.write("shop:~processes::1", { ...stored, data });
      const record = (await inspection.processes()).find(({ id }) => id === "b") as ProcessRecord;
      expect([record.name, record.figures]).toEqual(["web-1", undefined]);
    }
  });

  it("that the backend refuses is known, with the reason, until it takes one", async () => {
    const backend = scriptedBackend({ clock });
    const cache = createTestCache({ name: "shop", clock, backend });
    const write = backend.write.bind(backend);
    Object.assign(backend, { write: () => Promise.reject(new Error("OOM command not allowed")) });
    await cache.get("used");
    const beat = heartbeat(cache, { every: "5s" });
    onTestFinished(() => beat.stop());
    await flush();
    using inspection = inspect(cache);
    expect(inspection.recordFailure()).toEqual({
      since: expect.any(Number) as number,
      error: expect.stringContaining("OOM command not allowed") as string,
    });
    Object.assign(backend, { write });
    clock.advance(5_000);
    await flush();
    expect([inspection.recordFailure(), inspection.knownProcesses()]).toEqual([undefined, []]);
  });
});

it.each([{ window: "10ms" }, { window: "2h" }] as const)("refuses %o", (options) => {
  expect(() => inspect(createTestCache({ clock }), options)).toThrow(
    `inspect: window must be from 1s to 1h, got ${options.window}`,
  );
});
