/** Tiers that are bypassed at run time: what is served, what is sent, and what is trusted afterwards. */
import { flush, gate } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { inStep } from "../support/processes.ts";
import { counted, never, open, STACKS_WITH_MEMORY } from "../support/stacks.ts";

describe("a bypassed backend", () => {
  it("is not asked: memory and the loader answer, one load for all callers, and nothing is stored there", async () => {
    const { all } = await inStep();
    const [{ cache, backend }] = all;
    await cache.set("held", "copy");
    cache.bypass(["scripted"]);
    backend.forgetCalls();
    const loading = gate<string>();
    const calls = [1, 2, 3].map(() => cache.getOrSet("k", () => loading.pass()));
    await loading.arrived();
    loading.open("loaded");
    expect(await Promise.all(calls)).toEqual(["loaded", "loaded", "loaded"]);
    expect(await cache.getOrSet("k", never)).toBe("loaded");
    expect(await cache.getMany(["held", "k", "absent"])).toEqual(
      new Map([
        ["held", "copy"],
        ["k", "loaded"],
      ]),
    );
    expect(cache.stats()).toMatchObject({ loads: 1, pending: 0 });
    expect([backend.calls, cache.stats().tiers[1]!.state, cache.stats().tiers[1]!.errors]).toEqual([[], "bypassed", 0]);
  });

  it.for([
    ["delete", (cache) => cache.delete("k"), "deleted"],
    ["deleteMany", (cache) => cache.deleteMany(["k"]), undefined],
    ["set", (cache) => cache.set("k", "mine", { tags: ["t"] }), "refused"],
    ["setMany", (cache) => cache.setMany([["k", "mine"]]), undefined],
    ["markStale", (cache) => cache.markStale("k"), "stale"],
    ["invalidateTags", (cache) => cache.invalidateTags("t"), "done"],
    ["clear", (cache) => cache.clear(), "done"],
  ] as const satisfies readonly (readonly [string, (cache: Opened) => Promise<object>, string | undefined])[])(
    "gets what ends entries: after %s no process finds the old one, then or afterwards",
    async ([, change, status]) => {
      const { p1: one, p2: other } = await inStep();
      await other.cache.set("k", "old", { tags: ["t"] });
      expect([await one.cache.get("k"), await other.cache.get("k")]).toEqual(["old", "old"]);
      one.cache.bypass(["scripted"]);
      expect((await change(one.cache)) as { readonly status?: string }).toMatchObject(
        status === undefined ? {} : { status },
      );
      await flush();
      expect([other.cache.peek("k"), await other.cache.get("k")]).toEqual([undefined, undefined]);
      one.cache.bypass("none");
      expect([one.cache.stats().pending, await one.cache.get("k")]).toEqual([0, undefined]);
      expect(await one.cache.getOrSet("k", () => "new")).toBe("new");
      expect(await other.cache.getOrSet("k", never)).toBe("new");
    },
  );

  it("keeps no value of a set that it refused, also if it is used again before it has answered", async () => {
    const { p1: one, p2: other } = await inStep();
    one.cache.bypass(["scripted"]);
    const removing = gate();
    one.backend.script("remove", { before: removing });
    const written = one.cache.set("k", "mine");
    await removing.arrived();
    one.cache.bypass("none");
    removing.open();
    expect(await written).toEqual({ status: "refused" });
    await flush();
    expect([await one.cache.get("k"), await other.cache.get("k")]).toEqual([undefined, undefined]);
  });

  it("is believed again afterwards: a copy of that time is confirmed, or replaced by what others stored", async () => {
    const { p1: one, p2: other } = await inStep();
    one.cache.bypass(["scripted"]);
    await one.cache.getOrSet("k", () => "loaded while bypassed");
    await other.cache.set("k", "newer");
    one.cache.bypass("none");
    expect([one.cache.peek("k"), await one.cache.get("k"), one.cache.peek("k")]).toEqual([undefined, "newer", "newer"]);
  });

  it("pending invalidations of an outage are sent while it is bypassed", async () => {
    const { p1: one, clock } = await inStep();
    await one.cache.set("k", "old");
    one.backend.down();
    await one.cache.delete("k");
    one.cache.bypass(["scripted"]);
    one.backend.up();
    for (let i = 0; i < 3; i += 1) {
      clock.advance("1s");
      await flush();
    }
    expect([one.cache.stats().pending, one.backend.count("remove", "test::k")]).toEqual([0, 2]);
  });
});

describe.each(STACKS_WITH_MEMORY)("a bypassed local tier, over %s", (stack) => {
  it("is emptied and keeps nothing, so no older copy comes back", async () => {
    const { cache } = open(stack);
    await cache.set("k", "old");
    cache.bypass(["memory"]);
    expect(cache.peek("k")).toBe(undefined);
    const { load } = counted("new", "newer");
    if (stack === "memory")
      expect([await cache.getOrSet("k", load), await cache.getOrSet("k", load)]).toEqual(["new", "newer"]);
    else expect([await cache.getOrSet("k", load), await cache.getOrSet("k", load)]).toEqual(["old", "old"]);
    expect(cache.stats().tiers[0]).toMatchObject({ state: "bypassed", entries: 0 });
    cache.bypass("none");
    expect(cache.peek("k")).toBe(undefined);
    expect(await cache.getOrSet("k", () => "newest")).toBe(stack === "memory" ? "newest" : "old");
    expect(cache.peek("k")).toBeDefined();
  });

  it("a load that began before keeps no copy", async () => {
    const { cache } = open(stack);
    const loading = gate<string>();
    const call = cache.getOrSet("k", () => loading.pass());
    await loading.arrived();
    cache.bypass(["memory"]);
    loading.open("v");
    expect(await call).toBe("v");
    expect([cache.stats().tiers[0]!.entries, cache.peek("k")]).toEqual([0, undefined]);
  });
});

it("a bypassed cache loads each time, once for callers at one time, and stores nothing", async () => {
  const { cache, stored } = open("memory over backend");
  await cache.set("other", 1);
  cache.bypass("all");
  const { load } = counted("a", "b");
  expect(await Promise.all([cache.getOrSet("k", load), cache.getOrSet("k", load)])).toEqual(["a", "a"]);
  expect(await cache.getOrSet("k", load)).toBe("b");
  expect([await cache.get("other"), await cache.inspect("other"), stored()]).toEqual([
    undefined,
    undefined,
    ["test::other"],
  ]);
  await expect(cache.getOrSet("k", () => Promise.reject(new Error("down")), { staleIfError: "1h" })).rejects.toThrow(
    "down",
  );
  cache.bypass("none");
  expect(await cache.getOrSet("other", never)).toBe(1);
});

it("the switch is reported once for each tier, and a bad argument changes nothing", async () => {
  const { cache } = open("memory over backend");
  const seen: string[] = [];
  cache.on("backend:state", ({ tier, state }) => seen.push(`${tier} ${state}`));
  for (const [bad, got] of [
    [["memory", "redis"], '"redis"'],
    ["memory", '"memory"'],
    [undefined, "undefined"],
    [true, "true"],
  ] as const)
    expect(() => cache.bypass(bad as never)).toThrow(
      `tiers must be "all", "none" or a list of labels (memory, scripted), got ${got}`,
    );
  expect(seen).toEqual([]);
  cache.bypass(["memory"]);
  cache.bypass("all");
  cache.bypass("all");
  cache.bypass("none");
  expect(seen).toEqual(["memory bypassed", "scripted bypassed", "memory up", "scripted idle"]);
});

type Opened = ReturnType<typeof open>["cache"];
