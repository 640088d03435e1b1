import type { Cache } from "@hotset/core";
import { inspect, type Figures, type GroupRates, type Inspection } from "@hotset/core/inspect";
import { createTestCache, flush, gate, scriptedBackend, TestClock } from "@hotset/testing";
import { beforeEach, describe, expect, it } from "vitest";

let clock: TestClock;
beforeEach(() => void (clock = new TestClock()));

const figuresOf = (inspection: Inspection): Figures => inspection.figures()!;
const of = (inspection: Inspection, name: string): GroupRates | undefined =>
  figuresOf(inspection).groups.find(({ namespace, group }) => (group ?? namespace.join("/")) === name);

async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 1_000) {
    clock.advance(1_000);
    await flush();
  }
}

describe("calls that memory does not answer", () => {
  const cacheOf = (): Cache => createTestCache({ clock, ttl: "1m", staleWhileRevalidate: "1h", errorBackoff: 0 });

  it("are timed by what answered them, in the namespace and around it", async () => {
    const cache = cacheOf();
    using inspection = inspect(cache);
    // The first ten seconds are left out.
    await expect(cache.getOrSet("first", () => Promise.reject(new Error("db")))).rejects.toThrow("db");
    clock.advance(10_000);
    const products = cache.namespace("products");
    const opened = gate();
    const load = (): Promise<number> => opened.pass().then(() => 1);
    const all = [products.getOrSet("1", load), products.getOrSet("1", load)];
    await flush();
    clock.advance(300);
    const late = products.getOrSet("1", load);
    clock.advance(100);
    opened.open();
    await Promise.all([...all, late]);
    await expect(products.getOrSet("2", () => Promise.reject(new Error("db")))).rejects.toThrow("db");
    // A hit in memory is not measured.
    await products.getOrSet("1", load);
    const { loaded, joined, failed, hit } = of(inspection, "products")!.calls!;
    expect(hit).toBeUndefined();
    expect([loaded, joined, failed]).toMatchObject([{ count: 1 }, { count: 2 }, { count: 1 }]);
    expect(loaded!.p50Ms).toBeCloseTo(400, -2);
    expect(joined!.p50Ms).toBeCloseTo(100, -1);
    expect(joined!.p99Ms).toBeCloseTo(400, -2);
    expect([loaded!.slow, joined!.slow, failed!.slow]).toEqual([1, 1, 0]);
    expect(of(inspection, "")!.calls).toEqual(of(inspection, "products")!.calls);
    clock.advance(60_000);
    await products.getOrSet("1", load);
    expect(of(inspection, "products")!.calls!.stale).toMatchObject({ count: 1 });
  });

  it("are hits of the backend, and are forgotten after a minute", async () => {
    const backend = scriptedBackend({ clock });
    const one = createTestCache({ name: "shop", clock, backend, ttl: "1h" });
    await one.set("k", 1);
    const other = createTestCache({ name: "shop", clock, backend, ttl: "1h", local: false });
    using inspection = inspect(other);
    await pass(10_000);
    await other.getOrSet("k", () => 2);
    expect(of(inspection, "")!.calls).toMatchObject({ hit: { count: 1 } });
    await pass(70_000);
    expect(of(inspection, "")!.calls).toBeUndefined();
  });
});

describe("loads that give nothing", () => {
  it("are counted apart: undefined, null, and null in place of a value; with the key that had most", async () => {
    const cache = createTestCache({ clock, ttl: 100, negativeTtl: 100, staleIfError: "1h" });
    using inspection = inspect(cache);
    const settings = cache.namespace("settings");
    for (const key of ["acme", "bolt"]) await settings.getOrSet(key, () => ({ theme: "dark" }));
    await pass(70_000);
    for (let i = 0; i < 3; i += 1) {
      await settings.getOrSet("acme", () => null);
      clock.advance(100);
    }
    await settings.getOrSet("bolt", () => undefined);
    await settings.getOrSet("core", () => ({ theme: "dark" }));
    // What a loader keeps from being cached on purpose is something.
    await settings.getOrSet("dune", (ctx) => ctx.noStore({ theme: "dark" }));
    expect(of(inspection, "settings")!.empty).toEqual({
      ...{ loads: 6, nothing: 1, nulls: 3, emptied: 2 },
      before: { loads: 2, nulls: 0 },
      most: { key: "acme", count: 3 },
    });
  });
});

describe("the shape of loaded values", () => {
  it("is known where the last twenty have the same properties", async () => {
    const cache = createTestCache({ clock, ttl: "1h", keyGroups: [{ name: "product", match: "p:" }] });
    using inspection = inspect(cache);
    for (let i = 0; i < 19; i += 1) await cache.getOrSet(`p:${i}`, () => ({ id: i, cents: 5 }));
    expect(of(inspection, "product")!.fields).toBeUndefined();
    await pass(5_000);
    await cache.getOrSet("p:19", () => ({ cents: 5, id: 19 }));
    // Nothing has no shape.
    await cache.getOrSet("p:20", () => null);
    expect(of(inspection, "product")!.fields).toEqual(["cents", "id"]);
    await pass(5_000);
    await cache.getOrSet("p:21", () => ({ id: 21, price: { cents: 5 } }));
    expect(of(inspection, "product")!.fields).toBeUndefined();
  });

  it("is that of the first one in a list, and of no class, text or number", async () => {
    const cache = createTestCache({ clock, ttl: "1h" });
    using inspection = inspect(cache);
    for (let i = 0; i < 20; i += 1) await cache.namespace("lists").getOrSet(`${i}`, () => [{ id: i }, { no: 1 }]);
    for (let i = 0; i < 20; i += 1) await cache.namespace("texts").getOrSet(`${i}`, () => "text");
    for (let i = 0; i < 20; i += 1) await cache.namespace("dates").getOrSet(`${i}`, () => new Date(0));
    expect(["lists", "texts", "dates"].map((name) => of(inspection, name)!.fields)).toEqual([
      ["id"],
      undefined,
      undefined,
    ]);
  });

  it("is nobody's with redactKeys: names may be ids", async () => {
    const cache = createTestCache({ clock, ttl: "1h", redactKeys: true });
    using inspection = inspect(cache);
    for (let i = 0; i < 20; i += 1) await cache.getOrSet(`${i}`, () => ({ id: i }));
    expect(of(inspection, "")!.fields).toBeUndefined();
  });
});

describe("seconds in which many loads begin", () => {
  /** A second of usual traffic. */
  async function second(cache: Cache, loads = 2): Promise<void> {
    const now = clock.now();
    await Promise.all(Array.from({ length: loads }, (_, i) => cache.getOrSet(`rate:${now}:${i}`, () => 1)));
    await pass(1_000);
  }

  it("are remembered with the time at which they were, one for each", async () => {
    const cache = createTestCache({ clock, ttl: "1h" });
    using inspection = inspect(cache);
    for (let i = 0; i < 45; i += 1) await second(cache, i % 20 === 15 ? 200 : 2);
    const { at, ...found } = figuresOf(inspection).spikes!;
    expect(found).toMatchObject({ namespace: [], loads: 200, usual: 2 });
    expect(at.length).toBe(2);
    expect(at[1]! - at[0]!).toBe(20_000);
    // Longer than figures are of.
    for (let i = 0; i < 90; i += 1) await second(cache);
    expect(figuresOf(inspection).spikes!.at).toEqual(at);
  });

  it("are none where more calls come from some second on", async () => {
    const cache = createTestCache({ clock, ttl: "1h" });
    using inspection = inspect(cache);
    for (let i = 0; i < 30; i += 1) await second(cache);
    for (let i = 0; i < 30; i += 1) {
      await second(cache, 80);
      expect(figuresOf(inspection).spikes).toBeUndefined();
    }
  });

  it("are none where loads are steady, or where one call loads them together", async () => {
    const cache = createTestCache({ clock, ttl: "1h" });
    using inspection = inspect(cache);
    for (let i = 0; i < 30; i += 1) {
      await second(cache, 60);
      await cache.getOrSetMany(
        Array.from({ length: 700 }, (_, n) => n),
        (n) => `all:${i}:${n}`,
        (items) => items.map((n) => [n, 1]),
      );
    }
    expect(figuresOf(inspection).spikes).toBeUndefined();
  });
});

describe("a value that grows", () => {
  it("is known after five writes, and not while it shrinks, stays, or is small", async () => {
    const cache = createTestCache({ name: "shop", clock, backend: scriptedBackend({ clock }), ttl: "1h" });
    using inspection = inspect(cache);
    const begin = inspection.figures()!.at;
    const write = async (key: string, kilobytes: number): Promise<void> => {
      await cache.set(key, "x".repeat(1_000 * kilobytes));
    };
    for (let i = 1; i <= 5; i += 1) {
      await write("log", 120 * i);
      await write("small", 19 * i);
      await write("steady", 300);
      await write("wavy", i % 2 === 0 ? 400 : 150);
      if (i === 4) expect(inspection.figures()!.growing).toBeUndefined();
      await pass(1_000);
    }
    await pass(5_000);
    expect(inspection.figures()!.growing).toMatchObject({ key: "log", since: begin, stores: 5 });
    const { bytes, before } = inspection.figures()!.growing!;
    expect([Math.round(bytes / 1_000), Math.round(before / 1_000)]).toEqual([600, 120]);
    await pass(70_000);
    expect(inspection.figures()!.growing).toBeUndefined();
  });
});

it("a value that cannot be stored is named, with the number of them", async () => {
  const backend = scriptedBackend({ clock });
  const cache = createTestCache({ name: "shop", clock, backend, ttl: "1h" });
  using inspection = inspect(cache);
  const cyclic: { self?: unknown } = {};
  cyclic.self = cyclic;
  for (const key of ["a", "b"]) await cache.namespace("report").getOrSet(key, () => cyclic);
  await pass(5_000);
  const { unstorable } = inspection.figures()!;
  expect(unstorable).toMatchObject({ tier: backend.label, namespace: ["report"], key: "b", count: 2 });
  expect(unstorable!.error).toContain("a cycle");
  await pass(60_000);
  expect(inspection.figures()!.unstorable).toBeUndefined();
});
