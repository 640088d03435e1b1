/** Several processes over two composed backends: interleavings are forced, time is moved by hand. */
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

/** The key `k` of the caches below, as a backend sees it. */
const K = "shop::k";

type Side = Omit<ScriptedBackendOptions, "clock">;

interface Process {
  readonly cache: Cache;
  readonly near: ScriptedBackend;
  readonly far: ScriptedBackend;
}

interface Options extends ComposeOptions {
  /** Whether both have the same store as `near`. @default false */
  readonly sharesNear?: boolean;
  readonly near?: Side;
  readonly far?: Side;
  readonly local?: boolean;
  readonly policy?: Policy;
}

const HEARD: Side = { leases: true, tagVersions: true, coherence: "heard" };

/** Two processes that hear of what the other changes in `far`, each with a store of its own as `near` unless they share it. */
async function inStep(options: Options = {}) {
  const { sharesNear = false, near: nearOptions, far: farOptions, local = false, policy = {}, ...plan } = options;
  const clock = new TestClock();
  const [firstNear, firstFar] = [nearOptions, farOptions].map((side, i) =>
    scriptedBackend({ clock, label: ["near", "far"][i]!, ...HEARD, ...side }),
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
    sharesNear ? firstNear.peer() : scriptedBackend({ clock, label: "near", ...HEARD, ...nearOptions });
  const [p1, p2] = [start(firstNear, firstFar), start(peerNear(), firstFar.peer())];
  for (const { cache } of [p1, p2]) await cache.connect();
  return { clock, p1, p2, start: () => start(peerNear(), firstFar.peer()) };
}

const valueIn = (backend: ScriptedBackend, key: string = K): unknown => {
  const stored = backend.store.get(key);
  return stored && json().decode(stored.data);
};

/** What a program without the library writes. */
const foreign = (value: unknown): StoredEntry => ({
  data: json().encode(value),
  staleInMs: 3_600_000,
  expiresInMs: 3_600_000,
  meta: "",
});

/** Entry reads alone, without those of tag versions. */
const reads = (backend: ScriptedBackend, key: string = K): number =>
  backend.calls.filter(({ operation, keys }) => operation.endsWith("read") && keys.includes(key)).length;

/** Until `near` answers `k` alone. */
async function settled({ cache, near, far }: Process): Promise<void> {
  await flush();
  await cache.get("k");
  await flush();
  for (const backend of [near, far]) backend.forgetCalls();
}

/** Seconds pass as they do: what falls due is answered before the next one. */
async function elapse(clock: TestClock, seconds: number): Promise<void> {
  for (let s = 0; s < seconds; s += 1) {
    clock.advance("1s");
    await flush(2);
  }
}

describe("a copy in near answers alone", () => {
  it.each(READS)("%s: when far was seen to hold the same write, and never before", async (read) => {
    const { p1, start } = await inStep({ read, sharesNear: true });
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

  it("sequential: far is asked once", async () => {
    const { p1, start } = await inStep({ sharesNear: true });
    await p1.cache.set("k", "v");
    const late = start();
    await late.cache.connect();
    for (let i = 0; i < 3; i += 1) expect(await late.cache.get("k")).toBe("v");
    expect(await late.cache.getMany(["k"])).toEqual(new Map([["k", "v"]]));
    expect([reads(late.near), reads(late.far), late.near.count("write")]).toEqual([4, 1, 0]);
  });

  it("after an own write, whether or not that is heard like any other (C82)", async () => {
    for (const echoes of [false, true]) {
      const { p1 } = await inStep({ far: { echoes } });
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

  it("after a copy was made of what far has", async () => {
    const { p1, p2 } = await inStep();
    await p1.cache.set("k", "v");
    expect(await p2.cache.get("k")).toBe("v");
    await flush();
    expect(valueIn(p2.near)).toBe("v");
    for (const backend of [p2.near, p2.far]) backend.forgetCalls();
    expect(await p2.cache.get("k")).toBe("v");
    expect([reads(p2.near), reads(p2.far)]).toEqual([1, 0]);
  });

  it("also of what another program wrote to far", async () => {
    const { p1 } = await inStep();
    p1.far.store.set(K, foreign("theirs"));
    expect(await p1.cache.get("k")).toBe("theirs");
    await settled(p1);
    expect(await p1.cache.get("k")).toBe("theirs");
    expect(reads(p1.far)).toBe(0);
  });

  it.each(["near", "far"] as const)(
    "where %s names no writes, after a copy was made, or an own write that nobody heard of",
    async (side) => {
      const { p1, p2 } = await inStep({ far: { echoes: false }, [side]: { leases: false, echoes: false } });
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

  it("and not for a call with a token, which far answers", async () => {
    for (const far of [{}, { leases: false }]) {
      const { p1, p2 } = await inStep({ far });
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

describe("what is heard of far is not served from near", () => {
  it.each(READS.flatMap((read) => WRITES.map((write) => [read, write] as const)))(
    "%s, %s: what another process set, deleted, marked stale (C81)",
    async (read, write) => {
      const { p1, p2 } = await inStep({ read, write, policy: { staleIfError: "1h" } });
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

  it("what another program did", async () => {
    const { p1 } = await inStep();
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

  it("is removed there behind, unless it is the same write", async () => {
    const { p1, p2 } = await inStep();
    await p1.cache.set("k", "v");
    await p2.cache.get("k");
    await settled(p2);
    // Freeing a lease is heard as a change.
    await p1.far.leases!.acquire(K, "t".repeat(16), 10_000, p1.far.store.get(K)!.version!);
    await p1.far.leases!.release(K, "t".repeat(16));
    await flush();
    expect([p2.near.count("remove"), valueIn(p2.near)]).toEqual([0, "v"]);
    await p1.cache.set("k", "w");
    await flush();
    expect([p2.near.count("remove"), valueIn(p2.near)]).toEqual([1, undefined]);
  });

  it("while it is being removed either", async () => {
    const { p1, p2 } = await inStep();
    await p1.cache.set("k", "v");
    await p2.cache.get("k");
    await settled(p2);
    const removing = gate();
    p2.near.script("remove", { before: removing });
    await p1.cache.delete("k");
    await removing.arrived();
    expect(await p2.cache.get("k", { allowStale: true })).toBeUndefined();
    p2.far.script("read", { fail: true, key: K });
    expect(await p2.cache.get("k", { allowStale: true }), "nor while far fails").toBeUndefined();
    // What is called meanwhile is sent when it was removed.
    const set = p2.cache.set("k", "new");
    expect(await outcome(set)).toEqual({ status: "pending" });
    removing.open();
    await set;
    expect(valueIn(p2.near)).toBe("new");
  });

  it("nor where it cannot be removed", async () => {
    const { p1, p2 } = await inStep();
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

  it("nor what another program, or a slow process, put into near", async () => {
    const { p1 } = await inStep();
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

  it("nor when it was heard while both were being compared", async () => {
    const { p1, p2 } = await inStep();
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

  it("nor when it was heard again while far was asked whether it is the same", async () => {
    const { p1, p2 } = await inStep();
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

  it("nor is what was copied anew meanwhile removed", async () => {
    const { p1, p2 } = await inStep();
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

  it("what this process has set meanwhile is not removed", async () => {
    const { p1, p2 } = await inStep({ far: { echoes: false } });
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

  it("an own write is asked for once, whenever it is heard", async () => {
    const { p1 } = await inStep();
    const writing = gate();
    p1.far.script("write", { before: writing });
    const set = p1.cache.set("k", "v");
    await flush();
    writing.open();
    await set;
    await flush();
    expect([p1.far.count("leases.confirm"), valueIn(p1.near)]).toEqual([1, "v"]);
  });

  it("nor when it was heard while a read was under way", async () => {
    const { p1, p2 } = await inStep({ sharesNear: true });
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
    "nor when it comes late from another process: a copy of what was; own writes are heard: %s",
    async (echoes) => {
      const { p1, p2 } = await inStep({ sharesNear: true, local: true, far: { echoes } });
      await p1.cache.set("k", "v");
      p1.near.store.delete(K);
      const copying = gate();
      p2.near.script("write", { before: copying });
      expect(await p2.cache.get("k")).toBe("v");
      await copying.arrived();
      expect(await p1.cache.delete("k")).toMatchObject({ status: "deleted" });
      // P2 is told of nothing, and has the old value written.
      p2.far.link.hold();
      copying.open();
      await flush();
      for (let i = 0; i < 2; i += 1) expect(await p1.cache.get("k")).toBeUndefined();
      expect(p1.cache.peek("k")).toBeUndefined();
      expect(valueIn(p1.near)).toBe("v");
      p1.far.down();
      p1.far.link.lose();
      expect(await p1.cache.get("k"), "nor does it stand in").toBeUndefined();
    },
  );

  it("nor does it stand in for what this process has set since", async () => {
    const { p1, p2 } = await inStep({ sharesNear: true });
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

  it("nor when two processes set it, and it comes to both sides in another order", async () => {
    const { p1, p2 } = await inStep({ sharesNear: true });
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

  it("also of keys that far names in a way of its own (hashed keys)", async () => {
    const alias = (key: string): string => `#${[...key].reverse().join("")}`;
    for (const side of ["near", "far", "both"] as const) {
      const { p1, p2 } = await inStep({
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

  it("through three levels", async () => {
    for (const shape of ["near", "far"] as const) {
      const clock = new TestClock();
      const firsts = ["near", "middle", "far"].map((label) => scriptedBackend({ clock, label, ...HEARD })) as [
        ScriptedBackend,
        ScriptedBackend,
        ScriptedBackend,
      ];
      const open = ([near, middle, far]: readonly [ScriptedBackend, ScriptedBackend, ScriptedBackend]) =>
        createCache({ name: "shop", clock })
          .tier(shape === "near" ? compose(compose(near, middle), far) : compose(near, compose(middle, far)))
          .defaults({ ttl: "1h" })
          .build();
      const p1 = open(firsts);
      const its = [scriptedBackend({ clock, label: "near", ...HEARD }), firsts[1].peer(), firsts[2].peer()] as const;
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

describe("while far is out of hearing", () => {
  it("no copy answers alone once maxStaleness has passed: far is asked (C86)", async () => {
    const { p1, p2, clock } = await inStep();
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

  it("nor while the link is lost; afterwards each copy from before is confirmed once (C86)", async () => {
    const { p1, p2, clock } = await inStep();
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

  it("what was missed meanwhile is not served", async () => {
    const { p1, p2, clock } = await inStep({ local: true });
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

  it("what was found before changes were heard is confirmed (C87)", async () => {
    const { p1, start } = await inStep({ sharesNear: true });
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

  it("near out of hearing is asked as before", async () => {
    const { p1 } = await inStep();
    await p1.cache.set("k", "v");
    await settled(p1);
    p1.near.link.lose();
    expect(await p1.cache.get("k")).toBe("v");
    expect([reads(p1.near), reads(p1.far)]).toEqual([1, 0]);
  });
});

describe("with far away", () => {
  /** P2 has `k` from before, in `near` alone. */
  async function away(options: Options = {}) {
    const opened = await inStep(options);
    const { p1, p2 } = opened;
    await p1.cache.set("k", "v", { tags: ["t"] });
    await p2.cache.get("k");
    await settled(p2);
    p2.far.down();
    p2.far.link.lose();
    return opened;
  }

  it.each(READS)("%s: what near has stands in, and no local copy of it is trusted afterwards", async (read) => {
    const { p1, p2, clock } = await away({ read, local: true });
    // The local copy ends, and near remains.
    await p1.cache.set("k", "new");
    expect(await p2.cache.get("k")).toBe("v");
    expect(await p2.cache.getOrSet("k", never)).toBe("v");
    p2.far.up();
    p2.far.link.heal();
    await elapse(clock, 2);
    expect(p2.cache.peek("k")).toBeUndefined();
    expect(await p2.cache.get("k")).toBe("new");
  });

  it("a read that fails by itself makes no trusted copy either", async () => {
    const { p1, start } = await inStep({ sharesNear: true, local: true });
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

  it("what was heard to have changed does not stand in", async () => {
    const { p1, p2 } = await inStep({ near: { leases: true } });
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

  it("a tag that was heard to be invalidated hides what is under it", async () => {
    const { p1, p2 } = await inStep();
    await p1.cache.set("k", "v", { tags: ["t"] });
    await p1.cache.set("l", "w");
    for (const key of ["k", "l"]) expect(await p2.cache.get(key)).toBeDefined();
    await settled(p2);
    await p1.cache.invalidateTags("t");
    p2.far.down();
    p2.far.link.lose();
    expect([await p2.cache.get("k"), await p2.cache.get("l")]).toEqual([undefined, "w"]);
  });

  it("loads and writes reach near, where they stand in, and far is cleaned up when it is back", async () => {
    const { p1, p2, clock } = await away();
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

  it("what waits to be removed there is not brought by who asks for the lease", async () => {
    const { p1, clock } = await inStep();
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

  it("who asks for the lease waits for it to be removed", async () => {
    const { p1 } = await inStep();
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

  it("what is too much to remember stands in only if it was loaded later", async () => {
    const { p1, p2, start, clock } = await inStep({ sharesNear: true });
    await p1.cache.set("k", "v");
    const late = start();
    await late.cache.connect();
    await late.cache.get("unknown");
    late.near.forgetCalls();
    late.far.forgetCalls();
    for (let i = 0; i < 20_000; i += 1) p2.far.store.set(`shop::other-${i}`, foreign(i));
    await flush();
    expect([late.near.count(), late.far.count()], "and absent keys cost nothing (C89)").toEqual([0, 0]);
    clock.advance(10);
    await p1.cache.getOrSet("l", () => "w");
    late.far.down();
    late.far.link.lose();
    expect([await late.cache.get("k"), await late.cache.get("l")]).toEqual([undefined, "w"]);
  });
});

describe("with far away, of two kinds", () => {
  it("what far was found not to hold does not stand in", async () => {
    const { p1, start } = await inStep({ sharesNear: true, refill: "never" });
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

  it.each(READS)("%s: what stands in further away decides nothing, and is not copied", async (read) => {
    const clock = new TestClock();
    const [near, middle, far] = ["near", "middle", "far"].map((label) =>
      scriptedBackend({ clock, label, ...HEARD }),
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
  });
});

describe("very many messages", () => {
  it("about keys that near holds: so many at a time are removed, and none is served meanwhile", async () => {
    const { p1, p2 } = await inStep();
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

  it("close waits for what is being removed, and no longer than it may", async () => {
    const { p1, p2, clock } = await inStep();
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

describe("leases", () => {
  it.each(WRITES)(
    "%s: a cold key is loaded by one of two processes, and the lease is that of far (C52)",
    async (write) => {
      const { p1, p2 } = await inStep({ write });
      const loads = gatedLoads<string>();
      const both = [p1.cache.getOrSet("k", loads.load), p2.cache.getOrSet("k", loads.load)];
      await loads.arrived(1);
      await flush();
      expect([p1.far.store.leaseHolder(K)?.length, p1.near.store.leaseHolder(K), p2.near.store.leaseHolder(K)]).toEqual(
        [16, undefined, undefined],
      );
      loads.runs[0]!.open("v");
      expect([await Promise.all(both), loads.runs.length]).toEqual([["v", "v"], 1]);
      await flush();
      expect(p1.near.store.get(K)?.version).toBe(p1.far.store.get(K)?.version);
      expect([valueIn(p1.near), valueIn(p2.near), valueIn(p1.far)]).toEqual(["v", "v", "v"]);
      expect(
        [p1, p2].flatMap(({ near }) => near.calls.filter(({ operation }) => operation.startsWith("leases"))),
      ).toEqual([]);
    },
  );

  it.each(WRITES)("%s: what was overtaken is stored nowhere (C61)", async (write) => {
    const { p1, p2 } = await inStep({ write, local: true });
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

  it.each(READS)("%s: what was seen is what far holds: a refresh is granted at once", async (read) => {
    const { p1, p2, clock } = await inStep({ read, policy: { ttl: "10s", staleIfError: "1h" } });
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

  it("also a refresh ahead of time, of what near answered alone", async () => {
    const { p1, clock } = await inStep({ far: { echoes: false }, policy: { ttl: "10s", refreshAhead: 0.5 } });
    await p1.cache.set("k", 1);
    clock.advance("6s");
    p1.far.forgetCalls();
    expect(await p1.cache.getOrSet("k", () => 2)).toBe(1);
    await flush();
    expect([p1.far.count("leases.acquire"), reads(p1.far), valueIn(p1.near), valueIn(p1.far)]).toEqual([1, 0, 2, 2]);
  });

  it("who asks for the lease when another process has stored is answered, as the tag versions leave it", async () => {
    const { p1, p2 } = await inStep();
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

  it("a load that fails frees it, and is renewed while it runs (C54, C56)", async () => {
    const { p1, p2, clock } = await inStep();
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

  it("are those of near where far has none", async () => {
    const { p1, p2 } = await inStep({ sharesNear: true, far: { leases: false } });
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

  it("there are none where neither has any", async () => {
    const { p1 } = await inStep({ near: { leases: false }, far: { leases: false } });
    expect(await p1.cache.getOrSet("k", () => "v")).toBe("v");
    expect(await p1.cache.get("k")).toBe("v");
    await flush();
    expect([valueIn(p1.near), valueIn(p1.far), p1.far.store.get(K)?.version]).toEqual(["v", "v", undefined]);
  });

  it.each(WRITES)("%s: the side that did not take what was stored is not read for it (C94)", async (write) => {
    const { p1, clock } = await inStep({ write });
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

  it.each(READS)("race, read by %s: what was set is read at once, before far has it", async (read) => {
    const { p1 } = await inStep({ read, write: "race" });
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

  it("race: whoever loaded has its value when far has stored it; near follows, and close waits for it", async () => {
    const { p1 } = await inStep({ write: "race" });
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

  it("what was loaded without one is refused by who is back when it is stored, and stored nowhere", async () => {
    const { p1, p2 } = await inStep();
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
    "%s: what near holds is not what was seen, whoever answers last",
    async (read) => {
      const { p1, clock } = await inStep({ read, policy: { ttl: "10s", staleIfError: "1h" } });
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

describe("tag versions", () => {
  it("that are known cost no trip; a call with a token asks for them", async () => {
    const { p1, p2 } = await inStep();
    const { token } = await p1.cache.set("k", "v", { tags: ["t"] });
    for (let i = 0; i < 2; i += 1) expect(await p2.cache.get("k")).toBe("v");
    await settled(p2);
    expect(await p2.cache.get("k")).toBe("v");
    expect(p2.far.count()).toBe(0);
    expect(await p2.cache.getMany(["k", "l"])).toEqual(new Map([["k", "v"]]));
    expect(p2.far.calls.filter(({ operation }) => operation.startsWith("tags"))).toEqual([]);
    expect(await p2.cache.getOrSet("k", never, { after: token! })).toBe("v");
  });

  it("that changed and were not heard of yet do not answer a token; nor any read, once they are heard of", async () => {
    const { p1, p2 } = await inStep();
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

  it("of another process are heard, in both sides (C67, C81)", async () => {
    for (const issuer of ["near", "far"] as const) {
      const { p1, p2 } = await inStep({
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

  it("and nothing in near is an answer to a token where neither names writes, and far is not heard", async () => {
    const { p1, p2 } = await inStep({
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

  it("that nobody reports changes of are asked for each time", async () => {
    const { p1, p2 } = await inStep({ nearTtl: "1h", far: { coherence: "none" } });
    await p1.cache.set("k", "v", { tags: ["t"] });
    for (let i = 0; i < 2; i += 1) expect(await p2.cache.get("k")).toBe("v");
    await p1.cache.invalidateTags("t");
    expect(await p2.cache.get("k")).toBeUndefined();
  });
});
