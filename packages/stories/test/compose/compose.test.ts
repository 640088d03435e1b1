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
  type Seal,
  type Served,
  type StoredEntry,
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
import { longKeys, MOST_PENDING } from "../support/long-keys.ts";
import { never } from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

const READS = ["sequential", "race", "freshest"] as const;
const WRITES = ["sequential", "parallel", "race"] as const;
/** Copies in near live as long as their entries. */
const UNBOUNDED = { nearTtl: Infinity } as const;

/** The key `k` of the caches below, as a backend gets it. */
const K = "shop::k";

interface OpenOptions extends Partial<ComposeOptions> {
  readonly near?: Omit<ScriptedBackendOptions, "clock">;
  readonly far?: Omit<ScriptedBackendOptions, "clock">;
  readonly policy?: Policy;
}

const FAILING_SEAL: Seal = {
  id: "test",
  seal: () => {
    throw new Error("the seal fails");
  },
  open: (bytes) => bytes,
};

const stored = (value: unknown): StoredEntry => ({
  data: json().encode(value),
  staleInMs: 60_000,
  expiresInMs: 60_000,
  meta: "",
});

/** The reports of `backend:error`, in order. */
function reportsOf(cache: Cache): string[] {
  const reports: string[] = [];
  cache.on("backend:error", ({ tier, operation, key, error }) =>
    reports.push(`${tier}, ${operation} of ${key}: ${error.message}`),
  );
  return reports;
}

/** A cache over two composed backends, without a local tier unless the test builds one. */
function open({ near: nearOptions, far: farOptions, policy = {}, nearTtl = Infinity, ...options }: OpenOptions = {}) {
  const clock = new TestClock();
  const near = scriptedBackend({ clock, label: "near", ...nearOptions });
  const far = scriptedBackend({ clock, label: "far", ...farOptions });
  const cache = createCache({ name: "shop", clock })
    .tier(compose(near, far, { ...options, nearTtl }))
    .defaults({ ttl: "1m", ...policy })
    .build();
  return { cache, clock, near, far };
}

/** Stores `value` in `backend` with this lifetime, as if it had been written under the current tag versions. */
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

/** Counts reads of entries, without those of tag versions. */
const reads = (backend: ScriptedBackend): number =>
  backend.calls.filter(({ operation, keys }) => operation.endsWith("read") && keys.includes(K)).length;
const writes = (backend: ScriptedBackend): number => backend.count("write", K);

/** A cache whose two backends both hold `k`, under current tag versions. */
async function seeded(options: OpenOptions = {}) {
  const opened = open(options);
  await opened.cache.set("k", "seed", { ttl: "1h" });
  for (const backend of [opened.near, opened.far]) backend.forgetCalls();
  return opened;
}

/** Advances the clock second by second, so that each due call is answered before the next second. */
async function elapse(clock: TestClock, seconds: number): Promise<void> {
  for (let s = 0; s < seconds; s += 1) {
    clock.advance("1s");
    await flush(2);
  }
}

describe("composed reads", () => {
  it.each(READS)("%s: find an entry that only far or only near has (C122)", async (read) => {
    const { cache, near, far } = await seeded({ read, refill: "never" });
    near.store.delete(K);
    expect(await cache.get("k")).toBe("seed");
    put(near, far, "near", 1_000);
    far.store.delete(K);
    expect(await cache.get("k")).toBe("near");
    near.store.delete(K);
    expect(await cache.get("k")).toBeUndefined();
  });

  it.each(READS)("%s: treat a failing backend as a miss (C122)", async (read) => {
    const { cache, near, far } = await seeded({ read, refill: "never" });
    near.script("read", { fail: true, key: K });
    expect(await cache.get("k")).toBe("seed");
    far.script("read", { fail: true, key: K });
    expect(await cache.get("k")).toBe("seed");
    near.script("read", { fail: true, key: K });
    far.store.delete(K);
    expect(await cache.get("k")).toBeUndefined();
  });

  it.each(READS)("%s: report both errors and load the value when both backends fail (C122)", async (read) => {
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

  it.each(READS)("%s: prefer a fresh entry in far to a stale copy in near (C122)", async (read) => {
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
    "%s: return the stale copy with the longer lifetime, or the only one when the other backend fails (C122)",
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

  it.each(READS)("%s: prefer a valid entry in far to an invalidated one in near (C125)", async (read) => {
    const { cache, near, far } = await seeded({ read, refill: "never" });
    const old = near.store.get(K)!;
    await cache.clear();
    await cache.set("k", "valid");
    near.store.set(K, old);
    expect(await cache.get("k")).toBe("valid");
    far.store.delete(K);
    expect(await cache.get("k", { allowStale: true })).toBeUndefined();
  });

  it("sequential: do not ask far for an entry in near", async () => {
    const { cache, near, far } = await seeded({ read: "sequential" });
    expect(await cache.get("k")).toBe("seed");
    expect([reads(near), reads(far)]).toEqual([1, 0]);
  });

  it("race: return the first hit from either backend (C122)", async () => {
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
    "race: wait for the other backend when the first answer is not a hit (%s) (C122)",
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

  it("race: miss when neither backend has the entry", async () => {
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
  ])(
    "freshest: return the entry with the longer remaining lifetime: %d ms in near, %d ms in far: %s",
    async (nearMs, farMs, winner) => {
      const { cache, near } = open({ read: "freshest", refill: "never" });
      await cache.set("k", "near", { ttl: nearMs });
      const nearer = near.store.get(K)!;
      await cache.set("k", "far", { ttl: farMs });
      near.store.set(K, nearer);
      expect(await cache.get("k")).toBe(winner);
    },
  );

  it("freshest: wait for both backends (C122)", async () => {
    const { cache, far } = await seeded({ read: "freshest" });
    const farAnswers = gate();
    far.script("read", { after: farAnswers, key: K });
    const answer = cache.get("k");
    expect(await outcome(answer)).toEqual({ status: "pending" });
    farAnswers.open();
    expect(await answer).toBe("seed");
  });

  it("sequential: wait for near's deadline and then for far's own (C122)", async () => {
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

  it("report the composition's label and the real age", async () => {
    const { cache, clock } = await seeded({ nearTtl: "10s" });
    clock.advance("4s");
    const served: Served[] = [];
    await cache.getOrSet("k", never, { onServed: (each) => served.push(each) });
    expect(served).toEqual([
      { status: "hit", tier: "near+far", ageMs: 4_000, freshForMs: 3_596_000, expiresInMs: 6_000, coalesced: false },
    ]);
  });
});

describe("composed reads of many keys", () => {
  it.each(READS)("%s: send one batch to near and one to far", async (read) => {
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
    // Tag versions are read once for the whole batch.
    expect(far.calls.filter(({ operation, keys }) => operation === "read" && keys[0]!.startsWith("{")).length).toBe(1);
  });

  it("do not ask far when near has every key", async () => {
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

  it("treat a failing batch as misses, and send a batch without a key that waits for a removal (C122)", async () => {
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

  it("load the keys that neither backend has in one run", async () => {
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

describe("composed writes", () => {
  it.each(WRITES)("%s: reach both backends (C123)", async (write) => {
    const { cache, near, far } = open({ write });
    expect(await cache.set("k", "v")).toMatchObject({ status: "stored" });
    await flush();
    expect([valueIn(near), valueIn(far)]).toEqual(["v", "v"]);
    await cache.getOrSet("l", () => "w");
    await flush();
    expect([valueIn(near, "shop::l"), valueIn(far, "shop::l")]).toEqual(["w", "w"]);
  });

  it("sequential: reach far after near has answered, even with an error", async () => {
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

  it("parallel: are sent to both at once and end when both have settled", async () => {
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
    "race: end with the first backend; %s follows, and close waits for it (C123)",
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

  it.each(READS)("race, read by %s: hide the slower backend's old entry until it is replaced (C123)", async (read) => {
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

  it("race: delay a later call to the slower backend until the write has settled (C123)", async () => {
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

  it("race: do not end with a refusal (C123)", async () => {
    const { cache, near, far } = await seeded({ write: "race", near: { maxEntryBytes: 20 } });
    const farWrites = gate();
    far.script("write", { before: farWrites, key: K });
    const set = cache.set("k", "x".repeat(30));
    expect(await outcome(set)).toEqual({ status: "pending" });
    farWrites.open();
    expect(await set).toMatchObject({ status: "stored" });
    expect(near.store.get(K)).toBeUndefined();
  });

  it.each(WRITES)("%s: are refused when too large for both, and stored when one accepts them", async (write) => {
    const { cache } = open({ write, near: { maxEntryBytes: 20 }, far: { maxEntryBytes: 40 } });
    expect((await cache.set("k", "x".repeat(30))).status).toBe("stored");
    expect((await cache.set("k", "x".repeat(60))).status).toBe("refused");
    expect(await cache.get("k")).toBeUndefined();
  });

  it.each(WRITES)(
    "%s: are pending when both fail, and the old entry is removed from both before a read (C123)",
    async (write) => {
      const { cache, near, far } = await seeded({ write });
      for (const backend of [near, far]) backend.script("write", { fail: true, key: K });
      expect(await cache.set("k", "v")).toEqual({ status: "pending" });
      expect(cache.stats().pending).toBe(1);
      expect(await cache.get("k", { allowStale: true })).toBeUndefined();
      expect([near.store.get(K), far.store.get(K), cache.stats().pending]).toEqual([undefined, undefined, 0]);
    },
  );

  it.each(WRITES)("%s: report an encoding error as such, and change nothing", async (write) => {
    const { cache, near, far } = await seeded({ write });
    await expect(cache.set("k", 1n)).rejects.toBeInstanceOf(EncodeError);
    await expect(
      cache.set("k", "v", { tags: Array.from({ length: 60 }, (_, i) => `${"t".repeat(100)}${i}`) }),
    ).rejects.toBeInstanceOf(EncodeError);
    expect([valueIn(near), valueIn(far), cache.stats().pending]).toEqual(["seed", "seed", 0]);
    expect(await cache.get("k")).toBe("seed");
  });
});

describe("a write that one backend missed", () => {
  const CASES = WRITES.flatMap((write) => (["near", "far"] as const).map((failing) => [write, failing] as const));

  it.each(CASES)("%s: the old entry in %s is not served, and is removed (C123)", async (write, failing) => {
    const { cache, near, far } = await seeded({ read: "freshest", write, refill: "never" });
    const [failed, other] = failing === "near" ? [near, far] : [far, near];
    put(failed, failed, "old", 7_000_000);
    failed.script("write", { fail: true, key: K });
    failed.script("remove", { fail: true, key: K });
    expect(await cache.set("k", "new")).toMatchObject({ status: "stored" });
    await flush();
    expect(cache.stats().pending).toBe(1);
    const recovered = watch(cache, "recover");

    // Freshest would take the old entry for its longer lifetime. The first read retries the removal, which fails.
    expect(await cache.get("k")).toBe("new");
    expect(await cache.getMany(["k", "j"])).toEqual(new Map([["k", "new"]]));
    await flush();
    expect(valueIn(failed)).toBe(undefined);
    expect(recovered.map(([, { tier, replayed }]) => [tier, replayed])).toEqual([[failing, 1]]);
    expect(cache.stats().pending).toBe(0);

    other.store.delete(K);
    expect(await cache.get("k", { allowStale: true })).toBeUndefined();
  });

  it("is followed by a removal there after one second (C123)", async () => {
    const { cache, clock, near } = await seeded();
    near.script("write", { loseAnswer: true, key: K });
    await cache.set("k", "new");
    clock.advance(999);
    expect(near.count("remove", K)).toBe(0);
    clock.advance(1);
    await flush();
    expect([near.count("remove", K), valueIn(near), cache.stats().pending]).toEqual([1, undefined, 0]);
  });

  it("is settled by the next write that this backend accepts (C123)", async () => {
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

  it("is settled by a removal (C123)", async () => {
    const { cache, near } = await seeded();
    near.script("write", { fail: true, key: K });
    near.script("remove", { fail: true, key: K });
    await cache.set("k", "new");
    await cache.get("k");
    expect(cache.stats().pending).toBe(1);
    expect(await cache.delete("k")).toMatchObject({ status: "deleted" });
    expect(cache.stats().pending).toBe(0);
  });

  it("is not brought back by markStale (C123)", async () => {
    const { cache, near, far } = await seeded({ policy: { staleIfError: "1h" } });
    far.script("write", { fail: true, key: K });
    await cache.set("k", "new");
    expect(await cache.markStale("k")).toEqual({ status: "stale" });
    expect([near.store.get(K), far.store.get(K)]).toEqual([undefined, undefined]);
    expect(await cache.get("k", { allowStale: true })).toBeUndefined();
  });

  it("is settled by a refill (C123)", async () => {
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

  it("beyond 16 MiB of keys in far: far is not read until it answers, and then no older entry is served from either", async () => {
    const { cache, clock, near, far } = await seeded({ policy: { ttl: "1h" } });
    await cache.set("other", "old");
    const restore = far.script("write", { fail: true, times: Infinity });
    const removals = far.script("remove", { fail: true, times: Infinity });
    const keys = longKeys(MOST_PENDING + 1, "shop::");
    for (const [i, key] of keys.entries()) await cache.set(key, i);
    far.store.set(`shop::${keys[5]}`, far.store.get("shop::other")!);
    restore();
    removals();
    await elapse(clock, 60);
    expect([await cache.get(keys[5]!), await cache.get("other"), cache.stats().pending]).toEqual([
      undefined,
      undefined,
      0,
    ]);
    expect(near.store.get(`shop::${keys[5]}`)).toBeDefined();
  });

  it("beyond 16 MiB of keys in near: the oldest are forgotten, and nothing else is lost", async () => {
    const { cache, clock, near } = await seeded({ nearTtl: "10m", policy: { ttl: "1h" } });
    near.down();
    const overflows = watch(cache, "pending:overflow");
    const keys = longKeys(MOST_PENDING + 1, "shop::");
    for (const [i, key] of keys.entries()) await cache.set(key, i);
    // A MiB at a time.
    expect(cache.stats().pending).toBe((MOST_PENDING * 15) / 16);
    expect(overflows.map(([, { effect }]) => effect)).toEqual(["forget"]);
    const ends = () => Promise.all([keys[0]!, keys.at(-1)!].map((key) => cache.get(key)));
    expect(await ends()).toEqual([0, MOST_PENDING]);
    near.up();
    await elapse(clock, 60);
    expect([await ends(), cache.stats().pending]).toEqual([[0, MOST_PENDING], 0]);
  });
});

describe("composed removals", () => {
  it("reach both backends, and report deleted when either had the entry", async () => {
    const { cache, near, far } = await seeded();
    near.store.delete(K);
    expect(await cache.delete("k")).toMatchObject({ status: "deleted" });
    expect(far.store.get(K)).toBeUndefined();
    expect(await cache.delete("k")).toMatchObject({ status: "missing" });
    expect([near.count("remove", K), far.count("remove", K)]).toEqual([2, 2]);
  });

  it.each(["near", "far"] as const)(
    "that %s does not acknowledge are pending, and replayed on both (C123)",
    async (failing) => {
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
    },
  );

  it.each(["near", "far"] as const)(
    "hide every entry of the key while %s does not answer, even one that was set before (C123)",
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

  it("by markStale end freshness in far and remove the copy in near, and are pending when one does not acknowledge (C123)", async () => {
    const { cache, near, far } = await seeded({ policy: { staleIfError: "1h" } });
    await cache.set("k", "v");
    expect(await cache.markStale("k")).toEqual({ status: "stale" });
    expect([near.store.get(K), far.store.get(K)?.staleInMs]).toEqual([undefined, 0]);
    expect(await cache.get("k", { allowStale: true })).toBe("v");
    expect(await cache.markStale("nothing")).toEqual({ status: "missing" });

    far.script("markStale", { fail: true, key: K });
    expect(await cache.markStale("k")).toEqual({ status: "pending" });
    expect(await cache.get("k", { allowStale: true })).toBeUndefined();
    expect([near.store.get(K), far.store.get(K)]).toEqual([undefined, undefined]);
  });
});

describe("a refill of near", () => {
  it.each(READS)("%s: copies a fresh hit in far after the answer, with its remaining lifetime", async (read) => {
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

  it.each(READS)("%s: never happens with refill never", async (read) => {
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

  it("does not copy a stale entry", async () => {
    const { cache, clock, near } = open();
    await cache.set("k", "v", { ttl: 1_000, staleIfError: 5_000 });
    near.store.delete(K);
    clock.advance(1_000);
    expect(await cache.get("k", { allowStale: true })).toBe("v");
    await flush();
    expect(near.store.get(K)).toBeUndefined();
  });

  it("does not replace a fresh copy in near, even if near answered later or its copy ends earlier", async () => {
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
  });

  it("happens once for many concurrent readers", async () => {
    const { cache, near } = await seeded();
    near.store.delete(K);
    await Promise.all(Array.from({ length: 20 }, () => cache.get("k")));
    await flush();
    expect(writes(near)).toBe(1);
  });

  it.each(READS)("%s: does not copy an entry read before a change of the key was called (C124)", async (read) => {
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

  it("does not copy an entry read during a change (C124)", async () => {
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

  it.each(READS)(
    "C422: %s: of a far whose reads lag, nothing that this process has changed lately is copied",
    async (read) => {
      const { cache, clock, near, far } = open({ read, nearTtl: "10m", policy: { ttl: "1h" } });
      Object.assign(far, { readsLag: true });
      await cache.set("k", "old");
      const replica = far.store.get(K)!;
      await cache.set("k", "new");
      const primary = far.store.get(K)!;
      // Near has lost its copy, and a replica answers that has not received the change.
      near.store.delete(K);
      far.store.set(K, replica);
      expect(await cache.get("k")).toBe("old");
      await flush();
      far.store.set(K, primary);
      expect(await cache.get("k")).toBe("new");
      // What others change may be hidden by a copy for nearTtl, so that near is of use here too.
      near.store.delete(K);
      clock.advance("10m");
      await cache.get("k");
      await flush();
      expect(valueIn(near)).toBe("new");
    },
  );

  it("does not copy an entry read during a change when near answers after the change (C124)", async () => {
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

  it("under tag versions that were invalidated meanwhile is not served (C124)", async () => {
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

  it("that near cannot encode is reported, and the value is returned", async () => {
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

  it("C354: that near cannot seal is reported, and the value is returned", async () => {
    const { cache, near, far } = open({ near: { seal: FAILING_SEAL } });
    far.store.set(K, stored("v"));
    const seen = reportsOf(cache);
    expect(await cache.get("k")).toBe("v");
    await flush();
    expect([seen, near.store.get(K)]).toEqual([
      ["near, encode of k: test cannot seal this entry; see cause"],
      undefined,
    ]);
  });

  it("that fails in an unreachable near is not retried", async () => {
    const { cache, near } = await seeded();
    near.down();
    expect(await cache.get("k")).toBe("seed");
    await flush();
    expect(cache.stats().pending).toBe(0);
  });
});

describe("nearTtl", () => {
  it("bounds written and refilled copies in near, and does not affect far (C121)", async () => {
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
  ])("%j: does not change the reported freshness and age of a copy", async (policy, freshMs) => {
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

  it("does not cause early refreshes", async () => {
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

  it("does not make freshest prefer far and rewrite near at each read", async () => {
    const { cache, near } = await seeded({ read: "freshest", nearTtl: "10s" });
    for (let i = 0; i < 3; i += 1) expect(await cache.get("k")).toBe("seed");
    await flush();
    expect(writes(near)).toBe(0);
  });

  it("applies while a read is under way: an expired copy is not a hit (C121)", async () => {
    const { cache, clock, near } = await seeded({ nearTtl: "1s", near: { deadlineMs: 5_000 } });
    near.script("read", { after: "2s", key: K });
    const read = cache.get("k");
    await flush();
    clock.advance("2s");
    expect(await read).toBe("seed");
    await flush();
    expect(near.store.get(K)?.expiresInMs).toBe(1_000);
  });

  it("bounds the local copy that was made of a copy (C121)", async () => {
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

/** A store that issues tag versions itself, as Redis does. With `down` every call fails. */
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

describe("composed tags", () => {
  function openIssuing(who: "near" | "far" | "both" | "neither", options: Partial<ComposeOptions> = {}) {
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
        .tier(compose(near, far, { nearTtl: Infinity, ...options }))
        .defaults({ ttl: "1h", staleIfError: "1h" })
        .build();
    return { clock, near, far, issuers, cache: process(), process };
  }

  it.each([
    ["near", "near"],
    ["far", "far"],
    ["both", "far"],
  ] as const)("issued by %s: their versions come from %s (C125)", async (who, source) => {
    const { cache, issuers, near, far } = openIssuing(who);
    await cache.set("k", "v", { tags: ["t"] });
    expect(await cache.get("k")).toBe("v");
    await cache.invalidateTags("t");
    expect(await cache.get("k", { allowStale: true })).toBeUndefined();
    expect([issuers.near.renewals, issuers.far.renewals]).toEqual(source === "near" ? [1, 0] : [0, 1]);
    for (const backend of [near, far]) expect(backend.store.keys()).toEqual(["shop::k"]);
  });

  it("issued by neither: their versions are entries in far", async () => {
    const { cache, near, far } = openIssuing("neither");
    await cache.set("k", "v", { tags: ["t"] });
    await cache.invalidateTags("t");
    expect(near.store.keys()).toEqual(["shop::k"]);
    expect(far.store.keys().filter((key) => key.startsWith("{~")).length).toBeGreaterThan(2);
    expect(await cache.get("k", { allowStale: true })).toBeUndefined();
  });

  it.each(["near", "far", "both", "neither"] as const)(
    "issued by %s: invalidate, mark stale and clear in both backends and in another process (C125)",
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

  it("that the loader adds late are stored, unless they were invalidated during the load", async () => {
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

  it("C426: of a current call are those that its issuer pins: a replica may answer a read", async () => {
    const { cache, issuers } = openIssuing("far");
    await cache.set("k", "old", { tags: ["t"] });
    const lagging = await issuers.far.read(["{~shop}::", "{~shop}::t"]);
    await cache.invalidateTags("t");
    issuers.far.read = (tags) => Promise.resolve(tags.map((tag) => lagging[tag.endsWith("t") ? 1 : 0]));
    expect(await cache.getOrSet("k", () => "new", { current: true })).toBe("new");
  });

  it("are read once per read, concurrently with the read of near", async () => {
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

  it.each(READS.flatMap((read) => (["its entry", "the versions"] as const).map((first) => [read, first] as const)))(
    "C423: %s: an entry of far that was invalidated before the call is not served if %s arrives first",
    async (read, first) => {
      const { cache, issuers, near, far, process } = openIssuing("far", { read });
      await cache.set("k", "old", { tags: ["t"] });
      near.store.delete(K);
      await process().invalidateTags("t");
      const [entry, versions] = [gate(), gate()];
      far.script("read", { after: entry, key: K });
      const readVersions = issuers.far.read.bind(issuers.far);
      issuers.far.read = async (tags) => {
        const found = await readVersions(tags);
        await versions.pass();
        return found;
      };
      const call = cache.getOrSet("k", async () => "new", { tags: ["t"] });
      await Promise.all([entry.arrived(), versions.arrived()]);
      const order = first === "its entry" ? [entry, versions] : [versions, entry];
      order[0]!.open();
      await flush();
      order[1]!.open();
      expect(await call).toBe("new");
      await flush();
      expect([valueIn(near), valueIn(far)]).toEqual(["new", "new"]);
    },
  );

  it("make clear pending while the backend that issues them is unreachable (C125)", async () => {
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

  it("are refused when one backend cannot store them; entries tagged by others are still checked against them", async () => {
    const clock = new TestClock();
    const near = { ...scriptedBackend({ clock, label: "near" }), keepsMeta: false };
    const far = scriptedBackend({ clock, label: "far" });
    const cache = createCache({ name: "shop", clock })
      .tier(compose(near, far, UNBOUNDED))
      .build();
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

describe("with the backend of the tag versions unreachable", () => {
  it.each(READS)("%s: near serves its copies unchecked (C125)", async (read) => {
    const { cache, near, far } = await seeded({ read });
    expect(await cache.get("k")).toBe("seed");
    far.down();
    expect(await cache.get("k")).toBe("seed");
    expect(await cache.getOrSet("k", never)).toBe("seed");
    near.store.delete(K);
    expect(await cache.get("k")).toBeUndefined();
  });

  it("a set is pending and a load is kept only here, as with a single backend (C125)", async () => {
    const { cache, clock, near, far } = await seeded();
    far.down();
    expect(await cache.getOrSet("l", () => "loaded")).toBe("loaded");
    expect(await cache.set("k", "set")).toEqual({ status: "pending" });
    expect([valueIn(near, "shop::l"), await cache.get("l"), await cache.get("k")]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    far.up();
    await elapse(clock, 5);
    expect([valueIn(near), valueIn(far), cache.stats().pending]).toEqual([undefined, undefined, 0]);
    expect(await cache.set("k", "again")).toMatchObject({ status: "stored" });
    expect(await cache.get("k")).toBe("again");
  });

  it("an entry of far is not served unchecked: near, which keeps the versions, may be the one that is down (C125)", async () => {
    const clock = new TestClock();
    const near = { ...scriptedBackend({ clock, label: "near" }), tagVersions: issuer() };
    const far = scriptedBackend({ clock, label: "far" });
    const cache = createCache({ name: "shop", clock })
      .tier(compose(near, far, { nearTtl: "1m" }))
      .defaults({ ttl: "1h" })
      .build();
    await cache.set("k", "v");
    near.store.delete(K);
    near.tagVersions.down = true;
    expect(await cache.get("k")).toBeUndefined();
    expect(await cache.getOrSet("k", () => "loaded")).toBe("loaded");
    near.tagVersions.down = false;
    expect(await cache.get("k")).toBe("v");
  });

  it("an entry that this process invalidated is not served, whether or not the call succeeded (C124, C125)", async () => {
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

  it("an entry without versions, written by another program, is served", async () => {
    const { cache, near, far } = open();
    near.store.set(K, { data: json().encode("theirs"), staleInMs: 1_000, expiresInMs: 1_000, meta: "" });
    far.down();
    expect(await cache.get("k")).toBe("theirs");
  });

  it("versions from a read are not remembered after a later invalidation", async () => {
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
});

describe("compositions of three backends", () => {
  function openThree(
    shape: "left" | "right",
    options: Partial<ComposeOptions> = {},
    formats: readonly (readonly [Format, Compressor])[] = [],
  ) {
    const clock = new TestClock();
    const [a, b, c] = ["a", "b", "c"].map((label, i) =>
      scriptedBackend({ clock, label, ...(formats[i] && { format: formats[i][0], compressor: formats[i][1] }) }),
    ) as [ScriptedBackend, ScriptedBackend, ScriptedBackend];
    const all = { ...UNBOUNDED, ...options };
    const composed: ComposedBackend =
      shape === "left" ? compose(compose(a, b, all), c, all) : compose(a, compose(b, c, all), all);
    return {
      clock,
      a,
      b,
      c,
      cache: createCache({ name: "shop", clock }).tier(composed).defaults({ ttl: "1h" }).build(),
    };
  }

  it.each(["left", "right"] as const)(
    "nested %s: write to all, read from the nearest, and refill the nearer ones",
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
    "nested %s: remove an entry from a backend that missed a write, and count it as pending until then",
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

  it.each(["left", "right"] as const)(
    "nested %s: answer from the third when two are unreachable (C122, C125)",
    async (shape) => {
      for (const alive of ["a", "b", "c"] as const) {
        const opened = openThree(shape);
        const { cache } = opened;
        await cache.set("k", "v");
        expect(await cache.get("k")).toBe("v");
        for (const name of ["a", "b", "c"] as const) if (name !== alive) opened[name].down();
        expect(await cache.get("k")).toBe("v");
        // The tag versions are in c.
        expect(await cache.set("k", "w")).toMatchObject({ status: alive === "c" ? "stored" : "pending" });
        expect(await cache.get("k")).toBe(alive === "c" ? "w" : undefined);
      }
    },
  );

  it.each(["left", "right"] as const)("nested %s: store a load in the codec of each backend", async (shape) => {
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
      const [written, , , , , rest] = JSON.parse(meta) as readonly unknown[];
      expect([written, rest]).toEqual([format.id, compressor.id === "none" ? undefined : { c: compressor.id }]);
      expect(format.decode(await compressor.decompress(data, 1_000))).toEqual(value);
    }
    const stored = [a, b, c].map((backend) => backend.store.get(K)!);
    for (const [i, alone] of [a, b, c].entries()) {
      for (const other of [a, b, c]) other.store.delete(K);
      alone.store.set(K, stored[i]!);
      expect(await cache.get("k")).toEqual(value);
      await flush();
    }
  });

  it("of the same codecs in different shapes do not share encoded bytes", async () => {
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
    const composed = compose(
      compose(compose(a, b, UNBOUNDED), c, UNBOUNDED),
      compose(d, compose(e, f, UNBOUNDED), UNBOUNDED),
      UNBOUNDED,
    );
    const cache = createCache({ name: "shop", clock }).tier(composed).defaults({ ttl: "1h" }).build();
    expect(await cache.set("k", { a: 1 })).toMatchObject({ status: "stored" });
    for (const backend of backends) expect(backend.format.decode(backend.store.get(K)!.data)).toEqual({ a: 1 });
  });

  it("stop the retries of the inner composition in close", async () => {
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

  it("wait for running writes of the inner composition in close", async () => {
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

describe("formats and compressors of composed backends", () => {
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

  it("encode a value once when both are the same", async () => {
    const [near, far] = [counting(json()), counting(json())];
    const { cache } = open({ near: { format: near }, far: { format: far } });
    await cache.set("k", "v");
    await cache.getOrSet("l", () => "w");
    expect([near.encodes, far.encodes]).toEqual([2, 0]);
  });

  it("encode a value once for three of the same", async () => {
    const clock = new TestClock();
    const formats = [counting(json()), counting(json()), counting(json())] as const;
    const [a, b, c] = formats.map((format, i) => scriptedBackend({ clock, format, label: String(i) })) as [
      ScriptedBackend,
      ScriptedBackend,
      ScriptedBackend,
    ];
    const cache = createCache({ name: "shop", clock })
      .tier(compose(a, compose(b, c, UNBOUNDED), UNBOUNDED))
      .build();
    await cache.set("k", "v");
    expect(formats.map(({ encodes }) => encodes)).toEqual([1, 0, 0]);
  });

  it.each([
    ["formats", { format: json() }, { format: v8() }],
    ["compressors", { compressor: gzip({ minBytes: 0 }) }, { compressor: brotli({ minBytes: 0 }) }],
  ] as const)("are used for each backend when their %s differ", async (_, nearCodec, farCodec) => {
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

  it("compress even small values when one backend does not store the compressor's name", async () => {
    const clock = new TestClock();
    const near = scriptedBackend({ clock, label: "near", compressor: gzip() });
    const far = { ...scriptedBackend({ clock, label: "far", compressor: gzip() }), keepsMeta: false };
    const cache = createCache({ name: "shop", clock })
      .tier(compose(near, far, UNBOUNDED))
      .build();
    const seen = watch(cache, "decode:error");
    await cache.set("k", "small");
    near.store.delete(K);
    expect(await cache.get("k")).toBe("small");
    expect(seen).toEqual([]);
  });

  it("that one backend does not know make its entry a miss there (C113)", async () => {
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

describe("a local tier above composed backends", () => {
  function openLocal(options: Partial<ComposeOptions> = {}, policy: Policy = {}) {
    const clock = new TestClock();
    const [near, far] = [scriptedBackend({ clock, label: "near" }), scriptedBackend({ clock, label: "far" })];
    const cache = createCache({ name: "shop", clock })
      .tier(memory())
      .tier(compose(near, far, { nearTtl: Infinity, ...options }))
      .defaults({ ttl: "1h", ...policy })
      .build();
    return { cache, clock, near, far };
  }

  it("keeps a copy from either backend and answers alone afterwards", async () => {
    for (const only of ["near", "far"] as const) {
      const { cache, clock, near, far } = openLocal();
      await createCache({ name: "shop", clock })
        .tier(compose(near, far, UNBOUNDED))
        .build()
        .set("k", "v");
      (only === "near" ? far : near).store.delete(K);
      expect(cache.peek("k")).toBeUndefined();
      expect(await cache.get("k")).toBe("v");
      await flush();
      for (const backend of [near, far]) backend.forgetCalls();
      expect(await cache.get("k")).toBe("v");
      expect([near.calls, far.calls]).toEqual([[], []]);
    }
  });

  it("is bounded by localTtl, and near by nearTtl", async () => {
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

  it("requires a localTtl when any composed backend has other writers", () => {
    const clock = new TestClock();
    const sole = () => scriptedBackend({ clock });
    const shared = () => scriptedBackend({ clock, coherence: "none" });
    const build =
      (composed: ComposedBackend, policy: Policy = {}) =>
      () =>
        createCache({ name: "shop", clock }).tier(memory()).tier(composed).defaults(policy).build();
    expect(build(compose(sole(), sole(), UNBOUNDED))).not.toThrow();
    expect(build(compose(sole(), shared(), { nearTtl: "1m" }))).toThrow(ConfigurationError);
    expect(build(compose(shared(), sole(), UNBOUNDED))).toThrow(ConfigurationError);
    expect(build(compose(sole(), shared(), { nearTtl: "1m" }), { localTtl: "1s" })).not.toThrow();
  });
});

describe("options of compose", () => {
  const backends = (): readonly [ScriptedBackend, ScriptedBackend] => {
    const clock = new TestClock();
    return [scriptedBackend({ clock, label: "near" }), scriptedBackend({ clock, label: "far" })];
  };

  it("default the label to those of both backends", () => {
    const [near, far] = backends();
    expect(compose(near, far, UNBOUNDED).label).toBe("near+far");
    expect(compose(near, far, { ...UNBOUNDED, label: "both" }).label).toBe("both");
    expect(compose(compose(near, far, UNBOUNDED), far, UNBOUNDED).label).toBe("near+far+far");
  });

  it.each<readonly [string, unknown, string]>([
    [
      "an unknown option",
      { readd: "race" },
      'unknown option "readd"; accepted are label, read, write, refill, nearTtl',
    ],
    ["an unknown read mode", { read: "parallel" }, 'read must be one of sequential, race, freshest, got "parallel"'],
    ["an unknown write mode", { write: "freshest" }, 'write must be one of sequential, parallel, race, got "freshest"'],
    ["an unknown refill", { refill: "sometimes" }, 'refill must be one of always, never, got "sometimes"'],
    ["a nearTtl of zero", { nearTtl: 0 }, "nearTtl must be more than 0, got 0"],
    [
      "a nearTtl without a unit",
      { nearTtl: "5" },
      'nearTtl must be milliseconds (60_000), or a number with a unit: ms, s, m, h or d ("1m"); got "5"',
    ],
    ["an empty label", { label: "" }, 'label must be a non-empty string, got ""'],
    [
      "options that are not an object",
      "race",
      "options must be an object, got text of 4 characters; accepted are label, read, write, refill, nearTtl",
    ],
  ])("refuse %s with a ConfigurationError that names it", (_, options, message) => {
    const [near, far] = backends();
    const act = () => compose(near, far, options as ComposeOptions);
    expect(act).toThrow(ConfigurationError);
    expect(act).toThrow(message);
  });

  it.each<readonly [string, unknown, string]>([
    ["a builder", { build: () => undefined }, "an object"],
    ["a local tier", memory(), "an object"],
    ["undefined", undefined, "undefined"],
    ["null", null, "null"],
  ])("refuse %s as a backend", (_, side, described) => {
    const [near, far] = backends();
    expect(() => compose(side as never, far, UNBOUNDED)).toThrow(
      `compose: near must be a backend such as redis(url).build(), got ${described}`,
    );
    expect(() => compose(near, side as never, UNBOUNDED)).toThrow(
      `compose: far must be a backend such as redis(url).build(), got ${described}`,
    );
  });

  it.each<readonly [string, unknown]>([
    ["no options", undefined],
    ["other options only", { read: "race" }],
    ["an undefined nearTtl", { nearTtl: undefined }],
  ])("require nearTtl, and say what is accepted: %s (C121)", (_, options) => {
    const [near, far] = backends();
    const act = () => compose(near, far, options as ComposeOptions);
    expect(act).toThrow(ConfigurationError);
    expect(act).toThrow(
      'compose: nearTtl must be given: more than 0 milliseconds (60_000), a number with a unit ("1m"), or Infinity; ',
    );
  });
});

describe("the lifecycle of composed backends", () => {
  it("stats counts the composition and both backends", async () => {
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

  it("stats counts a backend's errors separately, and as the composition's when both fail", async () => {
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

  it("the state is down when both backends are down", async () => {
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

  it("connect succeeds with one backend and reports the other's error (C122)", async () => {
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

  it("connect rejects with both causes when neither backend connects (C122)", async () => {
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

  it("close closes both backends once, after the last cache that uses them", async () => {
    const clock = new TestClock();
    const [near, far] = [scriptedBackend({ clock, label: "near" }), scriptedBackend({ clock, label: "far" })];
    const make = (): Cache =>
      createCache({ name: "shop", clock })
        .tier(compose(near, far, UNBOUNDED))
        .build();
    const [first, second] = [make(), make()];
    await first.close();
    expect([near.isClosed, far.isClosed]).toEqual([false, false]);
    await second.close();
    expect([near.count("close"), far.count("close")]).toEqual([1, 1]);
  });

  it("close retries pending removals once, and leaves none running", async () => {
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

  it("close waits for a hanging backend until its timeout", async () => {
    const { cache, clock, far } = await seeded({ write: "race", far: { deadlineMs: 60_000 } });
    far.script("write", { before: gate(), key: K });
    await cache.set("k", "new");
    const closed = cache.close({ timeout: "2s" });
    clock.advance(1_999);
    expect(await outcome(closed)).toEqual({ status: "pending" });
    clock.advance(1);
    await closed;
  });

  it("close ends retries that were still running", async () => {
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
 * Makes sixty calls of all kinds on two keys, over two or three backends, while any of them fails, is unreachable,
 * answers late, loses answers and loses entries. Each value is a different number, so that each answer shows which call
 * stored it.
 *
 * @returns the answers that an earlier acknowledged change had made obsolete, and the calls that did not end.
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
  /** For each value: when it was set or loaded, and when that call was answered. */
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
      // A value whose write overlaps the clear may be stored before or after it.
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

describe("random faults in any order", () => {
  it.each(READS.flatMap((read) => WRITES.map((write) => [read, write] as const)))(
    "reading %s, writing %s: no replaced or removed value is served",
    async (read, write) => {
      for (let seed = 1; seed <= 40; seed += 1)
        expect({
          seed,
          problems: await play(seed, { read, write, nearTtl: seed % 2 === 0 ? Infinity : "20s" }),
        }).toEqual({ seed, problems: [] });
    },
  );
});

describe.each(WRITES)("C354: a value that one side cannot write, with %s writes", (write) => {
  const SIDES = ["near", "far"] as const;
  it.each(SIDES.flatMap((side) => ["set", "load"].map((call) => [side, call] as const)))(
    "%s: the other side has it after a %s, it is reported once, and an older entry is removed",
    async (side, call) => {
      const { cache, ...both } = open({ write, [side]: { seal: FAILING_SEAL } });
      both[side].store.set(K, stored("old"));
      const seen = reportsOf(cache);
      if (call === "set") expect(await cache.set("k", "new")).toMatchObject({ status: "stored" });
      else expect(await cache.getOrSet("k", () => "new", { forceRefresh: true })).toBe("new");
      await flush();
      expect(seen).toEqual([`${side}, encode of k: test cannot seal this entry; see cause`]);
      expect(await cache.get("k")).toBe("new");
      await cache.close();
      expect(both[side].store.get(K)).toBe(undefined);
    },
  );

  it.each(SIDES)("%s: what its tier has reported is not reported again", async (side) => {
    const { cache, ...both } = open({ write });
    both[side].script("write", { key: K, fail: new Error("the backend fails") });
    const seen = reportsOf(cache);
    expect(await cache.set("k", "new")).toMatchObject({ status: "stored" });
    await flush();
    expect(seen).toEqual([`${side}, write of undefined: ${side}: write was refused; see cause`]);
  });

  it("both: set rejects, and nothing is reported beside it", async () => {
    const { cache } = open({ write, near: { seal: FAILING_SEAL }, far: { seal: FAILING_SEAL } });
    const seen = reportsOf(cache);
    await expect(cache.set("k", "new")).rejects.toMatchObject({ code: "ENCODE_FAILED" });
    await flush();
    expect(seen).toEqual([]);
  });
});
