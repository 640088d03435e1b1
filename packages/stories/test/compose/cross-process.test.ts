/** Several processes, each with two composed backends. The tests force the interleavings and move the clock. */
import { compose, type ComposeOptions } from "@hotset/compose";
import { BackendUnavailableError, createCache, json, type Cache, type Policy } from "@hotset/core";
import { memory } from "@hotset/memory";
import {
  flush,
  gate,
  outcome,
  scriptedBackend,
  TestClock,
  type ScriptedBackend,
  type ScriptedBackendOptions,
} from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { gatedLoads } from "../support/processes.ts";
import { never } from "../support/stacks.ts";

const READS = ["sequential", "race"] as const;

/** The key `k` of the caches below, as a backend gets it. */
const K = "shop::k";

type Side = Omit<ScriptedBackendOptions, "clock">;

interface Process {
  readonly cache: Cache;
  readonly near: ScriptedBackend;
  readonly far: ScriptedBackend;
}

interface Options extends Partial<ComposeOptions> {
  /** Whether both processes have the same store as `near`. @default false */
  readonly sharesNear?: boolean;
  readonly far?: Side;
  readonly local?: boolean;
  readonly policy?: Policy;
}

/**
 * Two processes that receive each other's changes of `far`. Each has its own store as `near` unless they share it.
 */
async function twoProcesses({ sharesNear, far: side, local, policy, nearTtl = "30m", ...plan }: Options = {}) {
  const clock = new TestClock();
  const firstNear = scriptedBackend({ clock, label: "near" });
  const reporting = { leases: true, tagVersions: true, coherence: "reported" } as const;
  const firstFar = scriptedBackend({ clock, label: "far", ...reporting, ...side });
  const start = (near: ScriptedBackend, far: ScriptedBackend): Process => {
    const builder = createCache({ name: "shop", clock });
    const backend = compose(near, far, { ...plan, nearTtl, clock });
    const cache = (local === true ? builder.tier(memory()).tier(backend) : builder.tier(backend))
      .defaults({ ttl: "1h", ...policy })
      .build();
    return { cache, near, far };
  };
  const secondNear = sharesNear === true ? firstNear.peer() : scriptedBackend({ clock, label: "near" });
  const [p1, p2] = [start(firstNear, firstFar), start(secondNear, firstFar.peer())];
  for (const { cache } of [p1, p2]) await cache.connect();
  return { clock, p1, p2 };
}

const valueIn = (backend: ScriptedBackend, key: string = K): unknown => {
  const stored = backend.store.get(key);
  return stored && json().decode(stored.data);
};

const reads = (backend: ScriptedBackend, key: string = K): number =>
  backend.calls.filter(({ operation, keys }) => operation.endsWith("read") && keys.includes(key)).length;

/** Advances the clock second by second, so that each due call is answered before the next second. */
async function elapse(clock: TestClock, seconds: number): Promise<void> {
  for (let s = 0; s < seconds; s += 1) {
    clock.advance("1s");
    await flush(2);
  }
}

describe("a copy in near", () => {
  it.each([true, false])(
    "hides a change by another process until nearTtl has passed, local tier: %s",
    async (local) => {
      for (const change of ["set", "delete", "markStale"] as const) {
        const { p1, p2, clock } = await twoProcesses({ nearTtl: "10s", local });
        await p1.cache.set("k", 1);
        clock.advance("1s");
        expect(await p2.cache.get("k")).toBe(1);
        await flush();
        await (change === "set" ? p1.cache.set("k", 2) : p1.cache[change]("k"));
        await elapse(clock, 9);
        expect([change, await p2.cache.get("k")]).toEqual([change, 1]);
        clock.advance("1s");
        await flush();
        expect([change, await p2.cache.get("k")]).toEqual([change, change === "set" ? 2 : undefined]);
      }
    },
  );

  it.each(READS)("%s: does not outlive nearTtl, counted from when far was asked", async (read) => {
    const { p1, p2, clock } = await twoProcesses({ nearTtl: "10s", read });
    await p1.cache.set("k", 1);
    p2.far.script("read", { after: 400, key: K });
    const found = p2.cache.get("k");
    await flush();
    clock.advance(400);
    expect(await found).toBe(1);
    await flush();
    expect(p2.near.store.get(K)?.expiresInMs).toBe(9_600);
    await p1.cache.set("k", 2);
    clock.advance(9_600);
    expect(await p2.cache.get("k")).toBe(2);
  });

  it("does not answer a call for what is current: far does", async () => {
    for (const far of [{}, { leases: false }]) {
      const { p1, p2 } = await twoProcesses({ far });
      await p1.cache.set("k", "old");
      await p2.cache.get("k");
      await flush();
      p2.far.link.hold();
      await p1.cache.set("k", "new");
      expect(await p2.cache.get("k")).toBe("old");
      expect(await p2.cache.getOrSet("k", never, { current: true })).toBe("new");
      p2.far.script("*", { fail: true, times: Infinity });
      expect(await p2.cache.getOrSet("k", () => "loaded", { current: true })).toBe("loaded");
    }
  });
});

describe("near never brings back", () => {
  /** The first process has changed `k`, and then the second one copies what it had found before. */
  async function lateCopy(change: (cache: Cache) => Promise<unknown>, far: Side = {}) {
    const { p1, p2, clock } = await twoProcesses({ sharesNear: true, far, policy: { staleIfError: "2h" } });
    await p1.cache.set("k", "v");
    p1.near.store.delete(K);
    const copying = gate();
    p2.near.script("write", { before: copying });
    expect(await p2.cache.get("k")).toBe("v");
    await copying.arrived();
    await change(p1.cache);
    p2.far.link.hold();
    copying.open();
    await flush();
    expect(valueIn(p1.near)).toBe("v");
    return { ...p1, clock };
  }

  it.each([true, false])(
    "what this process removed and another one copied there late, with own changes reported: %s",
    async (echoes) => {
      const { cache, far } = await lateCopy((each) => each.delete("k"), { echoes });
      for (let i = 0; i < 2; i += 1) expect(await cache.get("k")).toBeUndefined();
      far.down();
      far.link.lose();
      expect(await cache.get("k"), "while far is down").toBeUndefined();
    },
  );

  it("what this process replaced and another one copied there late", async () => {
    const { cache, far } = await lateCopy((each) => each.set("k", "w"));
    expect(await cache.get("k")).toBe("w");
    far.down();
    far.link.lose();
    expect(await cache.get("k", { allowStale: true })).not.toBe("v");
  });
});

describe("leases are those of far", () => {
  it("one of two processes loads a cold key (C52)", async () => {
    const { p1, p2 } = await twoProcesses();
    const loads = gatedLoads<string>();
    const both = [p1.cache.getOrSet("k", loads.load), p2.cache.getOrSet("k", loads.load)];
    await loads.arrived(1);
    await flush();
    loads.runs[0]!.open("v");
    expect([await Promise.all(both), loads.runs.length]).toEqual([["v", "v"], 1]);
    await flush();
    expect([valueIn(p1.near), valueIn(p2.near), valueIn(p1.far)]).toEqual(["v", "v", "v"]);
  });

  it("an overtaken load is stored nowhere (C61)", async () => {
    const { p1, p2 } = await twoProcesses({ local: true });
    for (const overtake of [() => p2.cache.delete("k"), async () => p2.far.store.delete(K)] as const) {
      await p1.cache.set("k", "old", { ttl: 1_000, staleIfError: "1h" });
      await p1.cache.markStale("k");
      const loads = gatedLoads<string>();
      const load = p1.cache.getOrSet("k", loads.load);
      await loads.arrived(1);
      await overtake();
      loads.runs[0]!.open("overtaken");
      expect(await load).toBe("overtaken");
      await flush();
      expect([valueIn(p1.near), valueIn(p1.far)]).not.toContain("overtaken");
      expect(await p1.cache.get("k", { allowStale: true })).toBeUndefined();
      expect(p1.cache.stats().pending).toBe(0);
    }
  });

  it("a refresh of what near alone answered gets its lease immediately", async () => {
    const { p1, clock } = await twoProcesses({ far: { echoes: false }, policy: { ttl: "10s", refreshAhead: 0.5 } });
    await p1.cache.set("k", 1);
    clock.advance("6s");
    p1.far.forgetCalls();
    expect(await p1.cache.getOrSet("k", () => 2)).toBe(1);
    await flush();
    expect([p1.far.count("leases.acquire"), reads(p1.far), valueIn(p1.near), valueIn(p1.far)]).toEqual([1, 0, 2, 2]);
  });

  it("a load without a lease is refused by the store of a far that is back, and stored nowhere", async () => {
    const { p1, p2 } = await twoProcesses();
    p1.far.script("leases.acquire", { fail: new BackendUnavailableError("away") });
    const loads = gatedLoads<string>();
    const load = p1.cache.getOrSet("k", loads.load);
    await loads.arrived(1);
    await p2.cache.set("k", "newer");
    loads.runs[0]!.open("older");
    expect(await load).toBe("older");
    await flush();
    expect([valueIn(p1.near), valueIn(p1.far), await p1.cache.get("k")]).toEqual([undefined, "newer", "newer"]);
  });
});

describe("tag versions are those of far", () => {
  it.each([{}, { tagVersions: false }, { tagVersions: false, leases: false }])(
    "also as entries: a call by one process is seen by the other immediately, far with %j",
    async (far) => {
      const { p1, p2 } = await twoProcesses({ local: true, far });
      for (const [caller, other] of [
        [p1, p2],
        [p2, p1],
      ] as const)
        for (const call of ["invalidateTags", "clear"] as const) {
          await caller.cache.set("k", "v", { tags: ["t"] });
          await other.cache.getOrSet("k", () => "v", { tags: ["t"] });
          await flush();
          await (call === "clear" ? caller.cache.clear() : caller.cache.invalidateTags("t"));
          await flush();
          expect([other.cache.peek("k"), await other.cache.get("k")]).toEqual([undefined, undefined]);
          // Copies are hidden, not removed.
          expect(valueIn(other.near)).toBe("v");
        }
    },
  );

  it.each(READS)(
    "%s: an entry of far that was invalidated before the call is not served, in either order of the answers",
    async (read) => {
      for (const first of ["entry", "versions"] as const) {
        const { p1, p2 } = await twoProcesses({ read, far: { coherence: "none" }, nearTtl: "1h" });
        await p1.cache.set("k", "old", { tags: ["t"] });
        p1.near.store.delete(K);
        await p2.cache.invalidateTags("t");
        const answers = { entry: gate(), versions: gate() };
        p1.far.script("read", { after: answers.entry, key: K });
        p1.far.script("tags.read", { after: answers.versions });
        const call = p1.cache.getOrSet("k", () => "new", { tags: ["t"] });
        await Promise.all([answers.entry.arrived(), answers.versions.arrived()]);
        answers[first].open();
        await flush();
        expect(await outcome(call)).toEqual({ status: "pending" });
        answers[first === "entry" ? "versions" : "entry"].open();
        expect(await call).toBe("new");
        await flush();
        expect([valueIn(p1.near), valueIn(p1.far)]).toEqual(["new", "new"]);
      }
    },
  );
});

describe("while the tag versions cannot be read", () => {
  it.each(READS)("%s: copies in near are served, one and many", async (read) => {
    const { p1 } = await twoProcesses({ read, far: { coherence: "none" } });
    await p1.cache.set("k", "v", { tags: ["t"] });
    await p1.cache.set("l", "w");
    p1.far.down();
    expect(await p1.cache.get("k")).toBe("v");
    expect(await p1.cache.getOrSet("k", never, { tags: ["t"] })).toBe("v");
    expect(await p1.cache.getMany(["k", "l", "m"])).toEqual(
      new Map([
        ["k", "v"],
        ["l", "w"],
      ]),
    );
    p1.near.store.delete(K);
    expect(await p1.cache.get("k")).toBeUndefined();
  });

  it("entries of far are not, and are not copied", async () => {
    const { p1, p2 } = await twoProcesses({ far: { coherence: "none" } });
    await p1.cache.setMany([
      ["k", "v"],
      ["l", "w"],
    ]);
    await p2.cache.clear();
    p1.near.store.delete(K);
    p1.far.script("tags.read", { fail: true, times: 3 });
    expect(await p1.cache.get("k")).toBeUndefined();
    expect(await p1.cache.getMany(["k", "l"])).toEqual(new Map([["l", "w"]]));
    expect(await p1.cache.get("k")).toBeUndefined();
    await flush();
    expect(p1.near.store.get(K)).toBeUndefined();
  });

  it("copies that this process invalidated are not, whether or not the call succeeded", async () => {
    for (const call of ["invalidateTags", "clear"] as const)
      for (const isReached of [true, false]) {
        const { p1 } = await twoProcesses({ far: { coherence: "none" } });
        const run = () => (call === "clear" ? p1.cache.clear() : p1.cache.invalidateTags("t"));
        await p1.cache.set("k", "v", { tags: ["t"] });
        if (!isReached) p1.far.down();
        await run();
        p1.far.down();
        for (let i = 0; i < 2; i += 1) expect(await p1.cache.get("k", { allowStale: true })).toBeUndefined();
      }
  });
});
