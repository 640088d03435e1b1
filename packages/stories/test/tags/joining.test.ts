/**
 * Who shares a load, and who gets its value, when tags change meanwhile: two processes that receive each other's
 * changes, all interleavings forced.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Cache, LoadContext, Loader, Served } from "@hotset/core";
import { flush, gate, type Gate } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { gatedLoads, inStep, notYetInStep } from "../support/processes.ts";
import { never, open, STACKS } from "../support/stacks.ts";

const K = "test::k";

/** A loader that adds the tag `t` when it ends. */
const tagged =
  (loading: Gate<string>) =>
  (ctx: LoadContext): Promise<string> =>
    loading.pass().then((value) => {
      ctx.setOptions({ tags: ["t"] });
      return value;
    });

/** A load that adds `t`, an invalidation of `t`, and then a caller that joins it: its loader is `again`. */
async function lateCaller(cache: Cache, again: Loader<unknown>, options: Parameters<Cache["getOrSet"]>[2] = {}) {
  const loading = gate<string>();
  const first = cache.getOrSet("k", tagged(loading));
  await loading.arrived();
  await cache.invalidateTags("t");
  const late = cache.getOrSet("k", again, options);
  await flush();
  return { loading, first, late };
}

describe("a tag that the loader adds, and another process", () => {
  it.for<readonly [string, (there: Cache) => Promise<unknown>]>([
    ["invalidated", (there) => there.invalidateTags("t")],
    ["marked stale", (there) => there.markTagsStale("t")],
  ])("a caller after the tag was %s there gets no value that was loaded before", async ([, change]) => {
    const {
      all: [{ cache }, there],
    } = await inStep();
    const [before, after] = [gate<string>(), gate<string>()];
    const first = cache.getOrSet("k", tagged(before));
    await before.arrived();
    await change(there.cache);
    await flush();
    const late = cache.getOrSet("k", tagged(after));
    await flush();
    expect(cache.stats().loads).toBe(1);
    before.open("old");
    await after.arrived();
    after.open("new");
    expect(await Promise.all([first, late])).toEqual(["old", "new"]);
    expect([await cache.get("k"), await there.cache.get("k")]).toEqual(["new", "new"]);
  });

  it("other tags are called there, and the tag is used for the first time: one load, whose value is stored", async () => {
    const {
      all: [{ cache }, there],
    } = await inStep();
    const loading = gate<string>();
    const calls = [cache.getOrSet("k", tagged(loading))];
    await loading.arrived();
    for (const change of [
      () => there.cache.invalidateTags("u"),
      () => there.cache.markTagsStale("v"),
      () => there.cache.namespace("below").clear(),
      () => there.cache.getOrSet("other", () => 1, { tags: ["w"] }),
    ]) {
      await change();
      await flush();
      calls.push(cache.getOrSet("k", never));
    }
    loading.open("v");
    expect(await Promise.all(calls)).toEqual(["v", "v", "v", "v", "v"]);
    expect(cache.stats().loads).toBe(1);
    expect([await cache.get("k"), await there.cache.get("k")]).toEqual(["v", "v"]);
    await there.cache.invalidateTags("t");
    await flush();
    expect(await cache.get("k")).toBe(undefined);
  });

  it("the tag is invalidated there while the value is stored: a caller after that gets a newer one", async () => {
    const {
      all: [{ cache, backend }, there],
    } = await inStep();
    await there.cache.set("other", 1, { tags: ["t"] });
    const [loading, storing] = [gate<string>(), gate()];
    backend.script("leases.store", { before: storing });
    const first = cache.getOrSet("k", tagged(loading));
    await loading.arrived();
    loading.open("old");
    await storing.arrived();
    const joined = cache.getOrSet("k", never);
    await there.cache.invalidateTags("t");
    await flush();
    const after = cache.getOrSet("k", () => "new");
    storing.open();
    expect(await Promise.all([first, joined, after])).toEqual(["old", "old", "new"]);
  });
});

it.for<readonly [string, object]>([
  ["is fresh", {}],
  ["is a fallback", { staleIfError: "1h", ttl: "10s" }],
])(
  "an entry that a load finds on its way, whose tag was invalidated elsewhere since: %s: answers no caller after that",
  async ([, policy]) => {
    const { p1: here, p2: there, clock } = await inStep({ ttl: "1h", ...policy });
    await there.cache.set("k", "old", { tags: ["t"] });
    if ("ttl" in policy) clock.advance("20s");
    const reading = gate();
    here.backend.script("read", { key: K, after: reading });
    here.backend.script("tags.read", { after: reading });
    const loads = gatedLoads<string>();
    const first = here.cache.getOrSet("k", loads.load);
    await reading.arrived();
    await there.cache.invalidateTags("t");
    await flush();
    const late = here.cache.getOrSet("k", loads.load, { softTimeout: 10 });
    await flush();
    reading.open();
    await flush();
    clock.advance(20);
    await flush();
    for (const run of loads.runs) run.open("new");
    await flush();
    for (const run of loads.runs) run.open("new");
    expect(await late).toBe("new");
    expect(["old", "new"]).toContain(await first);
  },
);

describe("a caller that begins again", () => {
  it("keeps its async context, waits in its own trace, and counts as one that loaded", async () => {
    const { cache } = open("memory");
    const request = new AsyncLocalStorage<string>();
    const served: Served[] = [];
    const seen: unknown[] = [];
    const { loading, first, late } = await request.run("late", () =>
      lateCaller(cache, () => (seen.push(request.getStore()), "new"), { onServed: (each) => served.push(each) }),
    );
    request.run("another", () => loading.open("old"));
    expect(await Promise.all([first, late])).toEqual(["old", "new"]);
    expect(seen).toEqual(["late"]);
    expect(served).toMatchObject([{ coalesced: false }]);
    expect(cache.stats()).toMatchObject({ loads: 2, coalesced: 1, misses: 2 });
  });

  it("inside a load of another key may call neither that key nor wait for itself", async () => {
    const { cache } = open("memory");
    const loading = gate<string>();
    const first = cache.getOrSet("k", tagged(loading));
    await loading.arrived();
    await cache.invalidateTags("t");
    const outer = cache.getOrSet("outer", () => cache.getOrSet("k", () => cache.getOrSet("outer", never)));
    await flush();
    loading.open("old");
    await expect(outer).rejects.toMatchObject({ code: "REENTRANT_LOAD" });
    expect(await first).toBe("old");
  });

  it("leaves by its signal and by its hardTimeout as before", async () => {
    const { cache, clock } = open("memory");
    const again = gatedLoads<string>();
    const controller = new AbortController();
    const { loading, first, late } = await lateCaller(cache, again.load, { signal: controller.signal });
    const slow = cache.getOrSet("k", again.load, { hardTimeout: 100 });
    loading.open("old");
    expect(await first).toBe("old");
    await again.arrived(1);
    controller.abort(new Error("left"));
    await expect(late).rejects.toThrow("left");
    expect(again.runs[0]!.context.signal.aborted).toBe(false);
    clock.advance(100);
    await expect(slow).rejects.toMatchObject({ code: "LOAD_TIMEOUT" });
  });

  it("begins a load at most twice, though its tag is invalidated again and again: one load runs at a time", async () => {
    const { cache, clock } = open("memory");
    let [running, most] = [0, 0];
    let version = 0;
    const load = async (ctx: LoadContext): Promise<number> => {
      running += 1;
      most = Math.max(most, running);
      const read = version;
      await new Promise<void>((resolve) => {
        clock.schedule(resolve, 600);
      });
      ctx.setOptions({ tags: ["t"] });
      running -= 1;
      return read;
    };
    const begun = clock.now();
    const calls: Promise<readonly [number, number, number]>[] = [];
    for (let i = 0; i < 40; i += 1) {
      version += 1;
      await cache.invalidateTags("t");
      const [least, at] = [version, clock.now()];
      calls.push(cache.getOrSet("k", load).then((value) => [value, least, clock.now() - at]));
      await flush(1);
      clock.advance(20);
      await flush(1);
    }
    for (let i = 0; i < 200; i += 1) {
      clock.advance(20);
      await flush(1);
    }
    for (const [value, least, tookMs] of await Promise.all(calls)) {
      expect(value).toBeGreaterThanOrEqual(least);
      expect(tookMs).toBeLessThanOrEqual(1_240);
    }
    expect([most, clock.now() > begun]).toEqual([1, true]);
  });
});

describe.each(STACKS)("over %s", (stack) => {
  it("an entry has the tags of callers until its value is loaded; one that comes later, or finds it, adds none", async () => {
    const { cache, backend } = open(stack);
    const [loading, storing] = [gate<string>(), gate()];
    if (stack !== "memory") backend.script("write", { key: K, before: storing });
    const calls = [cache.getOrSet("k", loading.pass, { tags: ["first"] })];
    await loading.arrived();
    calls.push(cache.getOrSet("k", never, { tags: ["joined"] }));
    loading.open("v");
    await (stack === "memory" ? calls[0] : storing.arrived());
    calls.push(cache.getOrSet("k", never, { tags: ["later"] }));
    storing.open();
    expect(await Promise.all(calls)).toEqual(["v", "v", "v"]);
    expect(await cache.getOrSet("k", never, { tags: ["hit"] })).toBe("v");
    expect((await cache.inspect("k"))?.tags).toEqual(["first", "joined"]);
    await cache.invalidateTags("later", "hit");
    expect(await cache.get("k")).toBe("v");
    await cache.invalidateTags("joined");
    expect(await cache.get("k")).toBe(undefined);
  });
});

describe("a load that other callers of its process wait for is not aborted when the first one leaves", () => {
  it("but joined after a tag call, by a caller whose own tag was not called", async () => {
    const {
      all: [{ cache }],
    } = await inStep();
    const controller = new AbortController();
    const loads = gatedLoads<string>();
    const first = cache.getOrSet("k", loads.load, { signal: controller.signal });
    await loads.arrived(1);
    await cache.invalidateTags("t");
    const late = cache.getOrSet("k", loads.load, { signal: new AbortController().signal });
    controller.abort(new Error("left"));
    await expect(first).rejects.toThrow("left");
    loads.runs[0]!.open("v");
    expect([await late, loads.runs.length, loads.runs[0]!.context.signal.aborted]).toEqual(["v", 1, false]);
  });

  it("but wait at the lease, since they may not share a load from before a change elsewhere", async () => {
    const { clock, all } = notYetInStep({ localTtl: 10, backend: { leases: true, tagVersions: true } }, 1);
    const [{ cache }] = all as [(typeof all)[0]];
    const [one, two] = [new AbortController(), new AbortController()];
    const loads = gatedLoads<string>();
    const first = cache.getOrSet("k", loads.load, { signal: one.signal });
    await loads.arrived(1);
    all[0]!.link.lose();
    await flush();
    const second = cache.getOrSet("k", loads.load, { signal: two.signal });
    await flush();
    expect(clock.now()).toBeGreaterThanOrEqual(0);
    one.abort(new Error("left"));
    await expect(first).rejects.toThrow("left");
    expect(loads.runs.map(({ context }) => context.signal.aborted)).toEqual([false]);
    two.abort(new Error("left as well"));
    await expect(second).rejects.toThrow("left as well");
    expect(loads.runs.map(({ context }) => context.signal.aborted)).toEqual([true]);
  });
});
