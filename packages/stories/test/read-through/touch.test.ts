import { compose } from "@hotset/compose";
/** A life that slides: a fresh entry gets a new one, and nothing else happens. */
import type { Cache, LoadContext } from "@hotset/core";
import { memory } from "@hotset/memory";
import { aesGcm, sealed } from "@hotset/seal";
import { createTestCache, flush, gate, scriptedBackend, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { inStep } from "../support/processes.ts";
import { never, open, STACKS } from "../support/stacks.ts";

describe.each(STACKS)("touch, over %s", (stack) => {
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

  it.for([0, 1_000])("after a life without an end its age stays unknown, with a window of %d ms", async (window) => {
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
  });

  it.each([undefined, 500])("refreshAhead is measured over what touch gave, with a ttl of %s", async (ttl) => {
    const { cache, clock } = open(stack, { ttl: 1_000, refreshAhead: 0.8 });
    let loads = 0;
    const get = async (): Promise<number> => {
      await cache.getOrSet("k", () => (loads += 1));
      await cache.drain();
      return loads;
    };
    await get();
    for (let i = 0; i < 10; i += 1) {
      clock.advance(300);
      expect(await cache.touch("k", { ttl })).toEqual({ status: "touched" });
      expect(await get()).toBe(1);
    }
    expect(await cache.inspect("k")).toMatchObject({ ageMs: 3_000, freshForMs: ttl ?? 1_000 });
    clock.advance(0.8 * (ttl ?? 1_000) - 1);
    expect(await get()).toBe(1);
    clock.advance(1);
    expect(await get()).toBe(2);
    // From the load on again.
    clock.advance(799);
    expect(await get()).toBe(2);
  });

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
  ["with leases, before it is sent", {}, "leases.touch", "before"],
  ["with leases, before its answer", {}, "leases.touch", "after"],
  ["without, after its read", { leases: false }, "read", "after"],
] as const)("touch, between processes, %s", (_what, backend, step, when) => {
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
    one.backend.script(step, { key: "test::k", [when]: reading });
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
    const isOfAnother = step === "leases.touch" && when === "before" && (change === "set" || change === "delete");
    expect(isOfAnother ? ["refused"] : ["refused", "missing", "touched"]).toContain((await touch).status);
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
      link.script(step, { key: "test::k", [when]: reading });
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
      // With leases the change is sent behind it, and compares nothing.
      expect(step === "leases.touch" ? ["touched"] : ["refused", "missing"]).toContain((await touch).status);
      await changed;
      expect(await cache.get("k")).toBe(change === "set" ? "newer" : undefined);
    },
  );
});

/** Each gives the entry another life, and leaves its version. */
const IN_PLACE = {
  touch: (cache: Cache) => cache.touch("k"),
  "a load that is not modified": (cache: Cache) =>
    cache.getOrSet("k", ({ stale }) => stale!.notModified(), { forceRefresh: true }),
};
type InPlace = keyof typeof IN_PLACE;
const inPlace = Object.keys(IN_PLACE) as InPlace[];
const CHANGES = {
  delete: (cache: Cache) => cache.delete("k"),
  set: (cache: Cache) => cache.set("k", "newer"),
  markStale: (cache: Cache) => cache.markStale("k"),
};

describe.each(inPlace)("after %s", (first) => {
  describe.each(inPlace)("and %s", (second) => {
    it.each(["delete", "set", "markStale"] as const)(
      "a %s elsewhere is seen, whatever is confirmed late (counter-example 27)",
      async (change) => {
        const {
          all: [{ cache, backend }, other],
        } = await inStep();
        await cache.set("k", "old");
        await flush();
        const [confirming, renewing] = [gate<undefined>(), gate<undefined>()];
        const free = backend.script("leases.confirm", { key: "test::k", after: confirming });
        await IN_PLACE[first](cache);
        await confirming.arrived();
        free();
        // By now it has happened in the backend, and is not answered.
        backend.script("leases.touch", { key: "test::k", after: renewing });
        const renewed = IN_PLACE[second](cache);
        await renewing.arrived();
        await CHANGES[change](other.cache);
        renewing.open(undefined);
        await renewed;
        confirming.open(undefined);
        await flush();
        expect(cache.peek("k")).toBe(undefined);
        expect(await cache.get("k")).toBe(change === "set" ? "newer" : undefined);
      },
    );
  });
});

it("a load elsewhere that adds a tag is a change, also for a process that confirms its copy meanwhile", async () => {
  const {
    all: [{ cache, backend, link }, other],
  } = await inStep();
  await cache.set("k", "old");
  await flush();
  const confirming = gate<undefined>();
  backend.script("leases.confirm", { key: "test::k", before: confirming });
  await cache.touch("k");
  await confirming.arrived();
  link.hold();
  const load = ({ stale, setOptions }: LoadContext) => (setOptions({ tags: ["t"] }), stale!.notModified());
  await other.cache.getOrSet("k", load, { forceRefresh: true });
  // It came before the copy was kept.
  link.drop();
  link.deliver();
  confirming.open(undefined);
  await flush();
  await other.cache.invalidateTags("t");
  expect([cache.peek("k"), await cache.get("k")]).toEqual([undefined, undefined]);
});

it("touch is refused while the backend does not answer, and leaves nothing pending", async () => {
  const {
    all: [{ cache, backend }],
  } = await inStep();
  await cache.set("k", "v");
  await flush();
  backend.down();
  expect([await cache.touch("k"), cache.stats().pending, cache.peek("k")]).toEqual([{ status: "refused" }, 0, "v"]);
  backend.up();
  backend.script("leases.touch", { fail: true });
  expect([await cache.touch("k"), cache.stats().pending, await cache.get("k")]).toEqual([
    { status: "refused" },
    0,
    "v",
  ]);
});

it("touch is one call of the backend, without the value, and works in a namespace of this process alone", async () => {
  const {
    all: [{ cache, backend }],
  } = await inStep({ ttl: 100 });
  await cache.set("k", "v");
  await flush();
  const { data, version } = backend.store.get("test::k")!;
  backend.forgetCalls();
  const operations = (): string[] => backend.calls.map(({ operation }) => operation);
  expect(await cache.touch("k", { ttl: 500 })).toEqual({ status: "touched" });
  // Its own change is reported to it, too: the copy is confirmed in the background.
  expect(operations()).toEqual(["leases.touch", "leases.confirm"]);
  await flush();
  expect(cache.peek("k")).toBe("v");
  expect(backend.store.get("test::k")).toMatchObject({ data, version, staleInMs: 500 });
  expect(backend.store.leaseHolder("test::k")).toBe(undefined);
});

it.each(["near and far", "a seal", "a seal around near and far"])("touch is one call by way of %s", async (way) => {
  const clock = new TestClock();
  const far = scriptedBackend({ clock, leases: true, tagVersions: true });
  const near = scriptedBackend({ clock, label: "near" });
  const inner = way.includes("far") ? compose(near, far, { nearTtl: "1h", clock }) : far;
  const seal = aesGcm({ keys: [{ id: "k", key: Buffer.alloc(32, 1) }] });
  const backend = way.includes("seal") ? sealed(inner, seal, { clock }) : inner;
  const start = (local: boolean) => createTestCache({ clock, backend, local: local && memory(), ttl: 100 });
  const cache = start(true);
  await cache.set("k", "v", { tags: ["t"] });
  const { data } = far.store.get("test::k")!;
  for (let round = 0; round < 3; round += 1) {
    clock.advance(90);
    far.forgetCalls();
    expect(await cache.touch("k")).toEqual({ status: "touched" });
    expect(far.calls.map(({ operation }) => operation)).toEqual(["leases.touch"]);
    expect(far.store.get("test::k")).toMatchObject({ data, staleInMs: 100 });
  }
  const other = start(false);
  expect(await other.inspect("k")).toMatchObject({ freshForMs: 100, ageMs: 270, tags: ["t"] });
  clock.advance(100);
  expect(await other.get("k")).toBe(undefined);
});
