/** Sealed entries over a scripted backend: what another program does to them, and two secrets under one name. */
import { compose } from "@hotset/compose";
import { ConfigurationError, createCache, json, type Cache, type Seal } from "@hotset/core";
import { gzip } from "@hotset/formats";
import { flush, gate, outcome, scriptedBackend, TestClock, type ScriptedStore } from "@hotset/testing";
import { memory } from "@hotset/memory";
import { aesGcm, hmac } from "@hotset/seal";
import { describe, expect, it } from "vitest";
import { notYetInStep, type SimulatedProcess } from "../support/processes.ts";
import { counted, never, open, STACKS_WITH_BACKEND } from "../support/stacks.ts";

const sealOf = (id: string, fill = id.charCodeAt(0)): Seal => aesGcm({ keys: [{ id, key: Buffer.alloc(32, fill) }] });
const SEAL = sealOf("a");

/** The reasons of `decode:error`, as they come. */
function reasonsOf(cache: Cache): string[] {
  const reasons: string[] = [];
  cache.on("decode:error", ({ key, error }) => reasons.push(`${key}: ${error.message}`));
  return reasons;
}
const NOT_OPENED = 'the key "a" does not open these bytes';

describe.each(STACKS_WITH_BACKEND)("over %s", (stack) => {
  const start = (seal: Seal | undefined = SEAL, backend = {}) =>
    open(stack, { ttl: "1h", backend: { ...(seal && { seal }), leases: true, tagVersions: true, ...backend } });

  it("C150 an entry that was copied to another key is a miss, reported once, and replaced by the next load", async () => {
    const { cache, backend } = start();
    const reasons = reasonsOf(cache);
    await cache.set("alice", "root");
    backend.store.set("test::mallory", backend.store.get("test::alice")!);
    expect(await cache.get("mallory")).toBe(undefined);
    expect(await cache.getMany(["alice", "mallory"])).toEqual(new Map([["alice", "root"]]));
    expect(await cache.getOrSet("mallory", () => "guest")).toBe("guest");
    expect(await cache.getOrSet("mallory", never)).toBe("guest");
    expect(reasons).toEqual([
      expect.stringContaining(`mallory: a stored entry cannot be read: xaes-256-gcm: ${NOT_OPENED}`),
    ]);
  });

  it("C150 C151 without the seal nothing of an entry is believed, its meta neither", async () => {
    const { cache, backend } = start();
    const reasons = reasonsOf(cache);
    const forged = { data: Buffer.from('"forged"'), staleInMs: 1e6, expiresInMs: 1e6, version: "x" };
    for (const [key, meta] of [
      ["a", '{"f":"json"}'],
      ["b", ""],
      ["c", "xaes-256-gcm;{}"],
      ["d", "hmac-sha-256;{}"],
      // Would not be parsed.
      ["e", "xaes-256-gcm;{"],
    ] as const) {
      backend.store.set(`test::${key}`, { ...forged, meta });
      expect(await cache.getOrSet(key, () => "loaded")).toBe("loaded");
    }
    const only = 'this backend reads only entries that are sealed by "xaes-256-gcm"';
    expect(reasons.map((reason) => reason.replace("a stored entry cannot be read: ", ""))).toEqual([
      `a: it is not sealed, and ${only}`,
      `b: it is not sealed, and ${only}`,
      "c: xaes-256-gcm: these bytes are not sealed",
      `d: it is sealed by "hmac-sha-256", and ${only}`,
      "e: xaes-256-gcm: these bytes are not sealed",
    ]);
  });

  it("C151 a process without the seal reads no sealed entry, and says so", async () => {
    const sealing = start(hmac({ keys: [{ id: "a", key: Buffer.alloc(32, 1) }] }));
    await sealing.cache.set("k", "v");
    const plain = open(stack, { clock: sealing.clock, backend: sealing.backend.peer({ seal: undefined as never }) });
    const reasons = reasonsOf(plain.cache);
    expect(await plain.cache.get("k")).toBe(undefined);
    expect(reasons).toEqual([
      'k: a stored entry cannot be read: it is sealed by "hmac-sha-256", and this backend has no seal',
    ]);
  });

  it("C152 an entry that is put back lives no longer than it was to live", async () => {
    const { cache, backend, clock } = start();
    await cache.set("k", "old", { ttl: "1m", staleWhileRevalidate: "1m" });
    const old = { ...backend.store.get("test::k")!, staleInMs: Infinity, expiresInMs: Infinity };
    await cache.set("k", "new");
    clock.advance("59s");
    backend.store.set("test::k", old);
    await cache.close();
    const other = open(stack, { clock, backend: backend.peer() });
    const reasons = reasonsOf(other.cache);
    expect(await other.cache.inspect("k")).toMatchObject({ freshForMs: 1_000, expiresInMs: 61_000 });
    clock.advance("1s");
    expect(await other.cache.get("k")).toBe(undefined);
    expect(await other.cache.get("k", { allowStale: true })).toBe("old");
    clock.advance("1m");
    expect(await other.cache.get("k", { allowStale: true })).toBe(undefined);
    expect(reasons).toEqual([]);
    clock.advance(10_001);
    expect(await other.cache.getOrSet("k", () => "newer")).toBe("newer");
    expect(reasons).toEqual([expect.stringContaining("its sealed life is over by more than 10 s")]);
  });

  it("C152 markStale works, and nothing makes the entry fresh again", async () => {
    const { cache, backend } = start();
    await cache.set("k", "v", { ttl: "1m", staleWhileRevalidate: "1m" });
    const before = backend.store.get("test::k")!;
    expect(await cache.markStale("k")).toEqual({ status: "stale" });
    expect(await cache.get("k")).toBe(undefined);
    expect(await cache.get("k", { allowStale: true })).toBe("v");
    // The store forgets the end of freshness, and keeps the id that it gave.
    backend.store.set("test::k", { ...before, version: backend.store.get("test::k")!.version! });
    expect(await cache.get("k")).toBe(undefined);
    const load = counted("w");
    expect(await cache.getOrSet("k", load.load)).toBe("v");
    await cache.drain();
    expect(await cache.get("k")).toBe("w");
  });

  it("C150 tags work, and an entry with others than it was stored with is a miss", async () => {
    const { cache, backend } = start();
    await cache.set("k", "v", { tags: ["t"] });
    const stored = backend.store.get("test::k")!;
    expect(await cache.get("k")).toBe("v");
    await cache.invalidateTags("t");
    expect(await cache.get("k")).toBe(undefined);
    backend.store.set("test::k", {
      ...stored,
      meta: stored.meta.replace('"g":["t"],', "").replace(/"v":\[.*?\]/, '"v":[]'),
    });
    expect(await cache.get("k")).toBe(undefined);
    backend.store.set("test::k", { ...stored, meta: "xaes-256-gcm;{}" });
    expect(await cache.get("k")).toBe(undefined);
  });
});

it("C150 near keeps the sealed bytes of far", async () => {
  const clock = new TestClock();
  const near = scriptedBackend({ clock, label: "near" });
  const far = scriptedBackend({ clock, label: "far", seal: sealOf("f"), compressor: gzip({ minBytes: 1 }) });
  const cache = createCache({ name: "test", clock })
    .tier(compose(near, far, { nearTtl: "1h", clock }))
    .build();
  const value = "a copper kettle ".repeat(50);
  await cache.set("k", value);
  const [copy, entry] = [near, far].map(({ store }) => store.get("test::k")!.data);
  expect(Buffer.from(entry!.subarray(0, 3)).toString("latin1")).toBe("\u0001\u0001f");
  expect(copy).toEqual(entry);
  far.store.delete("test::k");
  expect(await cache.get("k")).toBe(value);
  near.store.set("test::k", { ...near.store.get("test::k")!, data: copy!.with(-1, copy!.at(-1)! ^ 1) });
  expect(await cache.get("k")).toBe(undefined);
  await cache.close();
});

it("C151 a seal is refused over a layout that has no room for it, and where it is not one", () => {
  const plain = { ...scriptedBackend({ clock: new TestClock(), label: "plain", seal: SEAL }), keepsMeta: false };
  const message =
    "plain: seal does not work with keepsMeta: false, whose layout has no room for it; use the full layout, or no seal";
  expect(() => createCache({ name: "a" }).tier(plain)).toThrow(new ConfigurationError(message));
  const other = scriptedBackend({ clock: new TestClock() });
  expect(() => createCache({ name: "a" }).tier(compose(other, plain, { nearTtl: "1h" }))).toThrow(
    message.replace("plain:", "scripted+plain:"),
  );
  expect(() =>
    createCache({ name: "a" })
      .tier(memory())
      .tier({ ...other, seal: json() as never }),
  ).toThrow("scripted: seal must be a Seal");
});

describe("C154 two secrets under one name", () => {
  interface Conflicting extends SimulatedProcess {
    readonly reasons: readonly string[];
    readonly loads: number;
    call(key?: string): Promise<string>;
  }

  /** Two processes, attached, each with its own seal, and the loads of each: `of a 1`, `of a 2`. */
  async function conflicting(second = sealOf("b")): Promise<{
    readonly a: Conflicting;
    readonly b: Conflicting;
    readonly clock: TestClock;
    readonly store: ScriptedStore;
  }> {
    const { all, start, clock, store } = notYetInStep({ backend: { seal: SEAL } }, 1);
    const open = async (name: string, each: SimulatedProcess): Promise<Conflicting> => {
      await each.cache.connect();
      let loads = 0;
      return {
        ...each,
        reasons: reasonsOf(each.cache),
        async call(key = "k") {
          const value = await each.cache.getOrSet(key, () => `of ${name} ${(loads += 1)}`);
          await flush();
          return value;
        },
        get loads() {
          return loads;
        },
      };
    };
    return { a: await open("a", all[0]!), b: await open("b", start({ backend: { seal: second } })), clock, store };
  }

  it.each([
    ["of different ids", sealOf("b")],
    ["of one id", sealOf("a", 99)],
    ["of different seals", hmac({ keys: [{ id: "a", key: Buffer.alloc(32, 1) }] })],
  ])("%s cost two loads each, and not one for each call", async (_, second) => {
    const { a, b } = await conflicting(second);
    for (let round = 0; round < 20; round++) {
      expect(await a.call()).toMatch(/^of a/);
      expect(await b.call()).toMatch(/^of b/);
    }
    expect([a.loads, b.loads]).toEqual([2, 2]);
    expect(await a.cache.get("k")).toBe("of a 2");
    expect(await b.cache.get("k")).toBe("of b 2");
  });

  it("are reported for each key when they are found, and once in all when they go on", async () => {
    const { a, b } = await conflicting();
    for (const key of ["k", "l", "m"])
      for (let round = 0; round < 5; round++) {
        await a.call(key);
        await b.call(key);
      }
    const found = (id: string, own: string, key: string): string =>
      `${key}: a stored entry cannot be read: xaes-256-gcm: sealed with the key "${id}", and the keys here are "${own}"`;
    const advice =
      ". This process replaced the entry less than a minute ago: another one uses other secrets under the same name. Give both the same keys";
    expect(a.reasons).toEqual(["k", "l", "m"].map((key) => found("b", "a", key)));
    expect(b.reasons).toEqual([
      found("a", "b", "k"),
      found("a", "b", "k") + advice,
      found("a", "b", "l"),
      found("a", "b", "m"),
    ]);
  });

  it("drop a copy that one keeps when the other changes or removes the entry", async () => {
    const { a, b } = await conflicting();
    for (const each of [a, b, a, b]) await each.call();
    expect(b.cache.peek("k")).toBe("of b 2");
    await a.cache.delete("k");
    await flush();
    expect(b.cache.peek("k")).toBe(undefined);
    expect(await b.call()).toBe("of b 3");
    // There was nothing to leave in place: now it is the other one that keeps its load to itself.
    expect(await a.call()).toBe("of a 3");
    for (let round = 0; round < 5; round++) expect([await a.call(), await b.call()]).toEqual(["of a 3", "of b 3"]);
    await b.cache.set("k", "set by b");
    await flush();
    expect(a.cache.peek("k")).toBe(undefined);
    expect([await a.call(), await b.call()]).toEqual(["of a 4", "set by b"]);
  });

  it("answer the very next call from the copy that is kept", async () => {
    const { a, b, clock } = await conflicting();
    for (const each of [a, b, a]) await each.call();
    b.backend.script("leases.confirm", { after: 10, times: 2 });
    const load = b.cache.getOrSet("k", () => "kept");
    // Once for the message about the end of the lease, once for the copy.
    for (let confirmed = 0; confirmed < 2; confirmed++) {
      await flush();
      expect(await outcome(load)).toEqual({ status: "pending" });
      clock.advance(10);
    }
    expect(await load).toBe("kept");
    expect(await b.cache.getOrSet("k", never)).toBe("kept");
  });

  it("keep no copy of a load when the entry changed before the copy was confirmed", async () => {
    const { a, b } = await conflicting();
    for (const each of [a, b, a]) await each.call();
    const releasing = gate();
    b.backend.script("leases.release", { after: releasing });
    const load = b.cache.getOrSet("k", () => "old");
    await releasing.arrived();
    await a.cache.set("k", "new");
    await flush();
    releasing.open();
    expect(await load).toBe("old");
    await flush();
    expect(b.cache.peek("k")).toBe(undefined);
    b.backend.down();
    expect(await b.cache.getOrSet("k", () => "new")).toBe("new");
  });

  it("do not keep an entry of a lost key for ever", async () => {
    const { a, store, clock } = await conflicting();
    const stale = async (): Promise<void> => {
      store.set("test::k", { ...store.get("test::l")!, version: "other" });
      await flush();
    };
    await a.cache.set("l", "v");
    await stale();
    expect(await a.call()).toBe("of a 1");
    expect(Buffer.from(store.get("test::k")!.data).equals(store.get("test::l")!.data)).toBe(false);
    await stale();
    expect(await a.call()).toBe("of a 2");
    expect(await a.call()).toBe("of a 2");
    expect(store.get("test::k")!.version).toBe("other");
    clock.advance("1m");
    await a.cache.getOrSet("k", () => "later", { forceRefresh: true });
    expect(store.get("test::k")!.version).not.toBe("other");
  });
});
