/** Several processes, each with two composed backends. The tests force the interleavings and move the clock. */
import {
  BackendUnavailableError,
  compose,
  createCache,
  json,
  type Cache,
  type ComposedBackend,
  type ComposeOptions,
  type Policy,
} from "@hotset/core";
import {
  flush,
  gate,
  outcome,
  scriptedBackend,
  TestClock,
  type ScriptedBackend,
  type ScriptedBackendOptions,
} from "@hotset/core/testing";
import { memory } from "@hotset/memory";
import { describe, expect, it } from "vitest";
import { gatedLoads } from "../support/processes.ts";
import { never } from "../support/stacks.ts";

const READS = ["sequential", "race", "freshest"] as const;
const WRITES = ["sequential", "parallel", "race"] as const;

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
  readonly near?: Side;
  readonly far?: Side;
  readonly local?: boolean;
  readonly policy?: Policy;
}

const SIDE_WITH_MESSAGES: Side = { leases: true, tagVersions: true, coherence: "reported" };

/**
 * Two processes that receive each other's changes of `far`. Each has a store of its own as `near` unless they share it.
 */
async function twoProcesses(options: Options = {}) {
  const { sharesNear = false, near: nearOptions, far: farOptions, local = false, policy = {}, ...plan } = options;
  const { nearTtl = "1h" } = options;
  const clock = new TestClock();
  const [firstNear, firstFar] = [nearOptions, farOptions].map((side, i) =>
    scriptedBackend({ clock, label: ["near", "far"][i]!, ...SIDE_WITH_MESSAGES, ...side }),
  ) as [ScriptedBackend, ScriptedBackend];
  const start = (near: ScriptedBackend, far: ScriptedBackend): Process => {
    const builder = createCache({ name: "shop", clock });
    const composed = compose(near, far, { ...plan, nearTtl });
    const cache = (local ? builder.tier(memory()).tier(composed) : builder.tier(composed))
      .defaults({ ttl: "1h", ...policy })
      .build();
    return { cache, near, far };
  };
  const peerNear = () =>
    sharesNear ? firstNear.peer() : scriptedBackend({ clock, label: "near", ...SIDE_WITH_MESSAGES, ...nearOptions });
  const [p1, p2] = [start(firstNear, firstFar), start(peerNear(), firstFar.peer())];
  for (const { cache } of [p1, p2]) await cache.connect();
  return { clock, p1, p2, start: () => start(peerNear(), firstFar.peer()) };
}

const valueIn = (backend: ScriptedBackend, key: string = K): unknown => {
  const stored = backend.store.get(key);
  return stored && json().decode(stored.data);
};

/** Counts reads of entries, without those of tag versions. */
const reads = (backend: ScriptedBackend, key: string = K): number =>
  backend.calls.filter(({ operation, keys }) => operation.endsWith("read") && keys.includes(key)).length;

/** Reads `k` until `near` answers it alone. */
async function settled({ cache, near, far }: Process): Promise<void> {
  await flush();
  await cache.get("k");
  await flush();
  for (const backend of [near, far]) backend.forgetCalls();
}

/** Advances the clock second by second, so that each due call is answered before the next second. */
async function elapse(clock: TestClock, seconds: number): Promise<void> {
  for (let s = 0; s < seconds; s += 1) {
    clock.advance("1s");
    await flush(2);
  }
}

it.each(READS)(
  "%s: an entry is found in far though its tag versions were issued after near was asked (C52)",
  async (read) => {
    const { p1, p2 } = await twoProcesses({ read });
    const slow = gate();
    p1.near.script("read", { before: slow, key: K });
    const reading = p1.cache.getOrSet("k", never);
    await slow.arrived();
    await p2.cache.set("k", "theirs", { tags: ["t"] });
    slow.open();
    expect(await reading).toBe("theirs");
  },
);

it("an entry is found in far though its tags were marked stale after near was asked (C52)", async () => {
  const { p1, p2 } = await twoProcesses({ read: "sequential", policy: { staleIfError: "1h" } });
  await p2.cache.set("k", "old", { tags: ["t"] });
  const slow = gate();
  p1.near.script("read", { before: slow, key: K });
  let loads = 0;
  const reading = p1.cache.getOrSet("k", () => `load ${(loads += 1)}`, { tags: ["t"] });
  await slow.arrived();
  await flush();
  await p2.cache.markTagsStale("t");
  await p2.cache.set("k", "theirs", { tags: ["t"] });
  slow.open();
  expect([await reading, loads]).toEqual(["theirs", 0]);
});

describe("an entry of far that its tag versions hide, where they cannot be read again", () => {
  it("is a miss, and the load has a lease (C52)", async () => {
    const { p1, p2 } = await twoProcesses({ far: { coherence: "none" } });
    await p2.cache.set("k", "old", { tags: ["t"] });
    await p2.cache.invalidateTags("t");
    const slow = gate();
    p1.near.script("read", { before: slow, key: K, fail: true });
    const reading = p1.cache.getOrSet("k", () => "loaded", { tags: ["t"] });
    await slow.arrived();
    await flush();
    p1.far.script("tags.read", { fail: true, times: Infinity });
    slow.open();
    expect(await reading).toBe("loaded");
    await flush();
    expect([p1.far.count("tags.read"), p1.far.count("leases.acquire"), valueIn(p1.far)]).toEqual([2, 1, "loaded"]);
  });

  it("is not served by a composition in a composition (C125)", async () => {
    const clock = new TestClock();
    const [a, b, c, far] = ["a", "b", "c", "far"].map((label) =>
      scriptedBackend({ clock, label, leases: true, tagVersions: true }),
    ) as [ScriptedBackend, ScriptedBackend, ScriptedBackend, ScriptedBackend];
    const start = (near: ScriptedBackend | ComposedBackend, other: ScriptedBackend): Cache =>
      createCache({ name: "shop", clock })
        .tier(compose(near, other, { nearTtl: "1h" }))
        .defaults({ ttl: "1h" })
        .build();
    const [p1, p2] = [start(compose(a, b, { nearTtl: "1h" }), far), start(c, far.peer())];
    for (const cache of [p1, p2]) await cache.connect();
    await p1.set("k", "old");
    a.store.delete(K);
    await p2.clear();
    const slow = gate();
    a.script("read", { before: slow, key: K });
    const reading = p1.get("k");
    await slow.arrived();
    await flush();
    far.script("tags.read", { fail: true, times: Infinity });
    slow.open();
    expect(await reading).toBeUndefined();
  });
});

describe("a copy in near", () => {
  it.each([true, false])(
    "hides a change by another process until nearTtl has passed, local tier: %s (C121)",
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

  it.each(READS)("%s: does not outlive nearTtl, counted from when far was asked (C121)", async (read) => {
    const { p1, p2, clock } = await twoProcesses({ nearTtl: "10s", read });
    await p1.cache.set("k", 1);
    p2.far.script("read", { after: 400, key: K });
    const found = p2.cache.get("k");
    await flush();
    clock.advance(400);
    expect(await found).toBe(1);
    await flush();
    expect(p2.near.store.get(K)).toMatchObject({ staleInMs: 9_600, expiresInMs: 9_600 });
    await p1.cache.set("k", 2);
    clock.advance(9_600);
    expect(await p2.cache.get("k")).toBe(2);
  });

  it("in a further backend is not copied for longer than it lives itself (C121)", async () => {
    const clock = new TestClock();
    const [near, middle, far] = ["near", "middle", "far"].map((label) => scriptedBackend({ clock, label })) as [
      ScriptedBackend,
      ScriptedBackend,
      ScriptedBackend,
    ];
    const cache = createCache({ name: "shop", clock })
      .tier(compose(near, compose(middle, far, { nearTtl: "10s" }), { nearTtl: "1h" }))
      .defaults({ ttl: "1h" })
      .build();
    await cache.set("k", "v");
    near.store.delete(K);
    clock.advance("4s");
    expect(await cache.get("k")).toBe("v");
    await flush();
    expect(near.store.get(K)?.expiresInMs).toBe(6_000);
  });

  it("answers alone, also for a process that shares near", async () => {
    const { p1, p2 } = await twoProcesses({ sharesNear: true });
    await p1.cache.set("k", "v");
    for (const { cache, far } of [p1, p2]) {
      far.forgetCalls();
      expect(await cache.get("k")).toBe("v");
      expect(reads(far)).toBe(0);
    }
  });

  it("does not answer a current call: far does (C125)", async () => {
    for (const far of [{}, { leases: false }]) {
      const { p1, p2 } = await twoProcesses({ far });
      await p1.cache.set("k", "old");
      await p2.cache.get("k");
      await settled(p2);
      p2.far.link.hold();
      await p1.cache.set("k", "new");
      expect(await p2.cache.get("k")).toBe("old");
      expect(await p2.cache.getOrSet("k", never, { current: true })).toBe("new");
      p2.far.script("read", { fail: true, key: K, times: Infinity });
      p2.far.script("leases.acquire", { fail: true, key: K, times: Infinity });
      expect(await p2.cache.getOrSet("k", () => "loaded", { current: true })).toBe("loaded");
    }
  });

  it("is checked against tag versions whose changes are reported under hashed keys (C81)", async () => {
    const alias = (key: string): string => `#${[...key].reverse().join("")}`;
    for (const side of ["near", "far", "both"] as const) {
      const { p1, p2 } = await twoProcesses({
        ...(side !== "far" && { near: { alias } }),
        ...(side !== "near" && { far: { alias } }),
        local: true,
      });
      await p1.cache.set("k", "v", { tags: ["t"] });
      expect(await p2.cache.get("k")).toBe("v");
      await settled(p2);
      await p1.cache.invalidateTags("t");
      expect(await p2.cache.get("k")).toBeUndefined();
    }
  });
});

describe("near never brings back", () => {
  it.each([true, false])(
    "a value that this process removed and another one copied there late, with own changes reported: %s (C124)",
    async (echoes) => {
      const { p1, p2 } = await twoProcesses({ sharesNear: true, local: true, far: { echoes } });
      await p1.cache.set("k", "v");
      p1.near.store.delete(K);
      const copying = gate();
      p2.near.script("write", { before: copying });
      expect(await p2.cache.get("k")).toBe("v");
      await copying.arrived();
      expect(await p1.cache.delete("k")).toMatchObject({ status: "deleted" });
      // P2 does not receive the message, and writes the old value.
      p2.far.link.hold();
      copying.open();
      await flush();
      for (let i = 0; i < 2; i += 1) expect(await p1.cache.get("k")).toBeUndefined();
      expect(p1.cache.peek("k")).toBeUndefined();
      expect(valueIn(p1.near)).toBe("v");
      p1.far.down();
      p1.far.link.lose();
      expect(await p1.cache.get("k"), "as the fallback").toBeUndefined();
    },
  );

  it("a value that this process replaced and another one copied there late (C124)", async () => {
    const { p1, p2 } = await twoProcesses({ sharesNear: true });
    await p1.cache.set("k", "v");
    p1.near.store.delete(K);
    const copying = gate();
    p2.near.script("write", { before: copying });
    await p2.cache.get("k");
    await copying.arrived();
    await p1.cache.set("k", "w");
    await flush();
    p2.far.link.hold();
    copying.open();
    await flush();
    expect(valueIn(p1.near)).toBe("v");
    p1.far.down();
    p1.far.link.lose();
    expect(await p1.cache.get("k")).toBeUndefined();
  });

  it("a value that this process marked stale and another one copied there late (C124)", async () => {
    const { p1, p2 } = await twoProcesses({ sharesNear: true, policy: { staleIfError: "1h" } });
    await p1.cache.set("k", "v");
    p1.near.store.delete(K);
    const copying = gate();
    p2.near.script("write", { before: copying });
    await p2.cache.get("k");
    await copying.arrived();
    await p1.cache.markStale("k");
    copying.open();
    await flush();
    expect(valueIn(p1.near)).toBe("v");
    expect([await p1.cache.get("k"), await p1.cache.get("k", { allowStale: true })]).toEqual([undefined, "v"]);
  });

  it("what this process changed: near is used again once it holds a later value (C124)", async () => {
    const { p1, p2 } = await twoProcesses({ sharesNear: true });
    await p1.cache.set("k", "v");
    await p1.cache.delete("k");
    await p2.cache.set("k", "later");
    expect(await p1.cache.get("k")).toBe("later");
    await flush();
    p1.far.forgetCalls();
    expect(await p1.cache.get("k")).toBe("later");
    expect(reads(p1.far)).toBe(0);
  });
});

describe("leases of composed backends", () => {
  it.each(WRITES)("%s: one of two processes loads a cold key with a lease from far (C52, C125)", async (write) => {
    const { p1, p2 } = await twoProcesses({ write });
    const loads = gatedLoads<string>();
    const both = [p1.cache.getOrSet("k", loads.load), p2.cache.getOrSet("k", loads.load)];
    await loads.arrived(1);
    await flush();
    expect([p1.far.store.leaseHolder(K)?.length, p1.near.store.leaseHolder(K), p2.near.store.leaseHolder(K)]).toEqual([
      16,
      undefined,
      undefined,
    ]);
    loads.runs[0]!.open("v");
    expect([await Promise.all(both), loads.runs.length]).toEqual([["v", "v"], 1]);
    await flush();
    expect(p1.near.store.get(K)?.version).toBe(p1.far.store.get(K)?.version);
    expect([valueIn(p1.near), valueIn(p2.near), valueIn(p1.far)]).toEqual(["v", "v", "v"]);
    expect(
      [p1, p2].flatMap(({ near }) => near.calls.filter(({ operation }) => operation.startsWith("leases"))),
    ).toEqual([]);
  });

  it.each(WRITES)("%s: an overtaken load is stored nowhere (C61, C125)", async (write) => {
    const { p1, p2 } = await twoProcesses({ write, local: true });
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
      expect([await p1.cache.get("k", { allowStale: true }), await p2.cache.get("k", { allowStale: true })]).toEqual([
        undefined,
        undefined,
      ]);
      expect(p1.cache.stats()).toMatchObject({ pending: 0 });
    }
  });

  it.each(READS)("%s: a refresh gets its lease at once, with the version that far holds (C125)", async (read) => {
    const { p1, p2, clock } = await twoProcesses({ read, policy: { ttl: "10s", staleIfError: "1h" } });
    await p1.cache.set("k", 1);
    for (const { cache, far } of [p2, p1]) {
      await cache.get("k");
      await flush();
      clock.advance("10s");
      far.forgetCalls();
      expect(await cache.getOrSet("k", () => 2)).toBe(2);
      expect(far.count("leases.acquire")).toBe(1);
    }
  });

  it("a refresh ahead of an entry from near alone gets its lease at once (C125)", async () => {
    const { p1, clock } = await twoProcesses({ far: { echoes: false }, policy: { ttl: "10s", refreshAhead: 0.5 } });
    await p1.cache.set("k", 1);
    clock.advance("6s");
    p1.far.forgetCalls();
    expect(await p1.cache.getOrSet("k", () => 2)).toBe(1);
    await flush();
    expect([p1.far.count("leases.acquire"), reads(p1.far), valueIn(p1.near), valueIn(p1.far)]).toEqual([1, 0, 2, 2]);
  });

  it("a lease request that finds a newly stored entry returns it if its tag versions are current (C125)", async () => {
    const { p1, p2 } = await twoProcesses();
    const asking = gate();
    p2.far.script("leases.acquire", { before: asking });
    const second = p2.cache.getOrSet("k", never);
    await asking.arrived();
    expect(await p1.cache.getOrSet("k", () => "loaded", { tags: ["t"] })).toBe("loaded");
    asking.open();
    expect(await second).toBe("loaded");

    const again = gate();
    await p1.cache.delete("k");
    p2.far.script("leases.acquire", { before: again });
    const third = p2.cache.getOrSet("k", () => "mine");
    await again.arrived();
    await p1.cache.set("k", "under t", { tags: ["t"] });
    await p1.cache.invalidateTags("t");
    again.open();
    expect(await third).toBe("mine");
  });

  it("a lease request does not return an entry of far that is waiting for removal (C123)", async () => {
    const { p1, clock } = await twoProcesses();
    await p1.cache.set("k", "old");
    p1.far.script("write", { fail: true, key: K });
    await p1.cache.set("k", "new");
    p1.far.script("remove", { fail: true, key: K, times: 3 });
    p1.near.store.delete(K);
    expect(await p1.cache.getOrSet("k", () => "loaded")).toBe("loaded");
    expect(await p1.cache.get("k")).not.toBe("old");
    await elapse(clock, 40);
    expect(p1.cache.stats().pending).toBe(0);
    expect(await p1.cache.get("k")).not.toBe("old");
  });

  it("a lease request waits for the removal of an older entry (C123)", async () => {
    const { p1 } = await twoProcesses();
    await p1.cache.set("k", "old");
    p1.far.script("write", { fail: true, key: K });
    await p1.cache.set("k", "new");
    const removing = gate();
    p1.far.script("remove", { before: removing });
    p1.near.store.delete(K);
    const loaded = p1.cache.getOrSet("k", () => "loaded");
    await removing.arrived();
    await flush();
    removing.open();
    expect(await loaded).toBe("loaded");
    expect([valueIn(p1.near), valueIn(p1.far)]).toEqual(["loaded", "loaded"]);
  });

  it("are renewed during a load and freed when it fails (C54, C56)", async () => {
    const { p1, p2, clock } = await twoProcesses();
    const loads = gatedLoads<string>();
    const first = p1.cache.getOrSet("k", loads.load).catch((error: Error) => error.message);
    await loads.arrived(1);
    const second = p2.cache.getOrSet("k", () => "second");
    await elapse(clock, 12);
    expect(p1.far.count("leases.renew")).toBe(12);
    expect(await outcome(second)).toEqual({ status: "pending" });
    loads.runs[0]!.fail(new Error("no"));
    expect([await first, await second]).toEqual(["no", "second"]);
  });

  it("come from near when far has none (C125)", async () => {
    const { p1, p2 } = await twoProcesses({ sharesNear: true, far: { leases: false } });
    const loads = gatedLoads<string>();
    const both = [p1.cache.getOrSet("k", loads.load), p2.cache.getOrSet("k", loads.load)];
    await loads.arrived(1);
    await flush();
    expect(p1.near.store.leaseHolder(K)).toHaveLength(16);
    loads.runs[0]!.open("v");
    expect([await Promise.all(both), loads.runs.length]).toEqual([["v", "v"], 1]);
    expect([await p1.cache.get("k"), await p2.cache.get("k")]).toEqual(["v", "v"]);
    await flush();
    expect([valueIn(p1.near), valueIn(p1.far)]).toEqual(["v", "v"]);

    const overtaken = p1.cache.getOrSet("l", loads.load);
    await loads.arrived(2);
    await p2.cache.delete("l");
    loads.runs[1]!.open("late");
    await overtaken;
    await flush();
    expect([valueIn(p1.near, "shop::l"), valueIn(p1.far, "shop::l")]).toEqual([undefined, undefined]);
  });

  it("are not used when both backends lack them", async () => {
    const { p1 } = await twoProcesses({ near: { leases: false }, far: { leases: false } });
    expect(await p1.cache.getOrSet("k", () => "v")).toBe("v");
    expect(await p1.cache.get("k")).toBe("v");
    await flush();
    expect([valueIn(p1.near), valueIn(p1.far), p1.far.store.get(K)?.version]).toEqual(["v", "v", undefined]);
  });

  it.each(WRITES)(
    "%s: a backend that missed the store of a load is not read for that key (C94, C123)",
    async (write) => {
      const { p1, clock } = await twoProcesses({ write });
      for (const side of ["near", "far"] as const) {
        await p1.cache.set("k", "old", { ttl: 1_000, staleIfError: "1h" });
        await p1.cache.markStale("k");
        await flush();
        p1[side].script(side === "far" ? "leases.store" : "write", { fail: true, key: K });
        p1[side].script("remove", { fail: true, key: K });
        expect(await p1.cache.getOrSet("k", () => "new")).toBe("new");
        await flush();
        expect(await p1.cache.get("k", { allowStale: true })).toBe("new");
        await elapse(clock, 40);
        expect(p1.cache.stats().pending).toBe(0);
        expect(await p1.cache.get("k", { allowStale: true })).not.toBe("old");
      }
    },
  );

  it.each(READS)("race, read by %s: a set value is read at once, before far has it (C123)", async (read) => {
    const { p1 } = await twoProcesses({ read, write: "race" });
    await p1.cache.set("k", "old");
    await settled(p1);
    const writing = gate();
    p1.far.script("write", { before: writing });
    expect(await p1.cache.set("k", "new")).toMatchObject({ status: "stored" });
    expect(await p1.cache.get("k")).toBe("new");
    writing.open();
    await flush();
    expect(await p1.cache.get("k")).toBe("new");
  });

  it("race: a load is answered once far has stored it; near follows, and close waits for it", async () => {
    const { p1 } = await twoProcesses({ write: "race" });
    const writing = gate();
    p1.near.script("write", { before: writing });
    expect(await p1.cache.getOrSet("k", () => "v")).toBe("v");
    expect([valueIn(p1.far), valueIn(p1.near)]).toEqual(["v", undefined]);
    const closing = p1.cache.close();
    expect(await outcome(closing)).toEqual({ status: "pending" });
    writing.open();
    await closing;
    expect(valueIn(p1.near)).toBe("v");
  });

  it("a load without a lease is refused by the store of a recovered far, and stored nowhere", async () => {
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

  it.each(["race", "freshest"] as const)(
    "%s: a refresh gets its lease for far's version and not near's, even if near answers last",
    async (read) => {
      const { p1, clock } = await twoProcesses({ read, policy: { ttl: "10s", staleIfError: "1h" } });
      await p1.cache.set("k", 1);
      const old = p1.near.store.get(K)!;
      await p1.cache.set("k", 2);
      p1.near.store.set(K, { ...old, staleInMs: 0 });
      clock.advance("10s");
      p1.far.forgetCalls();
      const answering = gate();
      p1.near.script("read", { after: answering });
      const refreshed = p1.cache.getOrSet("k", () => 3);
      await answering.arrived();
      await flush();
      answering.open();
      expect(await refreshed).toBe(3);
      expect(p1.far.count("leases.acquire")).toBe(1);
    },
  );
});

describe("tag versions of composed backends", () => {
  it("cost no call when they are known, except for current calls", async () => {
    const { p1, p2 } = await twoProcesses();
    await p1.cache.set("k", "v", { tags: ["t"] });
    for (let i = 0; i < 2; i += 1) expect(await p2.cache.get("k")).toBe("v");
    await settled(p2);
    expect(await p2.cache.get("k")).toBe("v");
    expect(p2.far.count()).toBe(0);
    expect(await p2.cache.getMany(["k", "l"])).toEqual(new Map([["k", "v"]]));
    expect(p2.far.calls.filter(({ operation }) => operation.startsWith("tags"))).toEqual([]);
    expect(await p2.cache.getOrSet("k", never, { current: true })).toBe("v");
  });

  it("that changed do not answer a current call before the message, or any read after it", async () => {
    const { p1, p2 } = await twoProcesses();
    await p1.cache.set("k", "v", { tags: ["t"] });
    await p2.cache.get("k");
    await settled(p2);
    p2.far.link.hold();
    await p1.cache.invalidateTags("t");
    expect(await p2.cache.get("k")).toBe("v");
    expect(await p2.cache.getOrSet("k", () => "loaded", { current: true, tags: ["t"] })).toBe("loaded");
    p2.far.link.deliver();
    for (const call of [() => p1.cache.invalidateTags("t"), () => p1.cache.clear()]) {
      await p1.cache.set("k", "v", { tags: ["t"] });
      await settled(p2);
      const answering = gate();
      p2.near.script("read", { after: answering });
      const read = p2.cache.get("k");
      await answering.arrived();
      await call();
      answering.open();
      expect(await read).toBeUndefined();
    }
  });

  it("reach other processes from either backend (C67, C81, C125)", async () => {
    for (const issuer of ["near", "far"] as const) {
      const { p1, p2 } = await twoProcesses({
        sharesNear: true,
        local: true,
        ...(issuer === "near" && { far: { tagVersions: false } }),
      });
      for (const call of [() => p1.cache.invalidateTags("t"), () => p1.cache.clear()]) {
        await p1.cache.set("k", "v", { tags: ["t"] });
        expect(await p2.cache.get("k")).toBe("v");
        await settled(p2);
        await call();
        expect([p2.cache.peek("k"), await p2.cache.get("k")]).toEqual([undefined, undefined]);
      }
    }
  });

  it("allow no entry in near to answer a current call when no backend has write versions and far sends no messages", async () => {
    const { p1, p2 } = await twoProcesses({
      nearTtl: "1h",
      near: { leases: false },
      far: { leases: false, coherence: "none" },
    });
    await p1.cache.set("k", "old");
    expect(await p2.cache.get("k")).toBe("old");
    await flush();
    await p1.cache.set("k", "new", { ttl: "30m" });
    expect(await p2.cache.get("k")).toBe("old");
    expect(await p2.cache.getOrSet("k", never, { current: true })).toBe("new");
  });

  it("are read each time when no messages report their changes", async () => {
    const { p1, p2 } = await twoProcesses({ nearTtl: "1h", far: { coherence: "none" } });
    await p1.cache.set("k", "v", { tags: ["t"] });
    for (let i = 0; i < 2; i += 1) expect(await p2.cache.get("k")).toBe("v");
    await p1.cache.invalidateTags("t");
    expect(await p2.cache.get("k")).toBeUndefined();
  });
});
