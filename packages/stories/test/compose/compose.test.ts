/** One process over two composed backends. */
import { compose, type ComposeOptions } from "@hotset/compose";
import {
  BackendUnavailableError,
  ConfigurationError,
  createCache,
  DecodeError,
  json,
  type Policy,
  type StoredAnswer,
} from "@hotset/core";
import { promisesOf } from "@hotset/core/internal";
import { memory } from "@hotset/memory";
import { aesGcm, sealed } from "@hotset/seal";
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
import { never } from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

const READS = ["sequential", "race"] as const;

/** The key `k` of the caches below, as a backend gets it. */
const K = "shop::k";

interface OpenOptions extends Partial<ComposeOptions> {
  readonly near?: Omit<ScriptedBackendOptions, "clock">;
  readonly far?: Omit<ScriptedBackendOptions, "clock">;
  readonly policy?: Policy;
  readonly local?: boolean;
}

/** A cache over two composed backends, without a local tier unless the test asks for one. */
function open({ near: nearOptions, far: farOptions, policy = {}, local = false, ...options }: OpenOptions = {}) {
  const clock = new TestClock();
  const near = scriptedBackend({ clock, label: "near", ...nearOptions });
  const far = scriptedBackend({ clock, label: "far", leases: true, tagVersions: true, ...farOptions });
  const failures: string[] = [];
  const onNearError = (error: Error): void => void failures.push(error.message);
  const backend = compose(near, far, { nearTtl: "10m", clock, onNearError, ...options });
  const builder = createCache({ name: "shop", clock });
  const cache = (local ? builder.tier(memory()).tier(backend) : builder.tier(backend))
    .defaults({ ttl: "1h", ...policy })
    .build();
  return { cache, clock, near, far, failures };
}

/** A cache whose two backends both hold `k`. */
async function seeded(options: OpenOptions = {}) {
  const opened = open(options);
  await opened.cache.set("k", "seed");
  for (const backend of [opened.near, opened.far]) backend.forgetCalls();
  return opened;
}

const valueIn = (backend: ScriptedBackend, key: string = K): unknown => {
  const stored = backend.store.get(key);
  return stored && json().decode(stored.data);
};

/** Gives `k` in this backend another value, as if it had been written so. */
const put = (backend: ScriptedBackend, value: unknown): void =>
  backend.store.set(K, { ...backend.store.get(K)!, data: json().encode(value) });

const reads = (backend: ScriptedBackend): number =>
  backend.calls.filter(({ operation, keys }) => operation.endsWith("read") && keys.includes(K)).length;

describe("a read of a composition", () => {
  it("is answered by a copy in near alone", async () => {
    const { cache, near, far } = await seeded();
    expect(await cache.get("k")).toBe("seed");
    expect([reads(near), reads(far)]).toEqual([1, 0]);
  });

  it.each(READS)("%s: finds what only one of both has", async (read) => {
    const { cache, near, far } = await seeded({ read, refill: "never" });
    near.store.delete(K);
    expect(await cache.get("k")).toBe("seed");
    await cache.set("k", "again");
    far.store.delete(K);
    expect(await cache.get("k")).toBe("again");
    near.store.delete(K);
    expect(await cache.get("k")).toBeUndefined();
  });

  it.each(READS)("%s: is answered by far where near fails, and onNearError gets the error", async (read) => {
    const { cache, near, failures } = await seeded({ read, refill: "never" });
    near.script("read", { fail: new RangeError("near is full"), key: K });
    expect(await cache.get("k")).toBe("seed");
    expect(failures).toEqual(["near is full"]);
  });

  it("a copy that cannot be decoded is reported, and far answers", async () => {
    const { cache, near } = await seeded({ refill: "never" });
    near.store.set(K, { ...near.store.get(K)!, data: Buffer.from("{") });
    const seen = watch(cache, "decode:error");
    expect(await cache.get("k")).toBe("seed");
    expect([...(await cache.getMany(["k", "other"]))]).toEqual([["k", "seed"]]);
    expect(seen).toHaveLength(1);
  });

  it("onNearError gets each error that near has in place of an entry, and far answers", async () => {
    const clock = new TestClock();
    const far = scriptedBackend({ clock, label: "far" });
    const near = scriptedBackend({ clock, label: "near" });
    const unread = new RangeError("one shard is gone");
    const error = new DecodeError("sealed with another key");
    const refused: StoredAnswer = { data: new Uint8Array(0), meta: "", staleInMs: 0, expiresInMs: 1_000, error };
    const failures: string[] = [];
    const composed = compose(
      { ...near, read: async () => refused, batch: { read: async () => [refused, unread] } },
      far,
      { nearTtl: "1m", clock, onNearError: ({ message }) => void failures.push(message) },
    );
    const cache = createCache({ name: "shop", clock }).tier(composed).build();
    await cache.set("a", 1);
    await cache.set("b", 2);
    expect(await cache.get("a")).toBe(1);
    expect(failures.splice(0)).toEqual([error.message]);
    expect([...(await cache.getMany(["a", "b"]))]).toEqual([
      ["a", 1],
      ["b", 2],
    ]);
    expect(failures).toEqual([error.message, unread.message]);
  });

  it.each(READS)("%s: fails where far fails and near has nothing; then the value is loaded", async (read) => {
    const { cache, near, far } = await seeded({ read });
    near.store.delete(K);
    far.script("read", { fail: new BackendUnavailableError("far is down"), key: K });
    const seen = watch(cache, "backend:error");
    expect(await cache.getOrSet("k", () => "loaded")).toBe("loaded");
    expect(seen.map(([, { tier, operation, error }]) => [tier, operation, error.message])).toEqual([
      ["near+far", "read", "far is down"],
    ]);
  });

  it.each(READS)("%s: prefers a fresh entry in far to a stale copy, and a stale copy to a failure", async (read) => {
    const { cache, clock, near, far } = open({ read, refill: "never", policy: { ttl: "1m", staleIfError: "1h" } });
    await cache.set("k", "old");
    clock.advance("1m");
    put(far, "new");
    far.store.set(K, { ...far.store.get(K)!, staleInMs: 60_000, expiresInMs: 60_000 });
    expect(await cache.get("k", { allowStale: true })).toBe("new");
    far.script("read", { fail: true, key: K });
    expect(await cache.get("k", { allowStale: true })).toBe("old");
    expect(valueIn(near)).toBe("old");
  });

  it("race: the first fresh entry is the answer, from either side", async () => {
    for (const slow of ["near", "far"] as const) {
      const opened = await seeded({ read: "race" });
      put(opened.far, "far");
      const answers = gate();
      opened[slow].script("read", { after: answers, key: K });
      expect(await opened.cache.get("k")).toBe(slow === "near" ? "far" : "seed");
      answers.open();
    }
  });

  it("waits for near's deadline, and then for far's own", async () => {
    const { cache, clock, near, far } = await seeded({ near: { deadlineMs: 200 }, far: { deadlineMs: 500 } });
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

  it("of many keys is one trip to near, and one to far for the keys that have no copy", async () => {
    const { cache, near, far } = open({ refill: "never" });
    const entries = ["a", "b", "c"].map((key) => [key, key.toUpperCase()] as const);
    await cache.setMany(entries);
    near.store.delete("shop::b");
    far.store.delete("shop::a");
    for (const backend of [near, far]) backend.forgetCalls();
    expect(await cache.getMany(["a", "b", "c", "d"])).toEqual(new Map(entries));
    const batches = (backend: ScriptedBackend) =>
      backend.calls.filter(({ operation }) => operation === "batch.read").map(({ keys }) => keys);
    expect(batches(near)).toEqual([["shop::a", "shop::b", "shop::c", "shop::d"]]);
    expect(batches(far)).toEqual([["shop::b", "shop::d"]]);

    near.script("batch.read", { fail: true });
    expect(await cache.getMany(["b", "c"])).toEqual(new Map(entries.slice(1)));
    far.down();
    expect(await cache.getMany(["a", "b", "c"])).toEqual(new Map([entries[0]!, entries[2]!]));
  });
});

describe("nearTtl", () => {
  it("bounds copies in near that were written and that were found, and nothing in far", async () => {
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

  it("bounds the local copy that was made of a copy", async () => {
    const { cache, clock, near, far } = open({ nearTtl: "10s", local: true });
    const options = { nearTtl: "10s", clock } as const;
    const writer = createCache({ name: "shop", clock })
      .tier(compose(near.peer(), far.peer(), options))
      .build();
    await writer.set("k", "v");
    expect(await cache.get("k")).toBe("v");
    clock.advance(9_999);
    expect(cache.peek("k")).toBe("v");
    clock.advance(1);
    expect(cache.peek("k")).toBeUndefined();
  });

  it.each<readonly [string, unknown, string]>([
    ["no options", undefined, "options must be an object, got null; accepted: nearTtl,"],
    ["other options alone", { read: "race" }, "nearTtl must be given: more than 0 milliseconds (60_000), or a number"],
    ["zero", { nearTtl: 0 }, "nearTtl must be more than 0 milliseconds (60_000), or a number with a unit"],
    ["for ever", { nearTtl: Infinity }, 'or a number with a unit ("1m"), got Infinity'],
    ["no unit", { nearTtl: "5" }, 'or a number with a unit ("1m"), got "5"'],
    [
      "an unknown option",
      { nearTtl: 1, reed: "race" },
      'unknown option "reed"; did you mean read?; accepted: nearTtl, label, read,',
    ],
    ["an unknown way to read", { nearTtl: 1, read: "freshest" }, 'read must be "sequential" or "race", got "freshest"'],
    ["an unknown refill", { nearTtl: 1, refill: "some" }, 'refill must be "always" or "never", got "some"'],
    ["an empty label", { nearTtl: 1, label: "" }, 'label must be a non-empty string, got ""'],
    ["no function", { nearTtl: 1, onNearError: 1 }, "onNearError must be a function, got a number"],
  ])("is checked with the other options: %s", (_, options, message) => {
    const [near, far] = [scriptedBackend({ clock: new TestClock() }), scriptedBackend({ clock: new TestClock() })];
    const act = () => compose(near, far, options as ComposeOptions);
    expect(act).toThrow(ConfigurationError);
    expect(act).toThrow(`compose: ${message}`.slice(0, message.startsWith("or") ? 0 : undefined));
    expect(act).toThrow(message);
  });
});

describe("a change", () => {
  it("reaches far, and then near", async () => {
    const { cache, near, far } = await seeded();
    const farWrites = gate();
    far.script("write", { before: farWrites, key: K });
    const set = cache.set("k", "v");
    await farWrites.arrived();
    await flush();
    expect(valueIn(near)).toBe("seed");
    farWrites.open();
    expect(await set).toMatchObject({ status: "stored" });
    expect([valueIn(near), valueIn(far)]).toEqual(["v", "v"]);
    await cache.getOrSet("l", () => "w");
    expect([valueIn(near, "shop::l"), valueIn(far, "shop::l")]).toEqual(["w", "w"]);
    expect(await cache.delete("k")).toMatchObject({ status: "deleted" });
    expect([near.store.get(K), far.store.get(K)]).toEqual([undefined, undefined]);
  });

  it("that near misses succeeds, and near brings back nothing older when it answers again", async () => {
    for (const change of ["set", "delete", "markStale", "load"] as const) {
      const { cache, near, failures } = await seeded({ policy: { staleIfError: "2h" } });
      near.down();
      if (change === "set") expect(await cache.set("k", "new")).toMatchObject({ status: "stored" });
      else if (change === "load") await cache.getOrSet("k", () => "new", { forceRefresh: true });
      else expect((await cache[change]("k")).status).not.toBe("pending");
      near.up();
      // A forced load is refused its lease once, with the entry, and then reads it.
      expect([change, valueIn(near), failures.length]).toEqual([change, "seed", change === "load" ? 3 : 1]);
      expect(await cache.get("k")).toBe(change === "set" || change === "load" ? "new" : undefined);
      expect(cache.stats().pending).toBe(0);
    }
  });

  it("that far misses is pending, and no copy of the key is served", async () => {
    for (const change of ["set", "delete", "markStale"] as const) {
      const { cache, clock, near, far } = await seeded({ policy: { staleIfError: "2h" } });
      far.down();
      expect(await (change === "set" ? cache.set("k", "new") : cache[change]("k"))).toEqual({ status: "pending" });
      expect(await cache.get("k", { allowStale: true })).toBeUndefined();
      far.up();
      clock.advance("1s");
      await flush();
      expect([near.store.get(K), far.store.get(K), cache.stats().pending]).toEqual([undefined, undefined, 0]);
    }
  });
});

describe("a refill of near", () => {
  it.each(READS)("%s: copies a fresh entry of far after the answer; never with refill never", async (read) => {
    for (const refill of ["always", "never"] as const) {
      const { cache, clock, near } = await seeded({ read, refill });
      near.store.delete(K);
      clock.advance("55m");
      expect(await cache.get("k")).toBe("seed");
      await flush();
      expect(near.store.get(K)?.expiresInMs).toBe(refill === "always" ? 300_000 : undefined);
    }
  });

  it("copies nothing stale, and does not replace a fresh copy", async () => {
    const { cache, clock, near } = open({ policy: { ttl: 1_000, staleIfError: 5_000 } });
    await cache.set("k", "v");
    near.store.delete(K);
    clock.advance(1_000);
    expect(await cache.get("k", { allowStale: true })).toBe("v");
    await flush();
    expect(near.store.get(K)).toBeUndefined();

    const race = await seeded({ read: "race" });
    const answers = gate();
    race.near.script("read", { after: answers, key: K });
    expect(await race.cache.get("k")).toBe("seed");
    answers.open();
    await flush();
    expect(race.near.count("write", K)).toBe(0);
  });

  it.each(READS)("%s: copies nothing that was read before a change of the key has ended", async (read) => {
    for (const change of ["set", "delete", "markStale"] as const) {
      const { cache, near, far } = await seeded({ read });
      near.store.delete(K);
      const answers = gate();
      far.script("read", { after: answers, key: K });
      const before = cache.get("k");
      await answers.arrived();
      await (change === "set" ? cache.set("k", "new") : cache[change]("k"));
      answers.open();
      await before;
      await flush();
      expect([change, valueIn(near)]).toEqual([change, change === "set" ? "new" : undefined]);
    }
  });

  it.each(READS)(
    "%s: of a far whose reads lag, nothing that this process has changed lately is copied",
    async (read) => {
      const clock = new TestClock();
      const [near, far] = [scriptedBackend({ clock, label: "near" }), scriptedBackend({ clock, leases: true })];
      const lagging = Object.assign(far, { readsLag: true });
      const cache = createCache({ name: "shop", clock })
        .tier(compose(near, lagging, { nearTtl: "10m", read, clock }))
        .defaults({ ttl: "1h" })
        .build();
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
      await flush();
      expect(valueIn(near)).toBe("new");
    },
  );
});

describe("a silent side", () => {
  it("near: after five calls it is not waited for, until a probe is answered", async () => {
    const { cache, clock, near, failures } = await seeded({ refill: "never" });
    const restore = near.script("read", { before: gate(), times: Infinity });
    for (let i = 0; i < 5; i += 1) {
      const answer = cache.get("k");
      await flush();
      clock.advance("1s");
      expect(await answer).toBe("seed");
    }
    near.forgetCalls();
    for (let i = 0; i < 9; i += 1) expect(await cache.get("k")).toBe("seed");
    expect([near.calls.length, failures.length]).toEqual([0, 5]);
    restore();
    clock.advance("1s");
    for (let i = 0; i < 3; i += 1) await cache.get("k");
    expect(reads(near)).toBe(3);
  });

  it("far: copies in near are served without a wait, until it gives signs of life", async () => {
    const { cache, clock, near, far } = await seeded({ far: { coherence: "reported" }, nearTtl: "1h" });
    await cache.connect();
    // Then misses are expected, and the lease is asked for without a read.
    for (let i = 0; i < 20; i += 1) await cache.getOrSet(`missing ${i}`, () => 1);
    near.forgetCalls();
    far.down();
    for (let i = 0; i < 5; i += 1) await cache.getOrSet("other", () => 1);
    far.forgetCalls();
    expect(await cache.getOrSet("k", never)).toBe("seed");
    expect([reads(near), far.calls.length]).toEqual([1, 0]);
    far.up();
    clock.advance(600);
    await flush();
    expect(await cache.set("k", "v")).toMatchObject({ status: "stored" });
  });
});

it("a composition and a sealed backend promise what the backend in them does", () => {
  const clock = new TestClock();
  const seal = aesGcm({ keys: [{ id: "k", key: Buffer.alloc(32, 1) }] });
  for (const coherence of ["none", "reported"] as const) {
    const far = scriptedBackend({ clock, coherence, leases: true, tagVersions: true });
    expect(promisesOf(compose(scriptedBackend({ clock }), far, { nearTtl: "1s" }))).toEqual(promisesOf(far));
    expect(promisesOf(sealed(far, seal))).toEqual(promisesOf(far));
  }
});
