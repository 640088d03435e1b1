/** Several processes, each with two composed backends. The tests force the interleavings and move the clock. */
import {
  BackendUnavailableError,
  compose,
  createCache,
  json,
  type Cache,
  type ComposeOptions,
  type Policy,
  type StoredEntry,
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

interface Options extends ComposeOptions {
  /** Whether both processes have the same store as `near`. @default false */
  readonly sharesNear?: boolean;
  readonly near?: Side;
  readonly far?: Side;
  readonly local?: boolean;
  readonly policy?: Policy;
}

const SIDE_WITH_MESSAGES: Side = { leases: true, tagVersions: true, coherence: "heard" };

/**
 * Two processes that receive each other's changes of `far`. Each has a store of its own as `near` unless they share it.
 */
async function twoProcesses(options: Options = {}) {
  const { sharesNear = false, near: nearOptions, far: farOptions, local = false, policy = {}, ...plan } = options;
  const clock = new TestClock();
  const [firstNear, firstFar] = [nearOptions, farOptions].map((side, i) =>
    scriptedBackend({ clock, label: ["near", "far"][i]!, ...SIDE_WITH_MESSAGES, ...side }),
  ) as [ScriptedBackend, ScriptedBackend];
  const start = (near: ScriptedBackend, far: ScriptedBackend): Process => {
    const builder = createCache({ name: "shop", clock });
    const composed = compose(near, far, plan);
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

/** An entry as a program without the library writes it. */
const foreign = (value: unknown): StoredEntry => ({
  data: json().encode(value),
  staleInMs: 3_600_000,
  expiresInMs: 3_600_000,
  meta: "",
});

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

describe("a copy in near is served without asking far", () => {
  it.each(READS)("%s: only after far was seen to hold the same write", async (read) => {
    const { p1, start } = await twoProcesses({ read, sharesNear: true });
    await p1.cache.set("k", "v");
    const late = start();
    await late.cache.connect();
    late.far.script("read", { fail: true, key: K, times: 2 });
    for (let i = 0; i < 2; i += 1) expect(await late.cache.get("k"), "as the fallback").toBe("v");
    expect(await late.cache.get("k")).toBe("v");
    late.far.script("read", { before: gate(), key: K });
    if (read === "freshest") return;
    expect(await late.cache.get("k"), "alone").toBe("v");
  });

  it("sequential: after far was asked once", async () => {
    const { p1, start } = await twoProcesses({ sharesNear: true });
    await p1.cache.set("k", "v");
    const late = start();
    await late.cache.connect();
    for (let i = 0; i < 3; i += 1) expect(await late.cache.get("k")).toBe("v");
    expect(await late.cache.getMany(["k"])).toEqual(new Map([["k", "v"]]));
    expect([reads(late.near), reads(late.far), late.near.count("write")]).toEqual([4, 1, 0]);
  });

  it("after an own write, with or without a message about it (C82)", async () => {
    for (const echoes of [false, true]) {
      const { p1 } = await twoProcesses({ far: { echoes } });
      for (const write of [
        () => p1.cache.set("k", "v"),
        () => p1.cache.delete("k").then(() => p1.cache.getOrSet("k", () => "v")),
      ]) {
        await write();
        await flush();
        expect(valueIn(p1.near)).toBe("v");
        for (const backend of [p1.near, p1.far]) backend.forgetCalls();
        for (let i = 0; i < 3; i += 1) expect(await p1.cache.get("k")).toBe("v");
        expect([reads(p1.near), reads(p1.far), p1.near.count("write")]).toEqual([3, 0, 0]);
      }
    }
  });

  it("after a refill from far", async () => {
    const { p1, p2 } = await twoProcesses();
    await p1.cache.set("k", "v");
    expect(await p2.cache.get("k")).toBe("v");
    await flush();
    expect(valueIn(p2.near)).toBe("v");
    for (const backend of [p2.near, p2.far]) backend.forgetCalls();
    expect(await p2.cache.get("k")).toBe("v");
    expect([reads(p2.near), reads(p2.far)]).toEqual([1, 0]);
  });

  it("after a refill of what a program without the library wrote to far", async () => {
    const { p1 } = await twoProcesses();
    p1.far.store.set(K, foreign("theirs"));
    expect(await p1.cache.get("k")).toBe("theirs");
    await settled(p1);
    expect(await p1.cache.get("k")).toBe("theirs");
    expect(reads(p1.far)).toBe(0);
  });

  it.each(["near", "far"] as const)(
    "when %s has no write versions, after a refill or an own write without a message",
    async (side) => {
      const { p1, p2 } = await twoProcesses({ far: { echoes: false }, [side]: { leases: false, echoes: false } });
      await p1.cache.set("k", "v");
      expect(await p2.cache.get("k")).toBe("v");
      await flush();
      for (const { cache, near, far } of [p1, p2]) {
        for (const backend of [near, far]) backend.forgetCalls();
        expect(await cache.get("k")).toBe("v");
        expect([reads(near), reads(far)]).toEqual([1, 0]);
      }
      await p2.cache.set("k", "w");
      expect(await p1.cache.get("k")).toBe("w");
    },
  );

  it("except to a call with a token, which far answers", async () => {
    for (const far of [{}, { leases: false }]) {
      const { p1, p2 } = await twoProcesses({ far });
      await p1.cache.set("k", "old");
      await p2.cache.get("k");
      await settled(p2);
      p2.far.link.hold();
      const { token } = await p1.cache.set("k", "new");
      expect(await p2.cache.get("k")).toBe("old");
      expect(await p2.cache.getOrSet("k", never, { after: token! })).toBe("new");
      p2.far.script("read", { fail: true, key: K, times: Infinity });
      p2.far.script("leases.acquire", { fail: true, key: K, times: Infinity });
      expect(await p2.cache.getOrSet("k", () => "loaded", { after: token! })).toBe("loaded");
    }
  });
});

describe("near, after a change in far,", () => {
  it.each(READS.flatMap((read) => WRITES.map((write) => [read, write] as const)))(
    "%s, %s: does not serve its copy after set, delete and markStale in another process (C81)",
    async (read, write) => {
      const { p1, p2 } = await twoProcesses({ read, write, policy: { staleIfError: "1h" } });
      await p1.cache.set("k", 1);
      expect(await p2.cache.get("k")).toBe(1);
      await settled(p2);
      await p1.cache.set("k", 2);
      expect(await p2.cache.get("k")).toBe(2);
      await settled(p2);
      await p1.cache.markStale("k");
      expect(await p2.cache.get("k")).toBeUndefined();
      expect(await p2.cache.get("k", { allowStale: true })).toBe(2);
      expect(await p2.cache.getOrSet("k", () => 3)).toBe(3);
      expect(await p1.cache.get("k")).toBe(3);
      await p1.cache.delete("k");
      await flush();
      expect(await p2.cache.get("k", { allowStale: true })).toBeUndefined();
      expect(valueIn(p2.near)).toBeUndefined();
    },
  );

  it("does not serve its copy after a change by a program without the library", async () => {
    const { p1 } = await twoProcesses();
    await p1.cache.set("k", "v");
    await settled(p1);
    p1.far.store.set(K, foreign("theirs"));
    expect(await p1.cache.get("k")).toBe("theirs");
    await settled(p1);
    p1.far.store.delete(K);
    expect(await p1.cache.get("k")).toBeUndefined();
    await flush();
    expect(valueIn(p1.near)).toBeUndefined();
  });

  it("has its copy removed in the background, unless it is the same write", async () => {
    const { p1, p2 } = await twoProcesses();
    await p1.cache.set("k", "v");
    await p2.cache.get("k");
    await settled(p2);
    // Freeing a lease is reported as a change.
    await p1.far.leases!.acquire(K, "t".repeat(16), 10_000, p1.far.store.get(K)!.version!);
    await p1.far.leases!.release(K, "t".repeat(16));
    await flush();
    expect([p2.near.count("remove"), valueIn(p2.near)]).toEqual([0, "v"]);
    await p1.cache.set("k", "w");
    await flush();
    expect([p2.near.count("remove"), valueIn(p2.near)]).toEqual([1, undefined]);
  });

  it("does not serve its copy while the copy is being removed", async () => {
    const { p1, p2 } = await twoProcesses();
    await p1.cache.set("k", "v");
    await p2.cache.get("k");
    await settled(p2);
    const removing = gate();
    p2.near.script("remove", { before: removing });
    await p1.cache.delete("k");
    await removing.arrived();
    expect(await p2.cache.get("k", { allowStale: true })).toBeUndefined();
    p2.far.script("read", { fail: true, key: K });
    expect(await p2.cache.get("k", { allowStale: true }), "while far fails").toBeUndefined();
    // Later calls of the key wait until the removal has ended.
    const set = p2.cache.set("k", "new");
    expect(await outcome(set)).toEqual({ status: "pending" });
    removing.open();
    await set;
    expect(valueIn(p2.near)).toBe("new");
  });

  it("does not serve its copy when the removal fails", async () => {
    const { p1, p2 } = await twoProcesses();
    await p1.cache.set("k", "v");
    await p2.cache.get("k");
    await settled(p2);
    p2.near.script("remove", { fail: true });
    await p1.cache.delete("k");
    await flush();
    expect([valueIn(p2.near), p2.near.count("remove")]).toEqual(["v", 1]);
    p2.far.script("read", { fail: true, key: K, times: 3 });
    for (let i = 0; i < 3; i += 1) expect(await p2.cache.get("k")).toBeUndefined();
    expect(await p2.cache.get("k")).toBeUndefined();
    expect(p2.cache.stats().pending).toBe(0);
  });

  it("does not serve a copy that a program without the library or a slow process wrote", async () => {
    const { p1 } = await twoProcesses();
    await p1.cache.set("k", "old");
    const old = p1.near.store.get(K)!;
    await p1.cache.set("k", "new");
    for (const entry of [old, foreign("theirs"), { ...foreign("theirs"), version: "a".repeat(16) }]) {
      await settled(p1);
      p1.near.store.set(K, entry);
      expect(await p1.cache.get("k")).toBe("new");
      await flush();
      expect(valueIn(p1.near)).toBe("new");
    }
  });

  it("does not serve its copy when the change comes while both copies are being compared", async () => {
    const { p1, p2 } = await twoProcesses();
    await p1.cache.set("k", "v");
    await p2.cache.get("k");
    await settled(p2);
    p2.far.link.everything();
    const answering = gate();
    p2.far.script("read", { after: answering, key: K });
    const read = p2.cache.get("k");
    await answering.arrived();
    await p1.cache.set("k", "w");
    answering.open();
    expect(await read).toBe("v");
    expect(await p2.cache.get("k")).toBe("w");
  });

  it("has its copy removed when a second change comes while the first is being checked in far", async () => {
    const { p1, p2 } = await twoProcesses();
    await p1.cache.set("k", "v");
    await p2.cache.get("k");
    await settled(p2);
    const answering = gate();
    p2.far.script("leases.confirm", { after: answering });
    await p1.far.leases!.acquire(K, "t".repeat(16), 10_000, p1.far.store.get(K)!.version!);
    await p1.far.leases!.release(K, "t".repeat(16));
    await answering.arrived();
    await p1.cache.set("k", "w");
    answering.open();
    await flush();
    expect([p2.far.count("leases.confirm"), valueIn(p2.near)]).toEqual([2, undefined]);
  });

  it("keeps a copy refilled while the change is being checked in far", async () => {
    const { p1, p2 } = await twoProcesses();
    await p1.cache.set("k", "v");
    await p2.cache.get("k");
    await settled(p2);
    const answering = gate();
    p2.far.script("leases.confirm", { after: answering });
    await p1.cache.set("k", "w");
    await answering.arrived();
    const copying = gate();
    p2.near.script("write", { before: copying });
    expect(await p2.cache.get("k")).toBe("w");
    await copying.arrived();
    answering.open();
    await flush();
    copying.open();
    await flush();
    expect([valueIn(p2.near), p2.near.count("remove")]).toEqual(["w", 0]);
  });

  it("keeps a value set by this process while the change is being checked in far", async () => {
    const { p1, p2 } = await twoProcesses({ far: { echoes: false } });
    await p1.cache.set("k", "v");
    await p2.cache.get("k");
    await settled(p2);
    const answering = gate();
    p2.far.script("leases.confirm", { after: answering });
    await p1.cache.set("k", "w");
    await answering.arrived();
    await p2.cache.set("k", "x");
    answering.open();
    await flush();
    expect([valueIn(p2.near), p2.near.count("remove")]).toEqual(["x", 0]);
  });

  it("has an own write checked once, whenever its message arrives", async () => {
    const { p1 } = await twoProcesses();
    const writing = gate();
    p1.far.script("write", { before: writing });
    const set = p1.cache.set("k", "v");
    await flush();
    writing.open();
    await set;
    await flush();
    expect([p1.far.count("leases.confirm"), valueIn(p1.near)]).toEqual([1, "v"]);
  });

  it("does not serve its copy when the change comes during a read", async () => {
    const { p1, p2 } = await twoProcesses({ sharesNear: true });
    await p1.cache.set("k", "v");
    const answering = gate();
    p2.far.script("read", { after: answering, key: K });
    const read = p2.cache.get("k");
    await answering.arrived();
    await p1.cache.delete("k");
    answering.open();
    expect(await read).toBe("v");
    await flush();
    expect(await p2.cache.get("k")).toBeUndefined();
    expect(valueIn(p2.near)).toBeUndefined();
  });

  it.each([true, false])(
    "does not serve an old value that another process refills late, with own changes reported: %s",
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

  it("does not use an old value as fallback that another process refilled late over this process's write", async () => {
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

  it("serves far's last value when the writes of two processes reach the backends in different orders", async () => {
    const { p1, p2 } = await twoProcesses({ sharesNear: true });
    const arriving = gate();
    p1.near.script("write", { before: arriving });
    const first = p1.cache.set("k", "first");
    await arriving.arrived();
    await p2.cache.set("k", "second");
    arriving.open();
    await first;
    await flush();
    expect([valueIn(p1.far), await p1.cache.get("k"), await p2.cache.get("k")]).toEqual(["second", "second", "second"]);
    await settled(p1);
    expect(valueIn(p1.near)).toBe("second");
  });

  it("does not serve its copy with backends that report hashed keys", async () => {
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
      await p1.cache.set("k", "w", { tags: ["t"] });
      expect(await p2.cache.get("k")).toBe("w");
      await flush();
      await p1.cache.invalidateTags("t");
      expect(await p2.cache.get("k")).toBeUndefined();
    }
  });

  it("does not serve its copy in compositions of three backends", async () => {
    for (const shape of ["near", "far"] as const) {
      const clock = new TestClock();
      const firsts = ["near", "middle", "far"].map((label) =>
        scriptedBackend({ clock, label, ...SIDE_WITH_MESSAGES }),
      ) as [ScriptedBackend, ScriptedBackend, ScriptedBackend];
      const open = ([near, middle, far]: readonly [ScriptedBackend, ScriptedBackend, ScriptedBackend]) =>
        createCache({ name: "shop", clock })
          .tier(shape === "near" ? compose(compose(near, middle), far) : compose(near, compose(middle, far)))
          .defaults({ ttl: "1h" })
          .build();
      const p1 = open(firsts);
      const its = [
        scriptedBackend({ clock, label: "near", ...SIDE_WITH_MESSAGES }),
        firsts[1].peer(),
        firsts[2].peer(),
      ] as const;
      const p2 = open([...its]);
      for (const cache of [p1, p2]) await cache.connect();
      const loads = gatedLoads<string>();
      const both = [p1.getOrSet("k", loads.load), p2.getOrSet("k", loads.load)];
      await loads.arrived(1);
      await flush();
      loads.runs[0]!.open("v");
      expect([await Promise.all(both), loads.runs.length]).toEqual([["v", "v"], 1]);
      await flush();
      expect(firsts.map((each) => each.store.get(K)?.version)).toEqual(Array(3).fill(firsts[2].store.get(K)!.version));
      for (let i = 0; i < 3; i += 1) expect(await p2.get("k")).toBe("v");
      expect(its.map((each) => reads(each))[2]).toBeLessThan(4);
      for (const each of its) each.forgetCalls();
      expect(await p2.get("k")).toBe("v");
      expect(its.map((each) => reads(each))).toEqual([1, 0, 0]);
      await p1.set("k", "w");
      await flush();
      expect(await p2.get("k")).toBe("w");
      await p1.delete("k");
      await flush();
      expect([await p2.get("k"), ...its.map((each) => valueIn(each))]).toEqual([
        undefined,
        undefined,
        undefined,
        undefined,
      ]);
    }
  });
});

describe("while messages from far are interrupted", () => {
  it("no copy in near is served alone after maxStaleness (C86)", async () => {
    const { p1, p2, clock } = await twoProcesses();
    await p1.cache.set("k", "old");
    await p2.cache.get("k");
    await settled(p2);
    p2.far.link.hold();
    await p1.cache.set("k", "new");
    clock.advance(1_999);
    expect(await p2.cache.get("k")).toBe("old");
    clock.advance(1);
    expect(await p2.cache.get("k")).toBe("new");
    expect(reads(p2.far)).toBe(1);
  });

  it("no copy in near is served alone while the link is lost, and each older copy is confirmed once afterwards (C86)", async () => {
    const { p1, p2, clock } = await twoProcesses();
    await p1.cache.set("k", "v");
    await p2.cache.get("k");
    await settled(p2);
    p2.far.link.lose();
    for (let i = 0; i < 2; i += 1) expect(await p2.cache.get("k")).toBe("v");
    expect(reads(p2.far)).toBe(2);
    p2.far.link.heal();
    await elapse(clock, 2);
    p2.far.forgetCalls();
    for (let i = 0; i < 3; i += 1) expect(await p2.cache.get("k")).toBe("v");
    expect([reads(p2.far), p2.near.count("write")]).toEqual([1, 0]);
    p2.far.link.everything();
    for (let i = 0; i < 3; i += 1) expect(await p2.cache.get("k")).toBe("v");
    expect(reads(p2.far)).toBe(2);
  });

  it("a value changed meanwhile is not served", async () => {
    const { p1, p2, clock } = await twoProcesses({ local: true });
    await p1.cache.set("k", "old");
    await p2.cache.get("k");
    await settled(p2);
    p2.far.link.lose();
    await p1.cache.set("k", "new");
    expect(await p2.cache.get("k")).toBe("new");
    await p1.cache.delete("k");
    expect(await p2.cache.get("k")).toBeUndefined();
    p2.far.link.heal();
    await elapse(clock, 2);
    expect(await p2.cache.get("k")).toBeUndefined();
  });

  it("a copy found before messages arrived is confirmed (C87)", async () => {
    const { p1, start } = await twoProcesses({ sharesNear: true });
    await p1.cache.set("k", "old");
    const late = start();
    const attaching = gate();
    late.far.script("attach", { before: attaching });
    expect(await late.cache.get("k")).toBe("old");
    await p1.cache.set("k", "new");
    await flush();
    attaching.open();
    await flush();
    expect(await late.cache.get("k")).toBe("new");
  });

  it("a lost link to near does not change which backends are asked", async () => {
    const { p1 } = await twoProcesses();
    await p1.cache.set("k", "v");
    await settled(p1);
    p1.near.link.lose();
    expect(await p1.cache.get("k")).toBe("v");
    expect([reads(p1.near), reads(p1.far)]).toEqual([1, 0]);
  });
});

describe("while far is unreachable", () => {
  /** `k` is known to P2 from before, and stored in its `near`. */
  async function withFarUnreachable(options: Options = {}) {
    const opened = await twoProcesses(options);
    const { p1, p2 } = opened;
    await p1.cache.set("k", "v", { tags: ["t"] });
    await p2.cache.get("k");
    await settled(p2);
    p2.far.down();
    p2.far.link.lose();
    return opened;
  }

  it.each(READS)("%s: near's entry is the fallback, and no local copy of it is trusted afterwards", async (read) => {
    const { p1, p2, clock } = await withFarUnreachable({ read, local: true });
    // The local copy ends, and the entry in near remains.
    await p1.cache.set("k", "new");
    expect(await p2.cache.get("k")).toBe("v");
    expect(await p2.cache.getOrSet("k", never)).toBe("v");
    p2.far.up();
    p2.far.link.heal();
    await elapse(clock, 2);
    expect(p2.cache.peek("k")).toBeUndefined();
    expect(await p2.cache.get("k")).toBe("new");
  });

  it("a single failed read of far makes no trusted local copy", async () => {
    const { p1, start } = await twoProcesses({ sharesNear: true, local: true });
    await p1.cache.set("k", "old");
    const stale = p1.near.store.get(K)!;
    await p1.cache.set("k", "new");
    const late = start();
    await late.cache.connect();
    late.near.store.set(K, stale);
    late.far.script("read", { fail: true, key: K });
    expect(await late.cache.get("k")).toBe("old");
    expect(late.cache.peek("k")).toBeUndefined();
    expect(await late.cache.get("k")).toBe("new");
  });

  it("an entry reported as changed is not the fallback", async () => {
    const { p1, p2 } = await twoProcesses({ near: { leases: true } });
    await p1.cache.set("k", "v");
    await p2.cache.get("k");
    await settled(p2);
    p2.near.script("remove", { fail: true, times: Infinity });
    await p1.cache.set("k", "w");
    await flush();
    p2.far.down();
    p2.far.link.lose();
    expect(await p2.cache.get("k")).toBeUndefined();
  });

  it("an entry whose tag was reported as invalidated is not the fallback", async () => {
    const { p1, p2 } = await twoProcesses();
    await p1.cache.set("k", "v", { tags: ["t"] });
    await p1.cache.set("l", "w");
    for (const key of ["k", "l"]) expect(await p2.cache.get(key)).toBeDefined();
    await settled(p2);
    await p1.cache.invalidateTags("t");
    p2.far.down();
    p2.far.link.lose();
    expect([await p2.cache.get("k"), await p2.cache.get("l")]).toEqual([undefined, "w"]);
  });

  it("loads and writes are stored in near and served, and far is cleaned up when it is back", async () => {
    const { p1, p2, clock } = await withFarUnreachable();
    expect(await p2.cache.set("k", "set")).toMatchObject({ status: "stored" });
    expect(await p2.cache.getOrSet("l", () => "loaded")).toBe("loaded");
    expect([await p2.cache.get("k"), await p2.cache.getOrSet("l", never), valueIn(p2.near, "shop::l")]).toEqual([
      "set",
      "loaded",
      "loaded",
    ]);
    expect(p2.cache.stats().pending).toBe(2);
    await p1.cache.set("l", "newer");
    p2.far.up();
    p2.far.link.heal();
    await elapse(clock, 40);
    expect(p2.cache.stats().pending).toBe(0);
    expect([await p2.cache.get("k"), await p1.cache.get("k")]).toEqual([undefined, undefined]);
    expect(await p2.cache.getOrSet("l", () => "again")).toBe("again");
    expect(await p1.cache.get("l")).toBe("again");
  });

  it("a lease request does not return an entry of far that is waiting for removal", async () => {
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

  it("a lease request waits for the removal of an older entry", async () => {
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

  it("after more changes than can be remembered only later loads are the fallback", async () => {
    const { p1, p2, start, clock } = await twoProcesses({ sharesNear: true });
    await p1.cache.set("k", "v");
    const late = start();
    await late.cache.connect();
    await late.cache.get("unknown");
    late.near.forgetCalls();
    late.far.forgetCalls();
    for (let i = 0; i < 20_000; i += 1) p2.far.store.set(`shop::other-${i}`, foreign(i));
    await flush();
    expect([late.near.count(), late.far.count()], "absent keys cost nothing (C89)").toEqual([0, 0]);
    clock.advance(10);
    await p1.cache.getOrSet("l", () => "w");
    late.far.down();
    late.far.link.lose();
    expect([await late.cache.get("k"), await late.cache.get("l")]).toEqual([undefined, "w"]);
  });
});

describe("while far is unreachable, with entries that differ", () => {
  it("an entry that differed from far's is not the fallback", async () => {
    const { p1, start } = await twoProcesses({ sharesNear: true, refill: "never" });
    await p1.cache.set("k", "old");
    const old = p1.near.store.get(K)!;
    await p1.cache.set("k", "new");
    p1.near.store.set(K, old);
    const late = start();
    await late.cache.connect();
    expect(await late.cache.get("k")).toBe("new");
    late.far.down();
    expect(await late.cache.get("k")).toBeUndefined();
  });

  it.each(READS)(
    "%s: a fallback from a further backend does not count as confirmed and is not copied",
    async (read) => {
      const clock = new TestClock();
      const [near, middle, far] = ["near", "middle", "far"].map((label) =>
        scriptedBackend({ clock, label, ...SIDE_WITH_MESSAGES }),
      ) as [ScriptedBackend, ScriptedBackend, ScriptedBackend];
      const cache = createCache({ name: "shop", clock })
        .tier(compose(near, compose(middle, far), { read }))
        .defaults({ ttl: "1h" })
        .build();
      await cache.connect();
      await cache.set("k", "v");
      await settled({ cache, near, far });
      far.down();
      far.link.lose();
      expect(await cache.get("k")).toBe("v");
      middle.down();
      expect(await cache.get("k")).toBe("v");
      middle.up();
      near.store.delete(K);
      expect(await cache.get("k")).toBe("v");
      await flush();
      expect(valueIn(near)).toBeUndefined();
    },
  );
});

describe("many messages at once", () => {
  it("about keys in near are checked at most 100 at a time, and no old entry is served meanwhile", async () => {
    const { p1, p2 } = await twoProcesses();
    const keys = Array.from({ length: 500 }, (_, i) => `k${i}`);
    await p1.cache.setMany(keys.map((key) => [key, "old"] as const));
    expect((await p2.cache.getMany(keys)).size).toBe(500);
    await flush();
    const confirming = gate();
    const restore = p2.far.script("leases.confirm", { before: confirming, times: Infinity });
    p2.far.forgetCalls();
    await p1.cache.setMany(keys.map((key) => [key, "new"] as const));
    await flush();
    expect(p2.far.count("leases.confirm")).toBe(100);
    expect(new Set((await p2.cache.getMany(keys)).values())).toEqual(new Set(["new"]));
    restore();
    confirming.open();
    await flush(50);
    expect(p2.cache.stats().pending).toBe(0);
    expect(new Set((await p2.cache.getMany(keys)).values())).toEqual(new Set(["new"]));
  });

  it("are finished by close, within its timeout", async () => {
    const { p1, p2, clock } = await twoProcesses();
    await p1.cache.set("k", "v");
    await p2.cache.get("k");
    await settled(p2);
    const removing = gate();
    p2.near.script("remove", { before: removing });
    await p1.cache.delete("k");
    await removing.arrived();
    const closing = p2.cache.close();
    expect(await outcome(closing)).toEqual({ status: "pending" });
    removing.open();
    await closing;
    expect(p2.near.isClosed).toBe(true);

    const hanging = gate();
    await p1.cache.set("k", "v");
    await settled(p1);
    p1.near.script("remove", { before: hanging });
    p1.far.store.delete(K);
    await hanging.arrived();
    const closed = p1.cache.close({ timeout: 100 });
    for (let i = 0; i < 3; i += 1) {
      await flush();
      clock.advance(2_000);
    }
    await closed;
  });
});

describe("leases of composed backends", () => {
  it.each(WRITES)("%s: one of two processes loads a cold key with a lease from far (C52)", async (write) => {
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

  it.each(WRITES)("%s: an overtaken load is stored nowhere (C61)", async (write) => {
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

  it.each(READS)("%s: a refresh gets its lease at once, with the version that far holds", async (read) => {
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

  it("a refresh ahead of an entry from near alone gets its lease at once", async () => {
    const { p1, clock } = await twoProcesses({ far: { echoes: false }, policy: { ttl: "10s", refreshAhead: 0.5 } });
    await p1.cache.set("k", 1);
    clock.advance("6s");
    p1.far.forgetCalls();
    expect(await p1.cache.getOrSet("k", () => 2)).toBe(1);
    await flush();
    expect([p1.far.count("leases.acquire"), reads(p1.far), valueIn(p1.near), valueIn(p1.far)]).toEqual([1, 0, 2, 2]);
  });

  it("a lease request that finds a newly stored entry returns it if its tag versions are current", async () => {
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

  it("are renewed during a load and freed when it fails (C54, C56)", async () => {
    const { p1, p2, clock } = await twoProcesses();
    const loads = gatedLoads<string>();
    const first = p1.cache.getOrSet("k", loads.load).catch((error: Error) => error.message);
    await loads.arrived(1);
    const second = p2.cache.getOrSet("k", () => "second");
    await elapse(clock, 12);
    expect(p1.far.count("leases.renew")).toBe(3);
    expect(await outcome(second)).toEqual({ status: "pending" });
    loads.runs[0]!.fail(new Error("no"));
    expect([await first, await second]).toEqual(["no", "second"]);
  });

  it("come from near when far has none", async () => {
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

  it("are not used when neither backend has any", async () => {
    const { p1 } = await twoProcesses({ near: { leases: false }, far: { leases: false } });
    expect(await p1.cache.getOrSet("k", () => "v")).toBe("v");
    expect(await p1.cache.get("k")).toBe("v");
    await flush();
    expect([valueIn(p1.near), valueIn(p1.far), p1.far.store.get(K)?.version]).toEqual(["v", "v", undefined]);
  });

  it.each(WRITES)("%s: a backend that missed the store of a load is not read for that key (C94)", async (write) => {
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
  });

  it.each(READS)("race, read by %s: a set value is read at once, before far has it", async (read) => {
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
  it("cost no call when they are known, except for calls with a token", async () => {
    const { p1, p2 } = await twoProcesses();
    const { token } = await p1.cache.set("k", "v", { tags: ["t"] });
    for (let i = 0; i < 2; i += 1) expect(await p2.cache.get("k")).toBe("v");
    await settled(p2);
    expect(await p2.cache.get("k")).toBe("v");
    expect(p2.far.count()).toBe(0);
    expect(await p2.cache.getMany(["k", "l"])).toEqual(new Map([["k", "v"]]));
    expect(p2.far.calls.filter(({ operation }) => operation.startsWith("tags"))).toEqual([]);
    expect(await p2.cache.getOrSet("k", never, { after: token! })).toBe("v");
  });

  it("that changed do not answer a call with a token before the message, or any read after it", async () => {
    const { p1, p2 } = await twoProcesses();
    await p1.cache.set("k", "v", { tags: ["t"] });
    await p2.cache.get("k");
    await settled(p2);
    p2.far.link.hold();
    const { token } = await p1.cache.invalidateTags("t");
    expect(await p2.cache.get("k")).toBe("v");
    expect(await p2.cache.getOrSet("k", () => "loaded", { after: token!, tags: ["t"] })).toBe("loaded");
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

  it("reach other processes from either backend (C67, C81)", async () => {
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

  it("allow no entry in near to answer a token when no backend has write versions and far sends no messages", async () => {
    const { p1, p2 } = await twoProcesses({
      nearTtl: "1h",
      near: { leases: false },
      far: { leases: false, coherence: "none" },
    });
    await p1.cache.set("k", "old");
    expect(await p2.cache.get("k")).toBe("old");
    await flush();
    const { token } = await p1.cache.set("k", "new", { ttl: "30m" });
    expect(await p2.cache.get("k")).toBe("old");
    expect(await p2.cache.getOrSet("k", never, { after: token! })).toBe("new");
  });

  it("are read each time when no messages report their changes", async () => {
    const { p1, p2 } = await twoProcesses({ nearTtl: "1h", far: { coherence: "none" } });
    await p1.cache.set("k", "v", { tags: ["t"] });
    for (let i = 0; i < 2; i += 1) expect(await p2.cache.get("k")).toBe("v");
    await p1.cache.invalidateTags("t");
    expect(await p2.cache.get("k")).toBeUndefined();
  });
});
