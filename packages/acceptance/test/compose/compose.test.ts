import {
  BackendUnavailableError,
  brotli,
  compose,
  ConfigurationError,
  createCache,
  EncodeError,
  gzip,
  json,
  passthrough,
  v8,
  type Cache,
  type ComposedBackend,
  type ComposeOptions,
  type Compressor,
  type Format,
  type Policy,
  type Served,
  type TagVersion,
  type TagVersions,
} from "@hotset/core";
import {
  flush,
  gate,
  outcome,
  scriptedBackend,
  TestClock,
  type ScriptedBackend,
  type ScriptedBackendOptions,
  type ScriptedStep,
} from "@hotset/core/testing";
import { memory } from "@hotset/memory";
import { describe, expect, it } from "vitest";
import { never } from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

const READS = ["sequential", "race", "freshest"] as const;
const WRITES = ["sequential", "parallel", "race"] as const;

/** The key `k` of the caches below, as a backend sees it. */
const K = "shop::k";

interface OpenOptions extends ComposeOptions {
  readonly near?: Omit<ScriptedBackendOptions, "clock">;
  readonly far?: Omit<ScriptedBackendOptions, "clock">;
  readonly policy?: Policy;
}

/** A cache over two composed backends, without a local tier unless the test builds one. */
function open({ near: nearOptions, far: farOptions, policy = {}, ...options }: OpenOptions = {}) {
  const clock = new TestClock();
  const near = scriptedBackend({ clock, label: "near", ...nearOptions });
  const far = scriptedBackend({ clock, label: "far", ...farOptions });
  const cache = createCache({ name: "shop", clock })
    .tier(compose(near, far, options))
    .defaults({ ttl: "1m", ...policy })
    .build();
  return { cache, clock, near, far };
}

/** Has `backend` hold `value` with this life, as if it had been written under the tag versions of now. */
function put(
  backend: ScriptedBackend,
  template: ScriptedBackend,
  value: unknown,
  staleInMs: number,
  expiresInMs: number = staleInMs,
): void {
  backend.store.set(K, { ...template.store.get(K)!, data: json().encode(value), staleInMs, expiresInMs });
}

const valueIn = (backend: ScriptedBackend, key: string = K): unknown => {
  const stored = backend.store.get(key);
  return stored && json().decode(stored.data);
};

/** Entry reads alone, without those of tag versions. */
const reads = (backend: ScriptedBackend): number =>
  backend.calls.filter(({ operation, keys }) => operation.endsWith("read") && keys.includes(K)).length;
const writes = (backend: ScriptedBackend): number => backend.count("write", K);

/** A cache whose two backends both hold `k`, under versions that are current. */
async function seeded(options: OpenOptions = {}) {
  const opened = open(options);
  await opened.cache.set("k", "seed", { ttl: "1h" });
  for (const backend of [opened.near, opened.far]) backend.forgetCalls();
  return opened;
}

/** Seconds pass as they do: what falls due is answered before the next one. */
async function elapse(clock: TestClock, seconds: number): Promise<void> {
  for (let s = 0; s < seconds; s += 1) {
    clock.advance("1s");
    await flush(2);
  }
}

describe("reading", () => {
  it.each(READS)("%s: has what only far has, and what only near has", async (read) => {
    const { cache, near, far } = await seeded({ read, refill: "never" });
    near.store.delete(K);
    expect(await cache.get("k")).toBe("seed");
    put(near, far, "near", 1_000);
    far.store.delete(K);
    expect(await cache.get("k")).toBe("near");
    near.store.delete(K);
    expect(await cache.get("k")).toBeUndefined();
  });

  it.each(READS)("%s: a side that fails counts as having nothing", async (read) => {
    const { cache, near, far } = await seeded({ read, refill: "never" });
    near.script("read", { fail: true, key: K });
    expect(await cache.get("k")).toBe("seed");
    far.script("read", { fail: true, key: K });
    expect(await cache.get("k")).toBe("seed");
    near.script("read", { fail: true, key: K });
    far.store.delete(K);
    expect(await cache.get("k")).toBeUndefined();
  });

  it.each(READS)("%s: when both fail, both are told and the value is loaded", async (read) => {
    const { cache, near, far } = await seeded({ read });
    const causes = [new RangeError("near is full"), new BackendUnavailableError("far is away")] as const;
    near.script("read", { fail: causes[0], key: K });
    far.script("read", { fail: causes[1], key: K });
    const seen = watch(cache, "backend:error");
    expect(await cache.getOrSet("k", () => "loaded")).toBe("loaded");
    expect(seen.map(([, { tier, operation, error }]) => [tier, operation, error.cause ?? error])).toEqual([
      ["near", "read", causes[0]],
      ["far", "read", causes[1]],
    ]);
  });

  it.each(READS)("%s: a stale copy in near does not hide a fresh one in far", async (read) => {
    const { cache, clock, near } = open({ read, refill: "never" });
    await cache.set("k", "old", { ttl: "1m", staleWhileRevalidate: "10h" });
    const old = near.store.get(K)!;
    clock.advance("1m");
    await cache.set("k", "new", { ttl: "1m" });
    near.store.set(K, { ...old, staleInMs: 0, expiresInMs: 36_000_000 });
    expect(await cache.get("k", { allowStale: true })).toBe("new");
    expect(await cache.getOrSet("k", never)).toBe("new");
  });

  it.each(READS)(
    "%s: of two stale copies the one with the longer life, and one where the other side fails",
    async (read) => {
      const { cache, near, far } = await seeded({ read, policy: { staleIfError: "1h" } });
      put(near, far, "shorter", -2_000, 3_598_000);
      put(far, far, "longer", -1_000, 3_599_000);
      expect(await cache.get("k")).toBeUndefined();
      expect(await cache.get("k", { allowStale: true })).toBe("longer");
      far.script("read", { fail: true, key: K });
      expect(await cache.get("k", { allowStale: true })).toBe("shorter");
    },
  );

  it.each(READS)("%s: what was invalidated in near does not hide what is valid in far", async (read) => {
    const { cache, near, far } = await seeded({ read, refill: "never" });
    const old = near.store.get(K)!;
    await cache.clear();
    await cache.set("k", "valid");
    near.store.set(K, old);
    expect(await cache.get("k")).toBe("valid");
    far.store.delete(K);
    expect(await cache.get("k", { allowStale: true })).toBeUndefined();
  });

  it("sequential: does not ask far for what near has", async () => {
    const { cache, near, far } = await seeded({ read: "sequential" });
    expect(await cache.get("k")).toBe("seed");
    expect([reads(near), reads(far)]).toEqual([1, 0]);
  });

  it("race: the first hit wins, from either side", async () => {
    const { cache, near, far } = await seeded({ read: "race", refill: "never" });
    put(near, far, "near", 1_000);
    const nearAnswers = gate();
    near.script("read", { after: nearAnswers, key: K });
    expect(await cache.get("k")).toBe("seed");
    nearAnswers.open();

    const farAnswers = gate();
    far.script("read", { after: farAnswers, key: K });
    expect(await cache.get("k")).toBe("near");
    farAnswers.open();
  });

  it.each(["miss", "stale", "error"] as const)(
    "race: a first answer that is no hit (%s) waits for the other",
    async (kind) => {
      const { cache, near, far } = await seeded({ read: "race", refill: "never" });
      if (kind === "miss") near.store.delete(K);
      else if (kind === "stale") put(near, far, "stale", 0, 1_000);
      else near.script("read", { fail: true, key: K });
      const farAnswers = gate();
      far.script("read", { after: farAnswers, key: K });
      const answer = cache.get("k", { allowStale: true });
      expect(await outcome(answer)).toEqual({ status: "pending" });
      farAnswers.open();
      expect(await answer).toBe("seed");
    },
  );

  it("race: neither wins what both have not", async () => {
    const { cache, near, far } = await seeded({ read: "race" });
    near.store.delete(K);
    far.store.delete(K);
    expect(await cache.get("k")).toBeUndefined();
    near.script("read", { fail: true, key: K });
    expect(await cache.get("k")).toBeUndefined();
  });

  it.each<readonly [near: number, far: number, winner: "near" | "far"]>([
    [10_000, 20_000, "far"],
    [20_000, 10_000, "near"],
    [10_000, 10_000, "near"],
    [10_000, Infinity, "far"],
    [Infinity, 10_000, "near"],
    [Infinity, Infinity, "near"],
    [999, 60_000, "far"],
    [1, 2, "far"],
  ])("freshest: the longest remaining life wins: %d ms in near, %d ms in far: %s", async (nearMs, farMs, winner) => {
    const { cache, near } = open({ read: "freshest", refill: "never" });
    await cache.set("k", "near", { ttl: nearMs });
    const nearer = near.store.get(K)!;
    await cache.set("k", "far", { ttl: farMs });
    near.store.set(K, nearer);
    expect(await cache.get("k")).toBe(winner);
  });

  it("freshest: waits for both", async () => {
    const { cache, far } = await seeded({ read: "freshest" });
    const farAnswers = gate();
    far.script("read", { after: farAnswers, key: K });
    const answer = cache.get("k");
    expect(await outcome(answer)).toEqual({ status: "pending" });
    farAnswers.open();
    expect(await answer).toBe("seed");
  });

  it("sequential: near that hangs costs its deadline, and far has its own", async () => {
    const { cache, clock, near, far } = await seeded({
      read: "sequential",
      refill: "never",
      near: { deadlineMs: 200 },
      far: { deadlineMs: 500 },
    });
    near.script("read", { before: gate(), key: K });
    const answer = cache.get("k");
    await flush();
    clock.advance(199);
    expect(await outcome(answer)).toEqual({ status: "pending" });
    clock.advance(1);
    expect(await answer).toBe("seed");

    near.script("read", { before: gate(), key: K });
    far.script("read", { before: gate(), key: K });
    const miss = cache.get("k");
    for (const ms of [200, 499]) {
      await flush();
      clock.advance(ms);
    }
    expect(await outcome(miss)).toEqual({ status: "pending" });
    clock.advance(1);
    expect(await miss).toBeUndefined();
  });

  it("says which composition answered, and the real age", async () => {
    const { cache, clock } = await seeded({ nearTtl: "10s" });
    clock.advance("4s");
    const served: Served[] = [];
    await cache.getOrSet("k", never, { onServed: (each) => served.push(each) });
    expect(served).toEqual([
      { status: "hit", tier: "near+far", ageMs: 4_000, freshForMs: 3_596_000, coalesced: false },
    ]);
  });
});

describe("reading many", () => {
  it.each(READS)("%s: one trip to near, one to far", async (read) => {
    const { cache, near, far } = open({ read, refill: "never" });
    await cache.setMany([
      ["a", 1],
      ["b", 2],
      ["c", 3],
    ]);
    near.store.delete("shop::b");
    far.store.delete("shop::a");
    for (const backend of [near, far]) backend.forgetCalls();
    expect(await cache.getMany(["a", "b", "c", "d"])).toEqual(
      new Map([
        ["a", 1],
        ["b", 2],
        ["c", 3],
      ]),
    );
    const batches = (backend: ScriptedBackend) =>
      backend.calls.filter(({ operation }) => operation === "batch.read").map(({ keys }) => keys);
    expect(batches(near)).toEqual([["shop::a", "shop::b", "shop::c", "shop::d"]]);
    expect(batches(far)).toEqual([
      read === "sequential" ? ["shop::b", "shop::d"] : ["shop::a", "shop::b", "shop::c", "shop::d"],
    ]);
    // Tag versions are asked for once for all of them.
    expect(far.calls.filter(({ operation, keys }) => operation === "read" && keys[0]!.startsWith("{")).length).toBe(1);
  });

  it("does not ask far when near has all", async () => {
    const { cache, far } = open();
    await cache.setMany([
      ["a", 1],
      ["b", 2],
    ]);
    far.forgetCalls();
    expect(await cache.getMany(["a", "b"])).toEqual(
      new Map([
        ["a", 1],
        ["b", 2],
      ]),
    );
    expect(far.calls.filter(({ keys }) => keys.some((key) => key.startsWith("shop::")))).toEqual([]);
  });

  it("a side that fails has nothing, and what one key waits for does not keep the others from their trip", async () => {
    const { cache, near, far } = open({ refill: "never" });
    await cache.setMany([
      ["a", 1],
      ["b", 2],
      ["k", 3],
    ]);
    near.script("batch.read", { fail: true });
    expect(await cache.getMany(["a", "b", "k"])).toEqual(
      new Map([
        ["a", 1],
        ["b", 2],
        ["k", 3],
      ]),
    );

    near.script("write", { fail: true, key: K });
    near.script("remove", { fail: true, key: K });
    await cache.set("k", 4);
    for (const backend of [near, far]) backend.forgetCalls();
    expect(await cache.getMany(["a", "b", "k"])).toEqual(
      new Map([
        ["a", 1],
        ["b", 2],
        ["k", 4],
      ]),
    );
    expect(near.calls.filter(({ operation }) => operation === "batch.read").map(({ keys }) => keys)).toEqual([
      ["shop::a", "shop::b"],
    ]);
  });

  it("loads together what neither has", async () => {
    const { cache, near } = open();
    await cache.set("1", "one");
    near.store.clear();
    const asked: (readonly number[])[] = [];
    const load = (missing: readonly number[]) => {
      asked.push(missing);
      return missing.map((each) => [each, `loaded ${each}`] as const);
    };
    expect(await cache.getOrSetMany([1, 2, 3], String, load)).toEqual(
      new Map([
        [1, "one"],
        [2, "loaded 2"],
        [3, "loaded 3"],
      ]),
    );
    expect(asked).toEqual([[2, 3]]);
  });
});

describe("writing", () => {
  it.each(WRITES)("%s: both have it", async (write) => {
    const { cache, near, far } = open({ write });
    expect(await cache.set("k", "v")).toMatchObject({ status: "stored" });
    await flush();
    expect([valueIn(near), valueIn(far)]).toEqual(["v", "v"]);
    await cache.getOrSet("l", () => "w");
    await flush();
    expect([valueIn(near, "shop::l"), valueIn(far, "shop::l")]).toEqual(["w", "w"]);
  });

  it("sequential: far is written when near has answered, also when it failed", async () => {
    const { cache, near, far } = await seeded({ write: "sequential" });
    const nearWrites = gate();
    near.script("write", { before: nearWrites, fail: true, key: K });
    const set = cache.set("k", "v");
    await nearWrites.arrived();
    await flush();
    expect(writes(far)).toBe(0);
    nearWrites.open();
    expect(await set).toMatchObject({ status: "stored" });
    expect(valueIn(far)).toBe("v");
  });

  it("parallel: both at once, done when both have settled", async () => {
    const { cache, near, far } = await seeded({ write: "parallel" });
    const [nearWrites, farWrites] = [gate(), gate()];
    near.script("write", { before: nearWrites, key: K });
    far.script("write", { before: farWrites, key: K });
    const set = cache.set("k", "v");
    await Promise.all([nearWrites.arrived(), farWrites.arrived()]);
    nearWrites.open();
    expect(await outcome(set)).toEqual({ status: "pending" });
    farWrites.open();
    expect(await set).toMatchObject({ status: "stored" });
  });

  it.each(["near", "far"] as const)(
    "race: done when the first has it; %s goes on, and close waits for it",
    async (loser) => {
      const { cache, near, far } = await seeded({ write: "race" });
      const late = loser === "near" ? near : far;
      const lateWrites = gate();
      late.script("write", { before: lateWrites, key: K });
      expect(await cache.set("k", "v")).toMatchObject({ status: "stored" });
      expect(valueIn(late)).toBe("seed");

      const closed = cache.close();
      expect(await outcome(closed)).toEqual({ status: "pending" });
      expect([near.isClosed, far.isClosed]).toEqual([false, false]);
      lateWrites.open();
      await closed;
      expect([valueIn(late), near.isClosed, far.isClosed]).toEqual(["v", true, true]);
    },
  );

  it.each(READS)("race, read by %s: what the loser still holds is not served meanwhile", async (read) => {
    const { cache, near, far } = await seeded({ read, write: "race" });
    for (const [late, other] of [
      [near, far],
      [far, near],
    ] as const) {
      put(late, late, "old", 7_000_000);
      const lateWrites = gate();
      late.script("write", { before: lateWrites, key: K });
      await cache.set("k", "new", { ttl: "1m" });
      expect(await cache.get("k")).toBe("new");
      other.store.delete(K);
      expect(await cache.get("k", { allowStale: true })).toBeUndefined();
      lateWrites.open();
      await flush();
      expect(await cache.get("k")).toBe("new");
    }
  });

  it("race: what was called later is sent to the loser when it has settled", async () => {
    const { cache, far } = await seeded({ write: "race" });
    const farWrites = gate();
    far.script("write", { before: farWrites, key: K });
    await cache.set("k", "v");
    const deleted = cache.delete("k");
    await flush();
    expect(far.count("remove", K)).toBe(0);
    farWrites.open();
    expect(await deleted).toMatchObject({ status: "deleted" });
    expect(far.store.get(K)).toBeUndefined();
  });

  it("race: a refusal is no win", async () => {
    const { cache, near, far } = await seeded({ write: "race", near: { maxEntryBytes: 20 } });
    const farWrites = gate();
    far.script("write", { before: farWrites, key: K });
    const set = cache.set("k", "x".repeat(30));
    expect(await outcome(set)).toEqual({ status: "pending" });
    farWrites.open();
    expect(await set).toMatchObject({ status: "stored" });
    expect(near.store.get(K)).toBeUndefined();
  });

  it.each(WRITES)("%s: refused where it is too large for both, stored where it is for one", async (write) => {
    const { cache } = open({ write, near: { maxEntryBytes: 20 }, far: { maxEntryBytes: 40 } });
    expect((await cache.set("k", "x".repeat(30))).status).toBe("stored");
    expect((await cache.set("k", "x".repeat(60))).status).toBe("refused");
    expect(await cache.get("k")).toBeUndefined();
  });

  it.each(WRITES)(
    "%s: when both fail it is pending, and what was there is removed from both before they are read",
    async (write) => {
      const { cache, near, far } = await seeded({ write });
      for (const backend of [near, far]) backend.script("write", { fail: true, key: K });
      expect(await cache.set("k", "v")).toEqual({ status: "pending" });
      expect(cache.stats().pending).toBe(1);
      expect(await cache.get("k", { allowStale: true })).toBeUndefined();
      expect([near.store.get(K), far.store.get(K), cache.stats().pending]).toEqual([undefined, undefined, 0]);
    },
  );

  it.each(WRITES)("%s: what cannot be encoded is told as that, and changes nothing", async (write) => {
    const { cache, near, far } = await seeded({ write });
    await expect(cache.set("k", 1n)).rejects.toBeInstanceOf(EncodeError);
    await expect(
      cache.set("k", "v", { tags: Array.from({ length: 60 }, (_, i) => `${"t".repeat(100)}${i}`) }),
    ).rejects.toBeInstanceOf(EncodeError);
    expect([valueIn(near), valueIn(far), cache.stats().pending]).toEqual(["seed", "seed", 0]);
    expect(await cache.get("k")).toBe("seed");
  });
});

describe("a write that one side did not take", () => {
  const CASES = WRITES.flatMap((write) => (["near", "far"] as const).map((failing) => [write, failing] as const));

  it.each(CASES)("%s: %s does not serve what it held before, and has it removed", async (write, failing) => {
    const { cache, near, far } = await seeded({ read: "freshest", write, refill: "never" });
    const [failed, other] = failing === "near" ? [near, far] : [far, near];
    put(failed, failed, "old", 7_000_000);
    failed.script("write", { fail: true, key: K });
    failed.script("remove", { fail: true, key: K });
    expect(await cache.set("k", "new")).toMatchObject({ status: "stored" });
    await flush();
    expect(cache.stats().pending).toBe(1);
    const recovered = watch(cache, "recover");

    // Freshest would take the old one for its longer life. The first read tries the removal again, and that fails.
    expect(await cache.get("k")).toBe("new");
    expect(await cache.getMany(["k", "j"])).toEqual(new Map([["k", "new"]]));
    await flush();
    expect(valueIn(failed)).toBe(undefined);
    expect(recovered.map(([, { tier, replayed }]) => [tier, replayed])).toEqual([[failing, 1]]);
    expect(cache.stats().pending).toBe(0);

    other.store.delete(K);
    expect(await cache.get("k", { allowStale: true })).toBeUndefined();
  });

  it("is removed there by itself, a second later", async () => {
    const { cache, clock, near } = await seeded();
    near.script("write", { loseAnswer: true, key: K });
    await cache.set("k", "new");
    clock.advance(999);
    expect(near.count("remove", K)).toBe(0);
    clock.advance(1);
    await flush();
    expect([near.count("remove", K), valueIn(near), cache.stats().pending]).toEqual([1, undefined, 0]);
  });

  it("is settled by the next write that this side takes", async () => {
    const { cache, near } = await seeded();
    near.script("write", { fail: true, key: K });
    near.script("remove", { fail: true, key: K, times: Infinity });
    await cache.set("k", "new");
    await cache.set("k", "newer");
    expect(cache.stats().pending).toBe(0);
    near.forgetCalls();
    expect(await cache.get("k")).toBe("newer");
    expect(reads(near)).toBe(1);
  });

  it("is settled by a removal", async () => {
    const { cache, near } = await seeded();
    near.script("write", { fail: true, key: K });
    near.script("remove", { fail: true, key: K });
    await cache.set("k", "new");
    await cache.get("k");
    expect(cache.stats().pending).toBe(1);
    expect(await cache.delete("k")).toMatchObject({ status: "deleted" });
    expect(cache.stats().pending).toBe(0);
  });

  it("is not brought back by markStale", async () => {
    const { cache, near, far } = await seeded({ policy: { staleIfError: "1h" } });
    far.script("write", { fail: true, key: K });
    await cache.set("k", "new");
    expect(await cache.markStale("k")).toEqual({ status: "stale" });
    expect(far.store.get(K)).toBeUndefined();
    expect(await cache.get("k", { allowStale: true })).toBe("new");
    near.store.delete(K);
    expect(await cache.get("k", { allowStale: true })).toBeUndefined();
  });

  it("makes room for a refill", async () => {
    const { cache, near, far } = await seeded();
    near.script("write", { fail: true, key: K });
    near.script("remove", { fail: true, key: K, times: Infinity });
    await cache.set("k", "new");
    expect(await cache.get("k")).toBe("new");
    await flush();
    expect([valueIn(near), cache.stats().pending]).toEqual(["new", 0]);
    far.script("read", { fail: true, key: K });
    expect(await cache.get("k")).toBe("new");
  });

  it("too much to remember: the side is not read until it answers, and then nothing older is served, on either side", async () => {
    const { cache, clock, near, far } = await seeded({ policy: { ttl: "1h" } });
    await cache.set("other", "old");
    near.down();
    for (let i = 0; i <= 10_000; i += 1) await cache.set(`k${i}`, i);
    const recovered = watch(cache, "recover");
    // While near is away, far is not emptied for it.
    await elapse(clock, 60);
    expect(recovered).toEqual([]);
    expect(await cache.get("k5")).toBe(5);

    near.up();
    near.store.set("shop::k5", near.store.get("shop::other")!);
    expect(await cache.get("k6")).toBe(6);
    await elapse(clock, 60);
    expect(recovered.map(([, { tier, overflowed }]) => [tier, overflowed])).toEqual([["near", true]]);
    expect([await cache.get("k5"), await cache.get("other"), cache.stats().pending]).toEqual([undefined, undefined, 0]);
    await cache.set("k5", "again");
    near.store.delete("shop::k5");
    expect(far.store.get("shop::k5")).toBeDefined();
    expect(await cache.get("k5")).toBe("again");
  });
});

describe("removing", () => {
  it("goes to both, and says deleted when either had it", async () => {
    const { cache, near, far } = await seeded();
    near.store.delete(K);
    expect(await cache.delete("k")).toMatchObject({ status: "deleted" });
    expect(far.store.get(K)).toBeUndefined();
    expect(await cache.delete("k")).toMatchObject({ status: "missing" });
    expect([near.count("remove", K), far.count("remove", K)]).toEqual([2, 2]);
  });

  it.each(["near", "far"] as const)("not acknowledged by %s: pending, and replayed on both", async (failing) => {
    const { cache, clock, near, far } = await seeded();
    const failed = failing === "near" ? near : far;
    failed.script("remove", { fail: true, key: K });
    expect(await cache.delete("k")).toEqual({ status: "pending" });
    expect(cache.stats().pending).toBe(1);
    for (const backend of [near, far]) backend.forgetCalls();
    clock.advance("1s");
    await flush();
    expect([near.count("remove", K), far.count("remove", K), cache.stats().pending]).toEqual([1, 1, 0]);
    expect([near.store.get(K), far.store.get(K)]).toEqual([undefined, undefined]);
  });

  it.each(["near", "far"] as const)(
    "while %s does not answer nothing of the key is served, not even what was set before",
    async (failing) => {
      const { cache, near, far } = await seeded({ policy: { staleIfError: "1h" } });
      const stored = near.store.get(K)!;
      (failing === "near" ? near : far).script("remove", { fail: true, key: K, times: Infinity });
      expect(await cache.delete("k")).toEqual({ status: "pending" });
      for (const backend of [near, far]) backend.store.set(K, stored);
      expect(await cache.get("k", { allowStale: true })).toBeUndefined();
      expect(await cache.getOrSet("k", () => "loaded")).toBe("loaded");
    },
  );

  it("markStale ends freshness on both, and is pending when one does not acknowledge", async () => {
    const { cache, near, far } = await seeded({ policy: { staleIfError: "1h" } });
    await cache.set("k", "v");
    expect(await cache.markStale("k")).toEqual({ status: "stale" });
    expect([near.store.get(K)?.staleInMs, far.store.get(K)?.staleInMs]).toEqual([0, 0]);
    expect(await cache.get("k", { allowStale: true })).toBe("v");
    expect(await cache.markStale("nothing")).toEqual({ status: "missing" });

    far.script("markStale", { fail: true, key: K });
    expect(await cache.markStale("k")).toEqual({ status: "pending" });
    expect(await cache.get("k", { allowStale: true })).toBeUndefined();
    expect([near.store.get(K), far.store.get(K)]).toEqual([undefined, undefined]);
  });
});

describe("refilling near", () => {
  it.each(READS)("%s: a fresh hit in far is copied behind the answer, with its remaining life", async (read) => {
    const { cache, clock, near } = await seeded({ read });
    near.store.delete(K);
    clock.advance("10m");
    const nearWrites = gate();
    near.script("write", { before: nearWrites, key: K });
    expect(await cache.get("k")).toBe("seed");
    await nearWrites.arrived();
    nearWrites.open();
    await flush();
    expect(near.store.get(K)).toMatchObject({ staleInMs: 3_000_000, expiresInMs: 3_000_000 });
  });

  it.each(READS)("%s: never, where that was said", async (read) => {
    const { cache, near } = await seeded({ read, refill: "never" });
    near.store.delete(K);
    expect(await cache.get("k")).toBe("seed");
    await flush();
    expect(writes(near)).toBe(0);
  });

  it("keeps the stale windows, tags and validators", async () => {
    const { cache, near, far } = open();
    await cache.set("k", "v", { ttl: 1_000, staleIfError: 5_000, tags: ["t"], etag: '"1"' });
    const written = near.store.get(K);
    near.store.delete(K);
    await cache.get("k");
    await flush();
    expect(near.store.get(K)).toEqual(written);
    far.store.delete(K);
    expect(await cache.inspect("k")).toMatchObject({ tags: ["t"], etag: '"1"', expiresInMs: 6_000 });
  });

  it("does not copy what is stale", async () => {
    const { cache, clock, near } = open();
    await cache.set("k", "v", { ttl: 1_000, staleIfError: 5_000 });
    near.store.delete(K);
    clock.advance(1_000);
    expect(await cache.get("k", { allowStale: true })).toBe("v");
    await flush();
    expect(near.store.get(K)).toBeUndefined();
  });

  it("writes nothing where near has it too, and only answered later, or ended earlier by what a trip takes", async () => {
    const { cache, near, far } = await seeded({ read: "race" });
    near.forgetCalls();
    const nearAnswers = gate();
    near.script("read", { after: nearAnswers, key: K });
    expect(await cache.get("k")).toBe("seed");
    nearAnswers.open();
    await flush();
    expect(writes(near)).toBe(0);

    const freshest = await seeded({ read: "freshest" });
    put(freshest.near, far, "seed", 3_599_999);
    freshest.near.store.set(K, { ...freshest.far.store.get(K)!, staleInMs: 3_599_900, expiresInMs: 3_599_900 });
    expect(await freshest.cache.get("k")).toBe("seed");
    await flush();
    expect(writes(freshest.near)).toBe(0);
    freshest.near.store.set(K, { ...freshest.far.store.get(K)!, staleInMs: 60_000, expiresInMs: 60_000 });
    expect(await freshest.cache.get("k")).toBe("seed");
    await flush();
    expect([writes(freshest.near), freshest.near.store.get(K)?.expiresInMs]).toEqual([1, 3_600_000]);
  });

  it("many readers at once make one copy", async () => {
    const { cache, near } = await seeded();
    near.store.delete(K);
    await Promise.all(Array.from({ length: 20 }, () => cache.get("k")));
    await flush();
    expect(writes(near)).toBe(1);
  });

  it.each(READS)("%s, race for writing: nothing is copied once a change of the key has been called", async (read) => {
    for (const change of ["set", "delete", "markStale"] as const) {
      const { cache, near, far } = await seeded({ read, write: "parallel" });
      near.store.delete(K);
      const farAnswers = gate();
      far.script("read", { after: farAnswers, key: K });
      const before = cache.get("k");
      await farAnswers.arrived();
      await (change === "set" ? cache.set("k", "new") : cache[change]("k"));
      farAnswers.open();
      expect(await before).toBe("seed");
      await flush();
      expect(valueIn(near)).toBe(change === "set" ? "new" : undefined);
    }
  });

  it("nor what was read while a change was under way", async () => {
    for (const change of ["set", "delete"] as const) {
      const { cache, near, far } = await seeded({ read: "race" });
      const farChanges = gate();
      far.script(change === "set" ? "write" : "remove", { before: farChanges, key: K });
      const changed = change === "set" ? cache.set("k", "new") : cache.delete("k");
      await farChanges.arrived();
      near.store.delete(K);
      const during = cache.get("k");
      await during;
      await flush();
      expect(writes(near)).toBe(change === "set" ? 1 : 0);
      farChanges.open();
      await changed;
      await flush();
      expect(valueIn(near)).toBeUndefined();
    }
  });

  it("nor where near tells only after it that it had nothing", async () => {
    const { cache, near, far } = await seeded({ read: "race" });
    near.store.delete(K);
    const gates = { nearReads: gate(), nearWrites: gate(), farWrites: gate() };
    near.script("write", { before: gates.nearWrites, key: K });
    far.script("write", { before: gates.farWrites, key: K });
    const changed = cache.set("k", "new");
    await Promise.all([gates.nearWrites.arrived(), gates.farWrites.arrived()]);
    near.script("read", { after: gates.nearReads, key: K });
    expect(await cache.get("k")).toBe("seed");
    gates.nearWrites.open();
    gates.farWrites.open();
    await changed;
    gates.nearReads.open();
    await flush();
    expect([valueIn(near), writes(near)]).toEqual(["new", 1]);
  });

  it("what a tag call or clear overtook is copied under the old versions, and so not served", async () => {
    for (const call of ["invalidateTags", "clear", "markTagsStale"] as const) {
      const { cache, near, far } = open({ policy: { staleIfError: "1h" } });
      await cache.set("k", "old", { tags: ["t"] });
      near.store.delete(K);
      const farAnswers = gate();
      far.script("read", { after: farAnswers, key: K });
      const before = cache.get("k");
      await farAnswers.arrived();
      await (call === "clear" ? cache.clear() : cache[call]("t"));
      farAnswers.open();
      await before;
      await flush();
      far.store.delete(K);
      expect(await cache.get("k")).toBeUndefined();
      expect(await cache.get("k", { allowStale: true })).toBe(
        call === "markTagsStale" && near.store.get(K) !== undefined ? "old" : undefined,
      );
    }
  });

  it("what near cannot write is reported, and served all the same", async () => {
    const { cache, near, far } = open({ near: { format: json() }, far: { format: v8() } });
    await cache.set("k", "v");
    near.store.delete(K);
    far.store.set(K, { ...far.store.get(K)!, data: v8().encode(new Map([["a", 1n]])) });
    const seen = watch(cache, "backend:error");
    expect(await cache.get("k")).toEqual(new Map([["a", 1n]]));
    await flush();
    expect(seen.map(([, { tier, operation, error }]) => [tier, operation, error.code])).toEqual([
      ["near", "encode", "ENCODE_FAILED"],
    ]);
    expect(near.store.get(K)).toBeUndefined();
  });

  it("near that is away is not remembered for it", async () => {
    const { cache, near } = await seeded();
    near.down();
    expect(await cache.get("k")).toBe("seed");
    await flush();
    expect(cache.stats().pending).toBe(0);
  });
});

describe("nearTtl", () => {
  it("bounds copies in near, written or refilled, and leaves far alone", async () => {
    const { cache, clock, near, far } = await seeded({ nearTtl: "10s" });
    expect([near.store.get(K)?.expiresInMs, far.store.get(K)?.expiresInMs]).toEqual([10_000, 3_600_000]);
    clock.advance("10s");
    expect(near.store.get(K)).toBeUndefined();
    expect(await cache.get("k")).toBe("seed");
    await flush();
    expect(near.store.get(K)?.expiresInMs).toBe(10_000);
    clock.advance(3_590_000 - 4_000);
    expect(await cache.get("k")).toBe("seed");
    await flush();
    expect(near.store.get(K)?.expiresInMs).toBe(4_000);
  });

  it.each<readonly [Policy, number]>([
    [{ ttl: "1h" }, 3_600_000],
    [{ ttl: "1h", staleIfError: "2h" }, 3_600_000],
    [{ ttl: Infinity }, Infinity],
    [{ ttl: Infinity, staleIfError: "1h" }, Infinity],
  ])("%j: a copy that ends earlier is as fresh and as old as the value", async (policy, freshMs) => {
    const { cache, clock, near, far } = open({ nearTtl: "10s", policy });
    await cache.set("k", "v");
    clock.advance("4s");
    const info = await cache.inspect("k");
    expect(info).toMatchObject({
      state: "fresh",
      ageMs: freshMs === Infinity ? 0 : 4_000,
      freshForMs: freshMs - 4_000,
      expiresInMs: 6_000,
    });
    far.store.clear();
    clock.advance("6s");
    expect(near.store.get(K)).toBeUndefined();
    expect(await cache.get("k", { allowStale: true })).toBeUndefined();
  });

  it("does not bring refreshes ahead of their time", async () => {
    const { cache, clock } = open({ nearTtl: "10s", policy: { ttl: "1h", refreshAhead: 0.5 } });
    let loads = 0;
    const load = () => (loads += 1);
    for (let s = 0; s < 1_800; s += 5) {
      expect(await cache.getOrSet("k", load)).toBe(1);
      await flush(1);
      clock.advance("5s");
    }
    expect(loads).toBe(1);
    expect(await cache.getOrSet("k", load)).toBe(1);
    await flush();
    expect(loads).toBe(2);
  });

  it("markStale removes such a copy, and keeps the stale value of far", async () => {
    const { cache, near } = open({ nearTtl: "10s", policy: { ttl: "1h", staleIfError: "1h" } });
    await cache.set("k", "v");
    await cache.markStale("k");
    expect(near.store.get(K)).toBeUndefined();
    expect(await cache.get("k")).toBeUndefined();
    expect(await cache.get("k", { allowStale: true })).toBe("v");
  });

  it("does not make freshest prefer far, and write to near, at each read", async () => {
    const { cache, near } = await seeded({ read: "freshest", nearTtl: "10s" });
    for (let i = 0; i < 3; i += 1) expect(await cache.get("k")).toBe("seed");
    await flush();
    expect(writes(near)).toBe(0);
  });

  it("a copy that ended on the way is no hit", async () => {
    const { cache, clock, near } = await seeded({ nearTtl: "1s", near: { deadlineMs: 5_000 } });
    near.script("read", { after: "2s", key: K });
    const read = cache.get("k");
    await flush();
    clock.advance("2s");
    expect(await read).toBe("seed");
    await flush();
    expect(near.store.get(K)?.expiresInMs).toBe(1_000);
  });

  it("bounds the local copy of a copy", async () => {
    const clock = new TestClock();
    const [near, far] = [scriptedBackend({ clock, label: "near" }), scriptedBackend({ clock, label: "far" })];
    const writer = createCache({ name: "shop", clock })
      .tier(compose(near, far, { nearTtl: "10s" }))
      .defaults({ ttl: "1h" })
      .build();
    await writer.set("k", "v");
    const reader = createCache({ name: "shop", clock })
      .tier(memory())
      .tier(compose(near, far, { nearTtl: "10s" }))
      .build();
    expect(await reader.get("k")).toBe("v");
    clock.advance(9_999);
    expect(reader.peek("k")).toBe("v");
    clock.advance(1);
    expect(reader.peek("k")).toBeUndefined();
  });
});

/** Versions that a store issues itself, as Redis does; `down` has every call fail. */
function issuer(): TagVersions & { down: boolean; renewals: number; readonly reads: (readonly string[])[] } {
  const versions = new Map<string, TagVersion>();
  let last = 0;
  const issue = (): string => `v${(last += 1)}`;
  const store = {
    down: false,
    renewals: 0,
    reads: [] as (readonly string[])[],
    async read(tags: readonly string[]) {
      check("read");
      store.reads.push(tags);
      return tags.map((tag) => versions.get(tag));
    },
    async pin(tags: readonly string[]) {
      check("pin");
      for (const tag of tags)
        if (!versions.has(tag)) {
          const version = issue();
          versions.set(tag, { hard: version, soft: version });
        }
      return { at: String(last), versions: tags.map((tag) => versions.get(tag)!) };
    },
    async unchangedSince(at: string, tags: readonly string[]) {
      check("unchangedSince");
      const { versions: pinned } = await store.pin(tags);
      return pinned.map((version) => (Number(version.soft.slice(1)) > Number(at) ? undefined : version));
    },
    async renew(tags: readonly string[], mode: "hard" | "soft") {
      check("renew");
      store.renewals += 1;
      const version = issue();
      for (const tag of tags)
        versions.set(tag, { hard: mode === "hard" ? version : (versions.get(tag)?.hard ?? version), soft: version });
    },
  };
  const check = (operation: string): void => {
    if (store.down) throw new BackendUnavailableError(`no ${operation}`);
  };
  return store;
}

describe("tags", () => {
  function openIssuing(who: "near" | "far" | "both" | "neither", options: ComposeOptions = {}) {
    const clock = new TestClock();
    const issuers = { near: issuer(), far: issuer() };
    const near = {
      ...scriptedBackend({ clock, label: "near" }),
      ...(who !== "far" && who !== "neither" && { tagVersions: issuers.near }),
    };
    const far = {
      ...scriptedBackend({ clock, label: "far" }),
      ...(who !== "near" && who !== "neither" && { tagVersions: issuers.far }),
    };
    const process = () =>
      createCache({ name: "shop", clock })
        .tier(compose(near, far, options))
        .defaults({ ttl: "1h", staleIfError: "1h" })
        .build();
    return { clock, near, far, issuers, cache: process(), process };
  }

  it.each([
    ["near", "near"],
    ["far", "far"],
    ["both", "far"],
  ] as const)("issued by %s: the versions are those of %s", async (who, source) => {
    const { cache, issuers, near, far } = openIssuing(who);
    await cache.set("k", "v", { tags: ["t"] });
    expect(await cache.get("k")).toBe("v");
    await cache.invalidateTags("t");
    expect(await cache.get("k", { allowStale: true })).toBeUndefined();
    expect([issuers.near.renewals, issuers.far.renewals]).toEqual(source === "near" ? [1, 0] : [0, 1]);
    for (const backend of [near, far]) expect(backend.store.keys()).toEqual(["shop::k"]);
  });

  it("issued by neither: they are entries in far", async () => {
    const { cache, near, far } = openIssuing("neither");
    await cache.set("k", "v", { tags: ["t"] });
    await cache.invalidateTags("t");
    expect(near.store.keys()).toEqual(["shop::k"]);
    expect(far.store.keys().filter((key) => key.startsWith("{~")).length).toBeGreaterThan(2);
    expect(await cache.get("k", { allowStale: true })).toBeUndefined();
  });

  it.each(["near", "far", "both", "neither"] as const)(
    "issued by %s: tags, stale tags and clear, in both sides and for another process",
    async (who) => {
      const { cache, process, near, far } = openIssuing(who);
      const other = process();
      const users = cache.namespace("users");
      await users.set("1", "Ada", { tags: ["a"] });
      await cache.set("k", "v");

      await other.markTagsStale("a");
      expect(await users.get("1")).toBeUndefined();
      expect(await users.get("1", { allowStale: true })).toBe("Ada");
      await other.invalidateTags("a");
      expect(await users.get("1", { allowStale: true })).toBeUndefined();
      expect(await cache.get("k")).toBe("v");

      await users.set("1", "Ada", { tags: ["a"] });
      await other.namespace("users").clear();
      expect(await users.get("1", { allowStale: true })).toBeUndefined();
      expect(await cache.get("k")).toBe("v");
      await other.clear();
      expect(await cache.get("k", { allowStale: true })).toBeUndefined();
      expect(near.store.get(K)).toBeDefined();
      expect(far.store.get(K)).toBeDefined();
    },
  );

  it("a tag that the loader adds late", async () => {
    const { cache } = openIssuing("far");
    const loading = gate();
    const loaded = cache.getOrSet("k", async (ctx) => {
      await loading.pass();
      ctx.setOptions({ tags: ["late"] });
      return "v";
    });
    await loading.arrived();
    await cache.invalidateTags("late");
    loading.open();
    expect(await loaded).toBe("v");
    expect(await cache.get("k", { allowStale: true })).toBeUndefined();
    expect(await cache.getOrSet("k", ({ setOptions }) => (setOptions({ tags: ["late"] }), "w"))).toBe("w");
    expect(await cache.get("k")).toBe("w");
  });

  it("are asked for once per read, beside the read of near", async () => {
    const { cache, issuers, near } = openIssuing("far");
    await cache.set("k", "v");
    issuers.far.reads.length = 0;
    const nearAnswers = gate();
    near.script("read", { before: nearAnswers });
    const read = cache.get("k");
    await nearAnswers.arrived();
    expect(issuers.far.reads.length).toBe(1);
    nearAnswers.open();
    expect(await read).toBe("v");
    expect(issuers.far.reads.length).toBe(1);
  });

  it("clear is pending while the side that has the versions is away, and done after it", async () => {
    const { cache, clock, far } = openIssuing("neither");
    await cache.set("k", "v");
    far.down();
    expect(await cache.clear()).toEqual({ status: "pending" });
    expect(await cache.get("k", { allowStale: true })).toBeUndefined();
    far.up();
    await elapse(clock, 5);
    expect(cache.stats().pending).toBe(0);
    expect(await cache.get("k", { allowStale: true })).toBeUndefined();
  });

  it("are refused where one side has no room for them; what others tagged is still held against them", async () => {
    const clock = new TestClock();
    const near = { ...scriptedBackend({ clock, label: "near" }), keepsMeta: false };
    const far = scriptedBackend({ clock, label: "far" });
    const cache = createCache({ name: "shop", clock }).tier(compose(near, far)).build();
    await expect(cache.invalidateTags("t")).rejects.toBeInstanceOf(ConfigurationError);
    await expect(cache.set("k", "v", { tags: ["t"] })).rejects.toBeInstanceOf(ConfigurationError);
    await cache.set("k", "v");
    expect(await cache.get("k")).toBe("v");

    const full = createCache({ name: "shop", clock }).tier(far).build();
    await full.set("tagged", "v", { tags: ["t"] });
    await full.invalidateTags("t");
    expect(await cache.get("tagged", { allowStale: true })).toBeUndefined();
  });
});

describe("with the side away that has the tag versions", () => {
  it.each(READS)("%s: near serves what was valid when the versions were last read", async (read) => {
    const { cache, near, far } = await seeded({ read });
    expect(await cache.get("k")).toBe("seed");
    far.down();
    expect(await cache.get("k")).toBe("seed");
    expect(await cache.getOrSet("k", never)).toBe("seed");
    near.store.delete(K);
    expect(await cache.get("k")).toBeUndefined();
  });

  it("loads and writes reach near, and are valid when far is back", async () => {
    const { cache, clock, near, far } = await seeded();
    far.down();
    expect(await cache.getOrSet("l", () => "loaded")).toBe("loaded");
    expect(await cache.getOrSet("l", never)).toBe("loaded");
    expect(await cache.set("k", "set")).toMatchObject({ status: "stored" });
    expect(await cache.get("k")).toBe("set");
    expect(valueIn(near, "shop::l")).toBe("loaded");
    far.up();
    await elapse(clock, 5);
    expect([await cache.get("l"), await cache.get("k"), valueIn(far), cache.stats().pending]).toEqual([
      "loaded",
      "set",
      undefined,
      0,
    ]);
  });

  it("what this process invalidates is not served, however the call ends", async () => {
    for (const call of ["invalidateTags", "clear"] as const) {
      const { cache, near, far } = open();
      await cache.set("k", "v", { tags: ["t"] });
      await cache.get("k");
      await (call === "clear" ? cache.clear() : cache.invalidateTags("t"));
      near.script("read", { fail: true, key: K });
      far.down();
      expect(await cache.get("k", { allowStale: true })).toBeUndefined();
      expect(await cache.get("k", { allowStale: true })).toBeUndefined();
      far.up();
      far.script("*", { fail: true, times: Infinity });
      await (call === "clear" ? cache.clear() : cache.invalidateTags("t"));
      expect(await cache.get("k", { allowStale: true })).toBeUndefined();
    }
  });

  it("what has no versions, since another program wrote it, is served", async () => {
    const { cache, near, far } = open();
    near.store.set(K, { data: json().encode("theirs"), staleInMs: 1_000, expiresInMs: 1_000, meta: "" });
    far.down();
    expect(await cache.get("k")).toBe("theirs");
  });

  it("what a read brought that a later invalidation overtook is not remembered", async () => {
    const { cache, far } = open();
    await cache.set("k", "v", { tags: ["t"] });
    const versionsAnswer = gate();
    far.script("read", { after: versionsAnswer, key: "{~shop}::" });
    const read = cache.get("k");
    await versionsAnswer.arrived();
    await cache.clear();
    versionsAnswer.open();
    await read;
    far.down();
    expect(await cache.get("k", { allowStale: true })).toBeUndefined();
  });

  it("what was stored under them meanwhile is gone if another process has invalidated", async () => {
    const { cache, clock, near, far } = await seeded();
    const other = createCache({ name: "shop", clock })
      .tier(compose(scriptedBackend({ clock }), far))
      .build();
    const restore = far.script("*", { fail: true, times: Infinity });
    expect(await cache.set("k", "set")).toMatchObject({ status: "stored" });
    expect([valueIn(near), await cache.get("k")]).toEqual(["set", "set"]);
    restore();
    expect(await other.clear()).toMatchObject({ status: "done" });
    expect(await cache.get("k", { allowStale: true })).toBeUndefined();
  });
});

describe("three backends", () => {
  function openThree(
    shape: "left" | "right",
    options: ComposeOptions = {},
    formats: readonly (readonly [Format, Compressor])[] = [],
  ) {
    const clock = new TestClock();
    const [a, b, c] = ["a", "b", "c"].map((label, i) =>
      scriptedBackend({ clock, label, ...(formats[i] && { format: formats[i][0], compressor: formats[i][1] }) }),
    ) as [ScriptedBackend, ScriptedBackend, ScriptedBackend];
    const composed: ComposedBackend =
      shape === "left" ? compose(compose(a, b, options), c, options) : compose(a, compose(b, c, options), options);
    return {
      clock,
      a,
      b,
      c,
      cache: createCache({ name: "shop", clock }).tier(composed).defaults({ ttl: "1h" }).build(),
    };
  }

  it.each(["left", "right"] as const)(
    "nested %s: written to all, read from the nearest, refilled on the way",
    async (shape) => {
      const { cache, a, b, c } = openThree(shape);
      await cache.set("k", "v", { tags: ["t"] });
      expect([valueIn(a), valueIn(b), valueIn(c)]).toEqual(["v", "v", "v"]);
      a.store.delete(K);
      b.store.delete(K);
      expect(await cache.get("k")).toBe("v");
      await flush();
      expect([valueIn(a), valueIn(b)].filter((value) => value === "v").length).toBe(2);
      await cache.invalidateTags("t");
      expect(await cache.get("k", { allowStale: true })).toBeUndefined();
      await cache.set("k", "w");
      expect(await cache.delete("k")).toMatchObject({ status: "deleted" });
      expect([a, b, c].map((each) => each.store.get(K))).toEqual([undefined, undefined, undefined]);
    },
  );

  it.each(["left", "right"] as const)(
    "nested %s: what one missed is removed there, and pending until then",
    async (shape) => {
      for (const failing of ["a", "b", "c"] as const) {
        const opened = openThree(shape, { read: "freshest", refill: "never" });
        const { cache, clock } = opened;
        const failed = opened[failing];
        await cache.set("k", "old", { ttl: "2h" });
        failed.script("write", { fail: true, key: K });
        expect(await cache.set("k", "new")).toMatchObject({ status: "stored" });
        expect(cache.stats().pending).toBe(1);
        expect(valueIn(failed)).toBe("old");
        expect(await cache.get("k")).toBe("new");
        clock.advance("1s");
        await flush();
        expect([valueIn(failed), cache.stats().pending]).toEqual([undefined, 0]);
      }
    },
  );

  it.each(["left", "right"] as const)("nested %s: with two of them away the third answers", async (shape) => {
    for (const alive of ["a", "b", "c"] as const) {
      const opened = openThree(shape);
      const { cache } = opened;
      await cache.set("k", "v");
      expect(await cache.get("k")).toBe("v");
      for (const name of ["a", "b", "c"] as const) if (name !== alive) opened[name].down();
      expect(await cache.get("k")).toBe("v");
      expect(await cache.set("k", "w")).toMatchObject({ status: "stored" });
      expect(await cache.get("k")).toBe("w");
    }
  });

  it.each(["left", "right"] as const)(
    "nested %s: a load is stored with the bytes of each one's codec",
    async (shape) => {
      const codecs = [
        [json(), passthrough()],
        [v8(), gzip({ minBytes: 0 })],
        [json(), brotli({ minBytes: 0 })],
      ] as const;
      const { cache, a, b, c } = openThree(shape, {}, codecs);
      const value = { text: "x".repeat(100) };
      await cache.getOrSet("k", () => value);
      for (const [i, backend] of [a, b, c].entries()) {
        const { data, meta } = backend.store.get(K)!;
        const [format, compressor] = codecs[i]!;
        expect(JSON.parse(meta)).toMatchObject({ f: format.id, ...(compressor.id !== "none" && { c: compressor.id }) });
        expect(format.decode(await compressor.decompress(data, 1_000))).toEqual(value);
      }
      const stored = [a, b, c].map((backend) => backend.store.get(K)!);
      for (const [i, alone] of [a, b, c].entries()) {
        for (const other of [a, b, c]) other.store.delete(K);
        alone.store.set(K, stored[i]!);
        expect(await cache.get("k")).toEqual(value);
        await flush();
      }
    },
  );

  it("compositions of the same codecs in another shape are not taken for equal", async () => {
    const clock = new TestClock();
    const make = (label: string, format: Format) => scriptedBackend({ clock, label, format });
    const formats = [json(), v8(), json(), json(), v8(), json()];
    const backends = formats.map((format, i) => make(String(i), format));
    const [a, b, c, d, e, f] = backends as [
      ScriptedBackend,
      ScriptedBackend,
      ScriptedBackend,
      ScriptedBackend,
      ScriptedBackend,
      ScriptedBackend,
    ];
    const composed = compose(compose(compose(a, b), c), compose(d, compose(e, f)));
    const cache = createCache({ name: "shop", clock }).tier(composed).defaults({ ttl: "1h" }).build();
    expect(await cache.set("k", { a: 1 })).toMatchObject({ status: "stored" });
    for (const backend of backends) expect(backend.format.decode(backend.store.get(K)!.data)).toEqual({ a: 1 });
  });

  it("close ends what is tried again in the inner one", async () => {
    const { cache, clock, a } = openThree("left");
    a.script("write", { fail: true, key: K });
    await cache.set("k", "v");
    a.down();
    await cache.close();
    a.forgetCalls();
    clock.advance("1h");
    await flush();
    expect(a.calls).toEqual([]);
  });

  it("close waits for what goes on in the inner one", async () => {
    const { cache, a, b, c } = openThree("left", { write: "race" });
    await cache.set("k", "v");
    await flush();
    const writing = gate();
    b.script("write", { before: writing, key: K });
    await cache.set("k", "w");
    await flush();
    const closed = cache.close();
    expect(await outcome(closed)).toEqual({ status: "pending" });
    writing.open();
    await closed;
    expect([valueIn(a), valueIn(b), valueIn(c)]).toEqual(["w", "w", "w"]);
  });
});

describe("formats and compressors", () => {
  function counting(format: Format): Format & { readonly encodes: number; readonly decodes: number } {
    let [encodes, decodes] = [0, 0];
    return {
      id: format.id,
      encode: (value) => ((encodes += 1), format.encode(value)),
      decode: (bytes) => ((decodes += 1), format.decode(bytes)),
      get encodes() {
        return encodes;
      },
      get decodes() {
        return decodes;
      },
    };
  }

  it("bytes are made once where both agree", async () => {
    const [near, far] = [counting(json()), counting(json())];
    const { cache } = open({ near: { format: near }, far: { format: far } });
    await cache.set("k", "v");
    await cache.getOrSet("l", () => "w");
    expect([near.encodes, far.encodes]).toEqual([2, 0]);
  });

  it("also by all of three", async () => {
    const clock = new TestClock();
    const formats = [counting(json()), counting(json()), counting(json())] as const;
    const [a, b, c] = formats.map((format, i) => scriptedBackend({ clock, format, label: String(i) })) as [
      ScriptedBackend,
      ScriptedBackend,
      ScriptedBackend,
    ];
    const cache = createCache({ name: "shop", clock })
      .tier(compose(a, compose(b, c)))
      .build();
    await cache.set("k", "v");
    expect(formats.map(({ encodes }) => encodes)).toEqual([1, 0, 0]);
  });

  it.each([
    ["formats", { format: json() }, { format: v8() }],
    ["compressors", { compressor: gzip({ minBytes: 0 }) }, { compressor: brotli({ minBytes: 0 }) }],
  ] as const)("each backend keeps its own where they differ in %s", async (_, nearCodec, farCodec) => {
    const [near, far] = [counting(json()), counting("format" in farCodec ? farCodec.format : json())];
    const opened = open({ near: { ...nearCodec, format: near }, far: { ...farCodec, format: far } });
    const value = { text: "abc".repeat(100) };
    await opened.cache.set("k", value);
    expect([near.encodes, far.encodes]).toEqual([1, 1]);
    expect(opened.near.store.get(K)!.data).not.toEqual(opened.far.store.get(K)!.data);
    expect(await opened.cache.get("k")).toEqual(value);
    opened.near.store.delete(K);
    expect(await opened.cache.get("k")).toEqual(value);
    await flush();
    opened.far.store.delete(K);
    expect(await opened.cache.get("k")).toEqual(value);
    expect([near.decodes, far.decodes]).toEqual([2, 1]);
  });

  it("where one layout names no compressor, small values are compressed for it all the same", async () => {
    const clock = new TestClock();
    const near = scriptedBackend({ clock, label: "near", compressor: gzip() });
    const far = { ...scriptedBackend({ clock, label: "far", compressor: gzip() }), keepsMeta: false };
    const cache = createCache({ name: "shop", clock }).tier(compose(near, far)).build();
    const seen = watch(cache, "decode:error");
    await cache.set("k", "small");
    near.store.delete(K);
    expect(await cache.get("k")).toBe("small");
    expect(seen).toEqual([]);
  });

  it("what one side cannot decode is a miss there (C113)", async () => {
    const { cache, near, far } = await seeded({ refill: "never" });
    near.store.set(K, {
      ...far.store.get(K)!,
      meta: JSON.stringify({ ...(JSON.parse(far.store.get(K)!.meta) as object), f: "csv.1" }),
    });
    const seen = watch(cache, "decode:error");
    expect(await cache.get("k")).toBe("seed");
    expect(seen.map(([, { tier }]) => tier)).toEqual(["near"]);
  });
});

describe("with a local tier", () => {
  function openLocal(options: ComposeOptions = {}, policy: Policy = {}) {
    const clock = new TestClock();
    const [near, far] = [scriptedBackend({ clock, label: "near" }), scriptedBackend({ clock, label: "far" })];
    const cache = createCache({ name: "shop", clock })
      .tier(memory())
      .tier(compose(near, far, options))
      .defaults({ ttl: "1h", ...policy })
      .build();
    return { cache, clock, near, far };
  }

  it("promotes what either side has, and answers alone afterwards", async () => {
    for (const only of ["near", "far"] as const) {
      const { cache, clock, near, far } = openLocal();
      await createCache({ name: "shop", clock }).tier(compose(near, far)).build().set("k", "v");
      (only === "near" ? far : near).store.delete(K);
      expect(cache.peek("k")).toBeUndefined();
      expect(await cache.get("k")).toBe("v");
      await flush();
      for (const backend of [near, far]) backend.forgetCalls();
      expect(await cache.get("k")).toBe("v");
      expect([near.calls, far.calls]).toEqual([[], []]);
    }
  });

  it("localTtl bounds the local copy, nearTtl the one in near", async () => {
    const { cache, clock, near, far } = openLocal({ nearTtl: "1m" }, { localTtl: "5s" });
    await cache.set("k", "v");
    clock.advance("5s");
    expect(cache.peek("k")).toBeUndefined();
    far.forgetCalls();
    expect(await cache.get("k")).toBe("v");
    expect([cache.peek("k"), reads(far), near.store.get(K)?.expiresInMs]).toEqual(["v", 0, 55_000]);
    clock.advance("5s");
    expect(cache.peek("k")).toBeUndefined();
  });

  it("must be bounded where anything composed has other writers", () => {
    const clock = new TestClock();
    const sole = () => scriptedBackend({ clock });
    const shared = () => scriptedBackend({ clock, coherence: "none" });
    const build =
      (composed: ComposedBackend, policy: Policy = {}) =>
      () =>
        createCache({ name: "shop", clock }).tier(memory()).tier(composed).defaults(policy).build();
    expect(build(compose(sole(), sole()))).not.toThrow();
    expect(build(compose(sole(), shared(), { nearTtl: "1m" }))).toThrow(ConfigurationError);
    expect(build(compose(shared(), sole()))).toThrow(ConfigurationError);
    expect(build(compose(sole(), shared(), { nearTtl: "1m" }), { localTtl: "1s" })).not.toThrow();
  });
});

describe("options", () => {
  const backends = (): readonly [ScriptedBackend, ScriptedBackend] => {
    const clock = new TestClock();
    return [scriptedBackend({ clock, label: "near" }), scriptedBackend({ clock, label: "far" })];
  };

  it("the label is made of both, unless one is given", () => {
    const [near, far] = backends();
    expect(compose(near, far).label).toBe("near+far");
    expect(compose(near, far, { label: "both" }).label).toBe("both");
    expect(compose(compose(near, far), far).label).toBe("near+far+far");
  });

  it.each<readonly [string, unknown, string]>([
    [
      "an unknown option",
      { readd: "race" },
      'there is no option "readd"; accepted are label, read, write, refill, nearTtl',
    ],
    ["an unknown way to read", { read: "parallel" }, 'read: "parallel" is unknown; give sequential, race, freshest'],
    ["an unknown way to write", { write: "freshest" }, 'write: "freshest" is unknown; give sequential, parallel, race'],
    ["an unknown refill", { refill: "sometimes" }, 'refill: "sometimes" is unknown; give always, never'],
    ["a nearTtl of zero", { nearTtl: 0 }, "nearTtl: 0 is too short; give more than 0"],
    [
      "a nearTtl without a unit",
      { nearTtl: "5" },
      'nearTtl must be milliseconds (60_000), or a number with a unit: ms, s, m, h or d ("1m"); got "5"',
    ],
    ["an empty label", { label: "" }, 'label: "" is no label; give text'],
    ["no object", "race", 'options: "race" is no object; accepted are label, read, write, refill, nearTtl'],
  ])("%s is a ConfigurationError that names it", (_, options, message) => {
    const [near, far] = backends();
    const act = () => compose(near, far, options as ComposeOptions);
    expect(act).toThrow(ConfigurationError);
    expect(act).toThrow(message);
  });

  it.each<readonly [string, unknown, string]>([
    ["a builder", { build: () => undefined }, "an object"],
    ["a local tier", memory(), "an object"],
    ["nothing", undefined, "undefined"],
    ["null", null, "null"],
  ])("%s is no backend", (_, side, described) => {
    const [near, far] = backends();
    expect(() => compose(side as never, far)).toThrow(
      `compose: near is ${described}; give a backend, such as redis(url).build()`,
    );
    expect(() => compose(near, side as never)).toThrow(
      `compose: far is ${described}; give a backend, such as redis(url).build()`,
    );
  });

  it("nearTtl must be given where far has other writers, however deep", () => {
    const clock = new TestClock();
    const [near, far] = backends();
    const shared = scriptedBackend({ clock, label: "shared", coherence: "none" });
    const message =
      "compose: shared does not tell what others change, so give nearTtl: how stale a copy in near may be";
    expect(() => compose(near, shared)).toThrow(ConfigurationError);
    expect(() => compose(near, shared)).toThrow(message);
    expect(() => compose(near, compose(far, shared, { nearTtl: 1 }))).toThrow(ConfigurationError);
    expect(() => compose(near, shared, { nearTtl: "1m" })).not.toThrow();
    expect(() => compose(near, shared, { nearTtl: Infinity })).not.toThrow();
    expect(() => compose(shared, far)).not.toThrow();
  });
});

describe("its life", () => {
  it("stats has the composition and both sides", async () => {
    const { cache, near, far } = await seeded();
    await cache.get("k");
    near.store.delete(K);
    await cache.get("k");
    await cache.get("nothing");
    const tiers = cache.stats().tiers;
    expect(tiers.map(({ label, state, hits, misses }) => [label, state, hits, misses])).toEqual([
      ["near+far", "up", 2, 1],
      ["near", "up", 1, 2],
      ["far", "up", 1, 1],
    ]);
    expect(tiers[0]!.latency.read.count).toBe(3);
    expect(tiers[0]!.latency.write.count).toBe(1);
    expect(far.isClosed).toBe(false);
  });

  it("counts what failed on each side, and in both as the composition's", async () => {
    const { cache, near, far } = await seeded();
    near.script("read", { fail: true, key: K });
    await cache.get("k");
    near.script("read", { fail: true, key: K });
    far.script("read", { fail: true, key: K });
    await cache.get("k");
    expect(cache.stats().tiers.map(({ label, errors }) => [label, errors])).toEqual([
      ["near+far", 1],
      ["near", 2],
      ["far", 1],
    ]);
  });

  it("is down when both are", async () => {
    const { cache, near, far } = await seeded();
    const states = () => cache.stats().tiers.map(({ state }) => state);
    near.down();
    for (let i = 0; i < 5; i += 1) await cache.get("k");
    await flush();
    expect(states()).toEqual(["up", "down", "up"]);
    far.down();
    for (let i = 0; i < 5; i += 1) await cache.get("k");
    expect(states()).toEqual(["down", "down", "down"]);
  });

  it("connects both; one is enough, and the other is reported", async () => {
    const { cache, near, far } = open();
    await cache.connect();
    expect([near.count("connect"), far.count("connect")]).toEqual([1, 1]);
    const seen = watch(cache, "backend:error");
    const nearConnects = gate();
    near.script("connect", { before: nearConnects });
    far.script("connect", { fail: true });
    const connecting = cache.connect();
    expect(await outcome(connecting)).toEqual({ status: "pending" });
    nearConnects.open();
    await connecting;
    expect(seen.map(([, { tier, operation }]) => [tier, operation])).toEqual([["far", "connect"]]);
  });

  it("cannot connect when neither can, with both causes", async () => {
    const { cache, near, far } = open();
    const causes = [
      new BackendUnavailableError("wrong password", { retryable: false, maybeExecuted: false }),
      new BackendUnavailableError("expired certificate", { retryable: false, maybeExecuted: false }),
    ] as const;
    near.script("connect", { fail: causes[0] });
    far.script("connect", { fail: causes[1] });
    const error = await cache.connect().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(BackendUnavailableError);
    expect(error).toMatchObject({ tier: "near+far", operation: "connect", retryable: false, maybeExecuted: false });
    expect(((error as Error).cause as AggregateError).errors).toEqual(causes);
  });

  it("close closes both, once, and not while another cache uses them", async () => {
    const clock = new TestClock();
    const [near, far] = [scriptedBackend({ clock, label: "near" }), scriptedBackend({ clock, label: "far" })];
    const make = (): Cache => createCache({ name: "shop", clock }).tier(compose(near, far)).build();
    const [first, second] = [make(), make()];
    await first.close();
    expect([near.isClosed, far.isClosed]).toEqual([false, false]);
    await second.close();
    expect([near.count("close"), far.count("close")]).toEqual([1, 1]);
  });

  it("close tries once more what waits for one side, and leaves nothing that goes on", async () => {
    const { cache, clock, near } = await seeded();
    near.script("write", { fail: true, key: K });
    await cache.set("k", "new");
    await cache.close();
    expect(valueIn(near)).toBeUndefined();

    const again = await seeded();
    again.near.script("write", { fail: true, key: K });
    await again.cache.set("k", "new");
    again.near.down();
    await again.cache.close();
    again.near.forgetCalls();
    clock.advance("1h");
    again.clock.advance("1h");
    await flush();
    expect(again.near.calls).toEqual([]);
  });

  it("close gives a side that hangs no more than its timeout", async () => {
    const { cache, clock, far } = await seeded({ write: "race", far: { deadlineMs: 60_000 } });
    far.script("write", { before: gate(), key: K });
    await cache.set("k", "new");
    const closed = cache.close({ timeout: "2s" });
    clock.advance(1_999);
    expect(await outcome(closed)).toEqual({ status: "pending" });
    clock.advance(1);
    await closed;
  });

  it("what close was still trying is not tried again after it", async () => {
    const { cache, clock, near } = await seeded();
    near.script("write", { fail: true, key: K });
    await cache.set("k", "new");
    near.script("remove", { before: gate(), key: K });
    const closed = cache.close({ timeout: 500 });
    await flush();
    clock.advance(500);
    await closed;
    near.forgetCalls();
    await elapse(clock, 10);
    expect(near.calls).toEqual([]);
  });
});

/** A generator of numbers below 1, the same for the same seed (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Sixty calls of all kinds on two keys, over two or three backends, while any of them fails, is away, answers late, loses answers and loses
 * entries. Each value is a number of its own, so that each answer tells which call stored it.
 *
 * @returns what a call answered although a change that was called later had been answered before; and what did not end.
 */
async function play(seed: number, options: ComposeOptions): Promise<readonly string[]> {
  const next = random(seed);
  const below = (limit: number): number => Math.floor(next() * limit);
  const one = <T>(...of: readonly T[]): T => of[below(of.length)]!;
  const clock = new TestClock();
  const backends = ["near", "middle", "far"].map((label) => scriptedBackend({ clock, label })) as [
    ScriptedBackend,
    ScriptedBackend,
    ScriptedBackend,
  ];
  const [near, middle, far] = backends;
  const composed = one(
    () => compose(near, far, options),
    () => compose(compose(near, middle, options), far, options),
    () => compose(near, compose(middle, far, options), options),
  )();
  const builder = createCache({ name: "shop", clock });
  const cache = (below(2) === 0 ? builder.tier(composed) : builder.tier(memory()).tier(composed))
    .defaults({ ttl: "1m", staleWhileRevalidate: 5_000 })
    .build();

  const problems: string[] = [];
  const work: Promise<unknown>[] = [];
  const repairs: (() => void)[] = [];
  /** By value: when it was set or loaded, and when that call was answered. */
  const written: { readonly key: string; readonly calledAt: number; endedAt: number }[] = [];
  const changes: { readonly key: string; readonly calledAt: number }[] = [];
  let calls = 0;

  const write = (key: string): number => written.push({ key, calledAt: (calls += 1), endedAt: Infinity }) - 1;
  const change = (key: string, calledAt: number, answered: Promise<unknown>): void => {
    work.push(answered.then(() => changes.push({ key, calledAt })));
  };
  const check = (what: string, key: string, known: number, value: unknown): void => {
    if (typeof value !== "number") return;
    const { key: of, calledAt, endedAt } = written[value]!;
    const undone = changes.slice(0, known).find((each) =>
      // What is cleared while it is being written may come before or after it.
      each.key === key ? each.calledAt > calledAt : each.key === "*" && each.calledAt > endedAt,
    );
    if (of !== key || undone !== undefined)
      problems.push(`${what} of ${key} gave what call ${calledAt} stored for ${of}, after call ${undone?.calledAt}`);
  };
  const steps: (() => void)[] = [
    ...Array.from({ length: 3 }, () => () => {
      const key = one("a", "b");
      const value = write(key);
      change(
        key,
        written[value]!.calledAt,
        cache.set(key, value, one({}, { tags: ["t"] })).then(() => (written[value]!.endedAt = calls)),
      );
    }),
    () => {
      const key = one("a", "b");
      change(key, (calls += 1), cache.delete(key));
    },
    () => void work.push(cache.markStale(one("a", "b"))),
    () => {
      if (below(3) === 0) change("*", (calls += 1), cache.clear());
    },
    ...Array.from({ length: 3 }, () => () => {
      const [key, known] = [one("a", "b"), changes.length];
      work.push(cache.get(key, { allowStale: true }).then((value) => check("get", key, known, value)));
    }),
    () => {
      const known = changes.length;
      work.push(
        cache.getMany(["a", "b"]).then((values) => values.forEach((value, key) => check("getMany", key, known, value))),
      );
    },
    () => {
      const [key, known] = [one("a", "b"), changes.length];
      const load = (): number => {
        const value = write(key);
        written[value]!.endedAt = calls;
        return value;
      };
      work.push(cache.getOrSet(key, load).then((value) => check("getOrSet", key, known, value)));
    },
    ...Array.from({ length: 2 }, () => () => {
      const fault = one<ScriptedStep>(
        { fail: true },
        { loseAnswer: true },
        { before: below(900) },
        { after: below(1_500) },
        { before: below(900), fail: true },
      );
      repairs.push(
        one(...backends).script(one("*", "read", "write", "remove", "markStale"), { ...fault, times: 1 + below(3) }),
      );
    }),
    () => {
      if (below(3) === 0) one(...backends).down();
      else for (const backend of backends) backend.up();
    },
    () => one(near, middle).store.clear(),
  ];
  const settle = async (what: string, waiting: Promise<unknown>): Promise<void> => {
    let isOver = false;
    waiting.then(
      () => (isOver = true),
      (error: unknown) => problems.push(`${what} rejected: ${String(error)}`),
    );
    for (let i = 0; i < 150 && !isOver; i += 1) {
      clock.advance(500);
      await flush(1);
    }
    if (!isOver) problems.push(`${what} did not end`);
  };

  for (let i = 0; i < 60; i += 1) {
    one(...steps)();
    if (below(3) === 0) await flush(1 + below(2));
    if (below(3) === 0) {
      clock.advance(below(1_200));
      await flush(1);
    }
  }
  for (const repair of repairs) repair();
  for (const backend of backends) backend.up();
  await settle("a call", Promise.all(work));
  for (const key of ["a", "b"]) {
    const known = changes.length;
    await settle(
      "the last get",
      cache.get(key, { allowStale: true }).then((value) => check("the last get", key, known, value)),
    );
  }
  for (let s = 0; s < 70 && cache.stats().pending !== 0; s += 1) await elapse(clock, 1);
  if (cache.stats().pending !== 0) problems.push(`${cache.stats().pending} are pending`);
  await settle("close", cache.close());
  return problems;
}

describe("whatever fails, in any order", () => {
  it.each(READS.flatMap((read) => WRITES.map((write) => [read, write] as const)))(
    "reading %s, writing %s: nothing is served that was replaced or removed",
    async (read, write) => {
      for (let seed = 1; seed <= 40; seed += 1)
        expect({
          seed,
          problems: await play(seed, { read, write, nearTtl: seed % 2 === 0 ? Infinity : "20s" }),
        }).toEqual({ seed, problems: [] });
    },
  );
});
