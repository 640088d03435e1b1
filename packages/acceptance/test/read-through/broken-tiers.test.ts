/** Tiers of a third party that break their contract: calls settle, and the process goes on. */
import type { Cache, Backend } from "@hotset/core";
import { createTestCache, flush, gate, mapTier, outcome, scriptedBackend, TestClock } from "@hotset/core/testing";
import { describe, expect, it } from "vitest";
import { rejectionsDuring } from "../support/stacks.ts";

const broken = (): never => {
  throw new Error("the tier is broken");
};

/** A cache over a local tier, one method of which throws once `breaks` was called. */
function overLocalTier(method: "get" | "set" | "delete" | "clear", withBackend: boolean) {
  const clock = new TestClock();
  const tier = mapTier();
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true });
  const cache = createTestCache({ clock, local: tier, backend: withBackend && backend, ttl: "1m", staleIfError: "1h" });
  return { cache, backend, breaks: () => void Object.assign(tier, { [method]: broken }) };
}

/** A cache over a backend, each of whose reads resolves to `answer`, one by one and as a batch. */
function overAnswers(answer: unknown): Cache {
  const backend = scriptedBackend({ clock: new TestClock(), leases: true, tagVersions: true });
  const read = async (): Promise<never> => answer as never;
  const answering: Backend = { ...backend, read, batch: { ...backend.batch!, read } };
  return createTestCache({ backend: answering });
}

const identity = (key: string): string => key;
const loadAll = (keys: readonly string[]): [string, string][] => keys.map((key) => [key, "loaded"]);

/** Every call that can begin or join a flight. */
const loads = (cache: Cache): readonly Promise<unknown>[] => [
  cache.getOrSet("a", () => "loaded"),
  cache.getOrSet("a", () => "loaded"),
  cache.getOrSet("no copy", () => "loaded", { localTtl: 0 }),
  cache.getOrSet("stored nowhere", () => "loaded", { ttl: 0 }),
  cache.getOrSet("stale", () => "loaded", { forceRefresh: true }),
  cache.getOrSetMany(["b", "c"], identity, loadAll),
  cache.getOrSetMany(["d", "e"], identity, loadAll, { localTtl: 0 }),
];

describe.each(["get", "set", "delete", "clear"] as const)("a local tier whose %s throws", (method) => {
  it.each([
    ["alone", false],
    ["over a backend", true],
  ])("C348: leaves no call unsettled, %s", async (_, withBackend) => {
    const { cache, breaks } = overLocalTier(method, withBackend);
    await cache.set("stale", "old");
    await cache.markStale("stale");
    breaks();
    const unhandled = await rejectionsDuring(async () => {
      const outcomes = await Promise.all(loads(cache).map(outcome));
      expect(outcomes.filter(({ status }) => status === "pending")).toEqual([]);
      expect(await outcome(cache.drain())).toMatchObject({ status: "fulfilled" });
    });
    expect([unhandled, cache.stats().waiting]).toEqual([[], 0]);
  });
});

describe("a local tier that breaks while the backend is read", () => {
  const REJECTED = { status: "rejected", reason: new Error("the tier is broken") };
  const STORED = new Map([
    ["b", "stored"],
    ["c", "stored"],
  ]);

  it.each([
    ["get", "fails", [REJECTED, REJECTED]],
    ["delete", "is answered", ["stored", STORED].map((value) => ({ status: "fulfilled", value }))],
  ] as const)("C348: settles each call, if its %s throws after the read %s", async (method, how, expected) => {
    const { cache, backend, breaks } = overLocalTier(method, true);
    for (const key of ["a", "b", "c"]) await cache.set(key, "stored", { localTtl: 0 });
    const reading = gate();
    backend.script("*", { before: reading });
    if (how === "fails") backend.down();
    const one = cache.getOrSet("a", () => "loaded", { localTtl: 0 });
    const many = cache.getOrSetMany(["b", "c"], identity, loadAll, { localTtl: 0 });
    breaks();
    const unhandled = await rejectionsDuring(async () => {
      reading.open();
      expect(await Promise.all([outcome(one), outcome(many)])).toEqual(expected);
      expect(await outcome(cache.drain())).toMatchObject({ status: "fulfilled" });
    });
    expect([unhandled, cache.stats().waiting]).toEqual([[], 0]);
  });
});

describe("a local tier whose delete throws", () => {
  it.each([
    ["alone", false],
    ["over a backend", true],
  ])("C348: a loaded value reaches its callers, and the failure is reported, %s", async (_, withBackend) => {
    const { cache, breaks } = overLocalTier("delete", withBackend);
    const causes: unknown[] = [];
    cache.on("backend:error", ({ key, error }) => causes.push([key, (error.cause as Error).message]));
    breaks();
    expect(await cache.getOrSet("k", () => "loaded", { ttl: 0 })).toBe("loaded");
    expect(causes).toEqual([["k", "the tier is broken"]]);
  });
});

describe("a local tier whose get throws after a load", () => {
  it.each([
    ["alone", false],
    ["over a backend", true],
  ])("C348: the loaded value reaches its callers, and the failure is reported once, %s", async (_, withBackend) => {
    const { cache, breaks } = overLocalTier("get", withBackend);
    const messages: string[] = [];
    cache.on("backend:error", ({ error }) => messages.push(error.message));
    const load = (): string => {
      breaks();
      return "loaded";
    };
    expect(await cache.getOrSet("k", load)).toBe("loaded");
    await cache.drain();
    expect(messages).toEqual(["storing a loaded value failed, and no tier may fail like this; see the cause"]);
  });
});

describe("a backend that says null where there is nothing", () => {
  it("C348: is a backend without an entry", async () => {
    const cache = overAnswers(null);
    expect(await Promise.all([cache.getOrSet("a", () => "loaded"), cache.get("b"), cache.inspect("c")])).toEqual([
      "loaded",
      undefined,
      undefined,
    ]);
  });

  it("C348: also for each item of a batch", async () => {
    const cache = overAnswers([null, null]);
    expect(await cache.getMany(["a", "b"])).toEqual(new Map());
    expect(await cache.getOrSetMany(["a", "b"], identity, loadAll)).toEqual(new Map(loadAll(["a", "b"])));
  });
});

describe("a backend whose batch answers with something else than a list of entries", () => {
  it.each([
    ["undefined", undefined, "undefined"],
    ["null", null, "null"],
    ["an object", {}, "an object"],
    ["too few items", [undefined], "1 of them"],
  ])("C348: has failed these reads: %s", async (_, answer, shown) => {
    const cache = overAnswers(answer);
    const errors: string[] = [];
    cache.on("backend:error", ({ error }) => errors.push((error.cause as Error).message));
    const unhandled = await rejectionsDuring(async () => {
      expect(await cache.getMany(["a", "b"])).toEqual(new Map());
      expect(await cache.getOrSetMany(["a", "b"], identity, loadAll)).toEqual(new Map(loadAll(["a", "b"])));
      await flush();
    });
    const message = `batch.read must resolve to an array with one item for each of 2 keys, got ${shown}`;
    expect([unhandled, errors]).toEqual([[], [message, message]]);
  });
});
