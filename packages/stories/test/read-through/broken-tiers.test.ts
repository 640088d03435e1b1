/** Tiers of a third party that break their contract: calls settle, and the process goes on. */
import type { Backend, Cache, Leases, Parts, Policy } from "@hotset/core";
import { createTestCache, flush, gate, mapTier, outcome, scriptedBackend, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { rejectionsDuring } from "../support/stacks.ts";

const broken = (): never => {
  throw new Error("the tier is broken");
};

/** A cache over a local tier, one method of which throws once `breaks` was called. */
function overLocalTier(method: "get" | "set" | "delete" | "clear", withBackend: boolean, policy: Policy = {}) {
  const clock = new TestClock();
  const tier = mapTier();
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported" });
  const settings: Policy = { ttl: "1m", staleIfError: "1h", ...policy };
  const cache = createTestCache({ clock, local: tier, backend: withBackend && backend, ...settings });
  const other = createTestCache({ clock, local: false, backend: backend.peer(), ...settings });
  return { cache, other, clock, backend, breaks: () => void Object.assign(tier, { [method]: broken }) };
}

/** The reports of `backend:error`, in order. */
function reportsOf(cache: Cache): string[] {
  const reports: string[] = [];
  cache.on("backend:error", ({ tier, operation, key, error }) =>
    reports.push(`${tier}, ${operation} of ${key}: ${(error.cause as Error | undefined)?.message}`),
  );
  return reports;
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
  ])("leaves no call unsettled, %s", async (_, withBackend) => {
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

describe("a value that the local tier refuses is reported, and the call is answered all the same", () => {
  it.each<readonly [string, (cache: Cache) => Promise<unknown>, unknown]>([
    ["a load", (cache) => cache.getOrSet("k", () => "loaded", { forceRefresh: true }), "loaded"],
    ["a read with a loader", (cache) => cache.getOrSet("k", broken), "stored"],
    ["a read", (cache) => cache.get("k"), "stored"],
    ["a read of many", (cache) => cache.getMany(["k"]), new Map([["k", "stored"]])],
    ["set", async (cache) => (await cache.set("k", "new")).status, "stored"],
    ["touch", async (cache) => (await cache.touch("k")).status, "touched"],
  ])("%s", async (_, call, answer) => {
    const { cache, other, breaks } = overLocalTier("set", true);
    await other.set("k", "stored");
    const reports = reportsOf(cache);
    breaks();
    expect(await call(cache)).toEqual(answer);
    expect(reports).toEqual(["map, set of k: the tier is broken"]);
  });
});

describe("a local tier that throws where it must not is reported where no caller waits", () => {
  it("while a load in the background reads, once", async () => {
    const { cache, clock, backend, breaks } = overLocalTier("get", true, { ttl: 100, staleWhileRevalidate: "1h" });
    await cache.connect();
    await cache.set("k", "old");
    // Confirmed after its own report.
    await flush();
    clock.advance(100);
    const reading = gate();
    backend.script("read", { key: "test::k", before: reading, fail: new Error("the backend fails") });
    expect(await cache.getOrSet("k", broken)).toBe("old");
    const reports = reportsOf(cache);
    breaks();
    reading.open();
    await flush();
    expect(reports).toEqual(["scripted, read of undefined: the backend fails", "map, read of k: the tier is broken"]);
  });

  it.each<readonly [string, (cache: Cache) => Promise<unknown>]>([
    ["a load", (cache) => cache.getOrSet("k", () => "loaded")],
    ["set", (cache) => cache.set("k", "new")],
    ["touch", (cache) => cache.touch("k")],
  ])("while the copy of %s is confirmed: no rejection is unhandled", async (what, call) => {
    const { cache, other, backend, breaks } = overLocalTier("get", true);
    await cache.connect();
    if (what === "touch") await other.set("k", "stored");
    const confirming = gate();
    backend.script("leases.confirm", { before: confirming });
    await call(cache);
    await confirming.arrived();
    const reports = reportsOf(cache);
    breaks();
    expect(await rejectionsDuring(async () => confirming.open())).toEqual([]);
    expect(reports).toEqual(["map, get of k: the tier is broken"]);
  });
});

it.each([
  ["undefined", undefined, "undefined"],
  ["null", null, "null"],
  ["an object", {}, "an object"],
  ["too few items", [undefined], "1 of them"],
])(
  "a backend whose batch answers with something else than a list of entries: has failed these reads: %s",
  async (_, answer, shown) => {
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
  },
);

describe("a backend whose answer to a request for a lease is none of the three", () => {
  const REPORTED =
    "lease: scripted: lease was refused; see cause: " +
    "leases.acquire must resolve to a version, heldForMs or an entry, got";

  it.each<readonly [string, unknown, string]>([
    ["undefined", undefined, "undefined"],
    ["null", null, "null"],
    ["text", "OK", '"OK"'],
    ["nothing that says whether it is granted", { version: "v" }, "an object"],
    ["granted, without a version", { granted: true }, "an object"],
    ["not granted, without a reason", { granted: false }, "an object"],
    ["held for a time that is not a number", { granted: false, heldForMs: NaN }, "an object"],
    ["an entry that is none", { granted: false, entry: null }, "an object"],
  ])("the load runs without a lease, keeps its value only here, and reports it: %s", async (_, answer, shown) => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported" });
    const leases = { ...backend.leases!, acquire: async (): Promise<never> => answer as never };
    const cache = createTestCache({ clock, backend: { ...backend, leases }, ttl: "1m" });
    await cache.connect();
    const reports: string[] = [];
    cache.on("backend:error", ({ operation, error }) =>
      reports.push(`${operation}: ${error.message}: ${(error.cause as Error).message}`),
    );
    const unhandled = await rejectionsDuring(async () => {
      expect(await cache.getOrSet("k", () => "loaded")).toBe("loaded");
      await cache.drain();
    });
    expect([unhandled, reports]).toEqual([[], [`${REPORTED} ${shown}`]]);
    expect([cache.peek("k"), await backend.peer().read("test::k")]).toEqual(["loaded", undefined]);
    expect(cache.stats().tiers[1]).toMatchObject({ state: "up", errors: 1 });
  });

  it("a lease that such an answer granted is released", async () => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported" });
    const acquire: Leases["acquire"] = async (request) => {
      await backend.leases!.acquire(request);
      return { granted: true } as never;
    };
    const cache = createTestCache({ clock, backend: { ...backend, leases: { ...backend.leases!, acquire } } });
    expect(await cache.getOrSet("k", () => "loaded")).toBe("loaded");
    await flush();
    const { granted } = await backend
      .peer()
      .leases!.acquire({ key: "test::k", token: "other", leaseMs: 2_000, seen: "" });
    expect(granted).toBe(true);
  });
});

describe("a backend whose functions throw", () => {
  const ONE: Parts = { names: () => ["one"], of: () => "one" };
  const BREAKER = { failures: 5, waitMs: 1_000, longestWaitMs: 30_000 };
  const scripted = (clock: TestClock) =>
    scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported" });

  it.each<readonly [string, (breaks: () => void) => Partial<Backend>, string]>([
    ["parts.of", (breaks) => ({ parts: { ...ONE, of: () => (breaks(), "one") } }), "parts"],
    ["parts.names", (breaks) => ({ parts: { ...ONE, names: () => (breaks(), ["one"]) } }), "parts"],
    [
      "onReconnect",
      (breaks) => ({ breaker: { ...BREAKER, onReconnect: () => (breaks(), identity) } as never }),
      "breaker",
    ],
  ])("%s: every call settles, no rejection is unhandled, and it is reported", async (what, changes, operation) => {
    const clock = new TestClock();
    const backend = scripted(clock);
    let isBroken = false;
    const breaks = (): void => {
      if (isBroken) broken();
    };
    const cache = createTestCache({ clock, backend: { ...backend, ...changes(breaks) }, ttl: "1m" });
    await cache.connect();
    await cache.set("k", "stored");
    const operations = new Set<string>();
    cache.on("backend:error", ({ operation: failed, error }) => {
      if ((error.cause as Error | undefined)?.message === "the tier is broken") operations.add(failed);
    });
    isBroken = true;
    if (what === "onReconnect" || what === "parts.names") backend.down();
    const unhandled = await rejectionsDuring(async () => {
      const calls = [
        ...loads(cache),
        cache.get("x"),
        cache.getMany(["x", "y"]),
        cache.set("x", 1),
        cache.setMany([["y", 1]]),
        cache.touch("k"),
        cache.markStale("k"),
        cache.delete("x"),
        cache.invalidateTags("t"),
      ];
      const outcomes = await Promise.all(calls.map(outcome));
      expect(outcomes.flatMap(({ status }, i) => (status === "fulfilled" ? [] : [i]))).toEqual([]);
      expect(await outcome(cache.drain())).toMatchObject({ status: "fulfilled" });
    });
    expect([unhandled, cache.stats().waiting, operations.has(operation)]).toEqual([[], 0, true]);
  });
});
