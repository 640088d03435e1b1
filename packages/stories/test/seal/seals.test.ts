/** Sealed entries over a scripted backend: what another program does to them, and two secrets under one name. */
import { compose } from "@hotset/compose";
import { createCache, type Backend, type Cache, type Seal } from "@hotset/core";
import { gzip } from "@hotset/formats";
import { aesGcm, hmac, sealed } from "@hotset/seal";
import { flush, scriptedBackend, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { notYetInStep } from "../support/processes.ts";
import { never, open, STACKS_WITH_BACKEND } from "../support/stacks.ts";

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
    open(stack, { ttl: "1h", seal, backend: { leases: true, tagVersions: true, ...backend } });

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

  it("a process without the seal reads no sealed entry, and says so", async () => {
    const sealing = start(hmac({ keys: [{ id: "a", key: Buffer.alloc(32, 1) }] }));
    await sealing.cache.set("k", "v");
    const plain = open(stack, { clock: sealing.clock, backend: sealing.backend.peer() });
    const reasons = reasonsOf(plain.cache);
    expect(await plain.cache.get("k")).toBe(undefined);
    const reason = "its meta was not written by this library, or it is sealed and this backend has no seal";
    expect(reasons).toEqual([`k: a stored entry cannot be read: ${reason}`]);
  });
});

it("C150 a seal around a composition: near keeps sealed bytes, and a copy that was changed is a miss", async () => {
  const clock = new TestClock();
  const near = scriptedBackend({ clock, label: "near" });
  const far = scriptedBackend({ clock, label: "far", compressor: gzip({ minBytes: 1 }) });
  const cache = createCache({ name: "test", clock })
    .tier(sealed(compose(near, far, { nearTtl: "1h", clock }), sealOf("f"), { clock }))
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

it("C150 a copy in near that the seal does not open is reported, and far answers, each call and many keys", async () => {
  const clock = new TestClock();
  const near = scriptedBackend({ clock, label: "near" });
  const far = scriptedBackend({ clock, label: "far", leases: true });
  const cache = createCache({ name: "test", clock })
    .tier(sealed(compose(near, far, { nearTtl: "1h", refill: "never", clock }), sealOf("f"), { clock }))
    .build();
  const reasons = reasonsOf(cache);
  await cache.set("k", "v");
  const copy = near.store.get("test::k")!;
  near.store.set("test::k", { ...copy, data: copy.data.with(-1, copy.data.at(-1)! ^ 1) });
  expect(await cache.get("k")).toBe("v");
  expect(await cache.getOrSet("k", never)).toBe("v");
  expect(await cache.getMany(["k", "other"])).toEqual(new Map([["k", "v"]]));
  expect(reasons).toHaveLength(1);
  await cache.close();
});

it("C150 a composition copies no entry of a sealed far to a near without a seal", async () => {
  const clock = new TestClock();
  const [near, far] = [scriptedBackend({ clock, label: "near" }), scriptedBackend({ clock, label: "far" })];
  const composed = (its: Backend) => compose(its, sealed(far, SEAL, { clock }), { nearTtl: "1h", clock });
  expect(() => composed(near)).toThrow(
    "compose: near would keep entries of far without its seal; seal both sides, or the composition",
  );
  const cache = createCache({ name: "test", clock })
    .tier(composed(sealed(near, sealOf("n"), { clock })))
    .build();
  await cache.set("k", "v");
  const ids = [near, far].map(({ store }) => Buffer.from(store.get("test::k")!.data.subarray(0, 3)).toString("latin1"));
  expect(ids).toEqual(["\u0001\u0001n", "\u0001\u0001a"]);
  far.store.delete("test::k");
  expect(await cache.get("k")).toBe("v");
  near.store.set("test::k", far.store.get("test::k") ?? { ...near.store.get("test::k")!, meta: "" });
  expect(await cache.get("k")).toBe(undefined);
  await cache.close();
});

it("C150 versions of tags that are kept as entries are sealed too: a forged one is replaced", async () => {
  const { cache, backend } = open("backend", { ttl: "1h", seal: SEAL, backend: { leases: true } });
  await cache.set("k", "v", { tags: ["t"] });
  const before = backend.store.get("{~test}::t")!;
  expect(before.meta).toBe("xaes-256-gcm;");
  await cache.invalidateTags("t");
  backend.store.set("{~test}::t", { ...before, data: Buffer.from("forged"), meta: "" });
  expect(await cache.get("k")).toBe(undefined);
  await cache.set("k", "w", { tags: ["t"] });
  expect([await cache.get("k"), backend.store.get("{~test}::t")!.meta]).toEqual(["w", "xaes-256-gcm;"]);
});

it("C150 an entry that cannot be opened does not count as a failure of the backend", async () => {
  const { cache, backend } = open("backend", { ttl: "1h", seal: SEAL, backend: { leases: true, tagVersions: true } });
  for (let i = 0; i < 20; i += 1) {
    backend.store.set(`test::k${i}`, { data: Buffer.of(1), staleInMs: 1e6, expiresInMs: 1e6, meta: "", version: "x" });
    expect(await cache.get(`k${i}`)).toBe(undefined);
  }
  expect(cache.stats().tiers[0]).toMatchObject({ state: "up", errors: 20 });
  expect(await cache.getOrSet("k0", () => "loaded")).toBe("loaded");
  expect(backend.calls.slice(-2).map(({ operation }) => operation)).toEqual(["leases.acquire", "leases.store"]);
});

it.each([
  ["of different ids", sealOf("b"), 'sealed with the key "a", and the keys here are "b"'],
  ["of one id", sealOf("a", 99), `${NOT_OPENED}: they were changed or copied, or another process has another secret`],
  [
    "of different seals",
    hmac({ keys: [{ id: "a", key: Buffer.alloc(32, 1) }] }),
    'it is sealed by "xaes-256-gcm", and this backend reads only entries that are sealed by "hmac-sha-256"',
  ],
])("two secrets %s under one name: nothing of the other is served, and each says why", async (_, second, reason) => {
  const { all, start } = notYetInStep({ seal: SEAL }, 1);
  const both = [all[0]!, start({ seal: second })];
  const reasons = both.map(({ cache }) => reasonsOf(cache));
  for (const { cache } of both) await cache.connect();
  for (let round = 0; round < 3; round += 1)
    for (const [i, { cache }] of both.entries()) {
      expect(await cache.getOrSet("k", () => `of ${i}`)).toBe(`of ${i}`);
      await flush();
    }
  expect(reasons[1]![0]).toContain(reason);
  expect(reasons[0]!.length).toBeGreaterThan(0);
});
