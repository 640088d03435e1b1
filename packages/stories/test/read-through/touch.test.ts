/** A life that slides: a fresh entry gets a new one, and nothing else happens. */
import type { Seal } from "@hotset/core";
import { flush, gate, outcome, type ScriptedStep } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { inStep } from "../support/processes.ts";
import { never, open, STACKS } from "../support/stacks.ts";

describe.each(STACKS)("C174 touch, over %s", (stack) => {
  it("begins the ttl of the namespace, or its own, anew", async () => {
    const { cache, clock } = open(stack, { ttl: 100 });
    await cache.set("k", "v");
    clock.advance(99);
    expect(await cache.touch("k")).toEqual({ status: "touched" });
    clock.advance(99);
    expect(await cache.getOrSet("k", never)).toBe("v");
    expect(await cache.touch("k", { ttl: 1_000 })).toEqual({ status: "touched" });
    clock.advance(999);
    expect(await cache.get("k")).toBe("v");
    clock.advance(1);
    expect([await cache.get("k"), await cache.touch("k")]).toEqual([undefined, { status: "missing" }]);
  });

  it("keeps value, tags, validators, windows and age", async () => {
    const { cache, clock } = open(stack, { ttl: 100 });
    await cache.set("k", { a: [1] }, { tags: ["t"], etag: '"1"', lastModified: "today", staleIfError: 500 });
    clock.advance(60);
    await cache.touch("k");
    expect([await cache.get("k"), await cache.inspect("k")]).toMatchObject([
      { a: [1] },
      { ageMs: 60, freshForMs: 100, expiresInMs: 600, tags: ["t"], etag: '"1"', lastModified: "today" },
    ]);
    expect(await cache.getOrSet("k", () => "loaded", { maxAge: 61 })).toEqual({ a: [1] });
    expect(await cache.getOrSet("k", () => "loaded", { maxAge: 60 })).toBe("loaded");
  });

  it.for([0, 1_000])(
    "C406: after a life without an end its age stays unknown, with a window of %d ms",
    async (window) => {
      const { cache, clock } = open(stack, { staleWhileRevalidate: window });
      const write = async (): Promise<void> => {
        await cache.set("k", "old", { ttl: Infinity, tags: ["t"] });
        clock.advance(10_000);
        expect(await cache.touch("k", { ttl: 100 })).toEqual({ status: "touched" });
      };
      await write();
      expect(await cache.inspect("k")).toMatchObject({ ageMs: 0, freshForMs: 100, expiresInMs: 100 + window });
      expect(await cache.getOrSet("k", never)).toBe("old");
      expect(await cache.getOrSet("k", () => "loaded", { maxAge: 5_000 })).toBe("loaded");
      await write();
      await cache.markTagsStale("t");
      expect(await cache.getOrSet("k", () => "loaded", { maxAge: 5_000, staleWhileRevalidate: 1_000 })).toBe("loaded");
      await write();
      clock.advance(100);
      expect(await cache.get("k")).toBe(undefined);
    },
  );

  it("revives nothing: not what is stale, marked stale, invalidated, removed or absent", async () => {
    const { cache, clock } = open(stack, { ttl: 100, staleWhileRevalidate: 1_000 });
    for (const key of ["stale", "marked", "removed"]) await cache.set(key, "v");
    for (const key of ["tagged", "soft"]) await cache.set(key, "v", { tags: [key], ttl: 1_000 });
    clock.advance(100);
    await cache.set("marked", "v");
    await cache.markStale("marked");
    await cache.delete("removed");
    await cache.invalidateTags("tagged");
    await cache.markTagsStale("soft");
    for (const key of ["stale", "marked", "removed", "tagged", "soft", "absent"]) {
      expect(await cache.touch(key), key).toEqual({ status: "missing" });
      expect(await cache.get(key), key).toBe(undefined);
    }
    expect(await cache.get("stale", { allowStale: true })).toBe("v");
  });

  it("a remembered null has negativeTtl, unless a ttl is given", async () => {
    const { cache } = open(stack, { ttl: 100, negativeTtl: 10 });
    await cache.set("k", null);
    await cache.touch("k");
    expect(await cache.inspect("k")).toMatchObject({ freshForMs: 10 });
    await cache.touch("k", { ttl: 50 });
    expect(await cache.inspect("k")).toMatchObject({ freshForMs: 50 });
    expect(await cache.namespace("never", { ttl: "1m" }).touch("k")).toEqual({ status: "missing" });
  });

  it("a copy keeps its localTtl", async () => {
    const { cache, clock } = open(stack, { ttl: 100 });
    await cache.set("k", "v", { localTtl: 10 });
    await cache.touch("k");
    clock.advance(10);
    expect(cache.peek("k")).toBe(undefined);
    expect(await cache.get("k")).toBe(stack === "memory" ? undefined : "v");
  });

  it.for([
    [{ ttl: 0 }, "ttl must be above 0 ms, got 0 ms"],
    [{ ttl: "soon" }, "ttl must be milliseconds"],
    [{ tags: ["t"] }, 'unknown option "tags"'],
    ["1m", "options must be an object"],
  ] as const)("refuses %j, and changes nothing", async ([options, message]) => {
    const { cache } = open(stack, { ttl: 100 });
    await cache.set("k", "v");
    await expect(cache.touch("k", options as never)).rejects.toThrow(message);
    await expect(cache.touch("")).rejects.toThrow("key must");
    expect(await cache.inspect("k")).toMatchObject({ freshForMs: 100 });
  });
});

describe.each([
  ["with leases, after its read", {}, "read"],
  ["with leases, after it took one", {}, "leases.acquire"],
  ["without, after its read", { leases: false }, "read"],
] as const)("C174 touch, between processes, %s", (_what, backend, step) => {
  it("holds in all of them", async () => {
    const { all, clock } = await inStep({ ttl: 100, backend });
    const [one, other] = all;
    await other.cache.set("k", "v", { tags: ["t"] });
    expect(await one.cache.get("k")).toBe("v");
    clock.advance(90);
    expect(await one.cache.touch("k")).toEqual({ status: "touched" });
    await flush();
    clock.advance(90);
    expect([await one.cache.get("k"), await other.cache.get("k")]).toEqual(["v", "v"]);
    expect(one.cache.peek("k")).toBe("v");
    await other.cache.invalidateTags("t");
    expect([await one.cache.get("k"), await other.cache.get("k")]).toEqual([undefined, undefined]);
  });

  it.for([
    ["set", "newer"],
    ["delete", undefined],
    ["invalidateTags", undefined],
    ["clear", undefined],
  ] as const)("undoes no %s of another process that comes in between", async ([change, left]) => {
    const { all } = await inStep({ backend });
    const [one, other] = all;
    await one.cache.set("k", "old", { tags: ["t"] });
    await flush();
    const reading = gate<undefined>();
    one.backend.script(step, { key: "test::k", after: reading });
    const touch = one.cache.touch("k");
    await reading.arrived();
    await {
      set: () => other.cache.set("k", "newer"),
      delete: () => other.cache.delete("k"),
      invalidateTags: () => other.cache.invalidateTags("t"),
      clear: () => other.cache.clear(),
    }[change]();
    reading.open(undefined);
    // An entry that is stored under ended tag versions is never found.
    expect(["refused", "missing", "touched"]).toContain((await touch).status);
    await flush();
    for (const { cache } of all) expect(await cache.get("k")).toBe(left);
  });

  it.for(["set", "delete", "invalidateTags", "clear", "markStale"] as const)(
    "gives way to %s of its own process",
    async (change) => {
      const {
        all: [{ cache, backend: link }],
      } = await inStep({ backend });
      await cache.set("k", "old", { tags: ["t"] });
      await flush();
      const reading = gate<undefined>();
      link.script(step, { key: "test::k", after: reading });
      const touch = cache.touch("k");
      await reading.arrived();
      const changed = {
        set: () => cache.set("k", "newer"),
        delete: () => cache.delete("k"),
        invalidateTags: () => cache.invalidateTags("t"),
        clear: () => cache.clear(),
        markStale: () => cache.markStale("k"),
      }[change]();
      reading.open(undefined);
      expect(["refused", "missing"]).toContain((await touch).status);
      await changed;
      expect(await cache.get("k")).toBe(change === "set" ? "newer" : undefined);
    },
  );
});

it("C174 touch does not wait for a load, nor keep one from being stored", async () => {
  const { p1: one, p2: other, clock } = await inStep({ ttl: 100, refreshAhead: 0.5 });
  await one.cache.set("k", "old");
  clock.advance(60);
  const loading = gate<string>();
  expect(await other.cache.getOrSet("k", () => loading.pass())).toBe("old");
  await loading.arrived();
  expect([await one.cache.touch("k"), await other.cache.touch("k")]).toEqual([
    { status: "refused" },
    { status: "refused" },
  ]);
  loading.open("new");
  await other.cache.drain();
  expect([await one.cache.get("k"), await other.cache.get("k")]).toEqual(["new", "new"]);
});

it("C174 touch is refused while the backend does not answer, and leaves nothing pending", async () => {
  const {
    all: [{ cache, backend }],
  } = await inStep();
  await cache.set("k", "v");
  await flush();
  backend.down();
  expect([await cache.touch("k"), cache.stats().pending, cache.peek("k")]).toEqual([{ status: "refused" }, 0, "v"]);
  backend.up();
  backend.script("leases.store", { fail: true });
  expect([await cache.touch("k"), cache.stats().pending, await cache.get("k")]).toEqual([
    { status: "refused" },
    0,
    "v",
  ]);
});

it("C174 touch takes three trips, and works in a namespace that never leaves the process", async () => {
  const {
    all: [{ cache, backend }],
  } = await inStep();
  await cache.set("k", "v");
  await flush();
  backend.forgetCalls();
  expect(await cache.touch("k")).toEqual({ status: "touched" });
  // Its own change is reported to it, too: the copy is confirmed in the background.
  const sent = ["read", "leases.acquire", "leases.store", "leases.confirm"];
  expect(backend.calls.map(({ operation }) => operation)).toEqual(sent);
  const local = cache.namespace("here", { localOnly: true });
  await local.set("f", () => 1);
  backend.forgetCalls();
  expect([await local.touch("f", { ttl: "1s" }), await local.inspect("f")]).toMatchObject([
    { status: "touched" },
    { freshForMs: 1_000 },
  ]);
  expect(backend.calls).toEqual([]);
});

describe("C355 a touch that fails", () => {
  it.each<readonly [string, ScriptedStep | undefined, object]>([
    ["since its entry cannot be sealed", undefined, { status: "rejected" }],
    ["since the backend refuses it", { refuse: new Error("OOM") }, { value: { status: "refused" } }],
    ["since its answer is lost", { loseAnswer: true }, { value: { status: "refused" } }],
  ])("%s leaves no lease behind", async (_, step, expected) => {
    let fails = false;
    const seal: Omit<Seal, "around"> = {
      id: "test",
      seal(bytes) {
        if (fails && step === undefined) throw new Error("the seal fails");
        return bytes;
      },
      open: (bytes) => bytes,
    };
    const { cache, backend } = open("backend", { ttl: "1m", backend: { leases: true, tagVersions: true }, seal });
    await cache.set("k", "v");
    fails = true;
    if (step !== undefined) backend.script("leases.store", step);
    expect(await outcome(cache.touch("k"))).toMatchObject(expected);
    const seen = backend.store.get("test::k")?.version ?? "";
    expect(await backend.leases!.acquire("test::k", "another", 1_000, seen)).toMatchObject({ granted: true });
    expect(backend.count("leases.release")).toBe(1);
  });
});
