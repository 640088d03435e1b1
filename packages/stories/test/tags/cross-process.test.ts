/**
 * Tags and clear across processes. The tests force the interleavings and move the clock. The counter-examples are in
 * docs/reference/counter-examples.md.
 */
import type { Cache } from "@hotset/core";
import { flush, gate, outcome } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { gatedLoads, holding, inStep, keptOf, notYetInStep } from "../support/processes.ts";
import { never } from "../support/stacks.ts";

const K = "test::k";
const T = "{~test}::t";
const ISSUER_LOST = "the tag's version and its issuer";
const answered = <T>(value: T) => ({ status: "fulfilled", value }) as const;

const tagged = (cache: Cache, value: string): Promise<string> => cache.getOrSet("k", () => value, { tags: ["t"] });

describe("C67 invalidateTags", () => {
  it("hides entries at once in every tier of every process, also as stale values", async () => {
    const { all } = await inStep({ staleIfError: "1h", staleWhileRevalidate: "1h" }, 3);
    const [p1, p2] = all;
    const keys = Array.from({ length: 50 }, (_, i) => `k${i}`);
    for (const key of keys) await p1.cache.set(key, "old", { tags: ["t", key] });
    await p1.cache.set("other", "kept", { tags: ["u"] });
    for (const { cache } of all) expect((await cache.getMany([...keys, "other"])).size).toBe(51);
    p2.backend.forgetCalls();
    expect(await p2.cache.invalidateTags("t")).toMatchObject({ status: "done" });
    expect(p2.backend.calls.map(({ operation }) => operation)).toEqual(["tags.renew"]);
    for (const { cache } of all) {
      expect(keys.map((key) => cache.peek(key))).toEqual(keys.map(() => undefined));
      expect(await cache.getMany([...keys, "other"], { allowStale: true })).toEqual(new Map([["other", "kept"]]));
    }
  });

  it("keeps copies without that tag, and causes no backend call in the other process", async () => {
    const { p1, p2 } = await inStep();
    await p1.cache.set("a", 1, { tags: ["t"] });
    await p1.cache.set("b", 2, { tags: ["u"] });
    expect([...(await p2.cache.getMany(["a", "b"])).values()]).toEqual([1, 2]);
    await flush();
    p2.backend.forgetCalls();
    expect([p2.cache.peek("a"), p2.cache.peek("b")]).toEqual([1, 2]);
    await p1.cache.invalidateTags("t");
    expect([p2.cache.peek("a"), p2.cache.peek("b")]).toEqual([undefined, 2]);
    expect(p2.backend.count()).toBe(0);
  });

  it("hides entries only in its own process while it is pending, and everywhere after the replay (C93)", async () => {
    const { p1, p2, clock } = await inStep();
    await tagged(p1.cache, "old");
    expect(await p2.cache.get("k")).toBe("old");
    p1.backend.down();
    expect(await p1.cache.invalidateTags("t")).toEqual({ status: "pending" });
    expect([await p1.cache.get("k"), p1.cache.peek("k"), p2.cache.peek("k")]).toEqual([undefined, undefined, "old"]);
    p1.backend.up();
    clock.advance(1_000);
    await flush();
    expect([p1.cache.stats().pending, await p1.cache.get("k"), await p2.cache.get("k")]).toEqual([
      0,
      undefined,
      undefined,
    ]);
  });
});

describe("C77 an invalidation during the first read of its tag is effective", () => {
  it.for(["tags.read", "tags.pin"] as const)(
    "in %s: an answer from before it is not remembered after the message (counter-example 1)",
    async (operation) => {
      const { p1, p2 } = await inStep();
      await tagged(p1.cache, "old");
      const answering = gate();
      p2.backend.script(operation, { key: T, after: answering });
      const call =
        operation === "tags.read"
          ? p2.cache.getOrSet("k", () => "loaded", { tags: ["t"] })
          : p2.cache.set("j", "old", { tags: ["t"] });
      await answering.arrived();
      await p1.cache.invalidateTags("t");
      answering.open();
      await call;
      await flush();
      for (const key of ["k", "j"]) {
        const copy = p2.cache.peek(key);
        expect([copy, await p1.cache.get(key)]).not.toContain("old");
        expect([undefined, "loaded"]).toContain(copy);
      }
    },
  );

  it("in the process that reads the tag, even if it reads the old version (counter-example 2)", async () => {
    const { p1 } = await inStep({ backend: { echoes: false } });
    await tagged(p1.cache, "old");
    p1.link.everything();
    const renewing = gate();
    p1.backend.script("tags.renew", { before: renewing });
    const invalidating = p1.cache.invalidateTags("t");
    expect([await p1.cache.get("k"), await p1.cache.getOrSet("k", never, { tags: ["t"] })]).toEqual(["old", "old"]);
    renewing.open();
    await invalidating;
    expect([p1.cache.peek("k"), await p1.cache.get("k")]).toEqual([undefined, undefined]);
  });
});

describe("C41 a load", () => {
  it("overtaken by an invalidation is not valid, since its tag versions were read before the loader ran (counter-example 7)", async () => {
    const { p1, p2, loads, first: loading } = await holding({}, { tags: ["t"] });
    p1.link.hold();
    await p2.cache.invalidateTags("t");
    loads.runs[0]!.open("old");
    expect(await loading).toBe("old");
    expect(await p2.cache.get("k")).toBe(undefined);
    p1.link.deliver();
    expect([p1.cache.peek("k"), await p1.cache.get("k")]).toEqual([undefined, undefined]);
  });

  it.for([true, false])(
    "is not stored with an invalidated tag that its loader added, with the message delivered: %s (counter-example 8)",
    async (isDelivered) => {
      const { p1, p2, store } = await inStep();
      const loads = gatedLoads<string>();
      const load = async (context: Parameters<typeof loads.load>[0]): Promise<string> => {
        const value = await loads.load(context);
        context.setOptions({ tags: ["t"] });
        return value;
      };
      for (const evict of [false, true]) {
        const loading = p1.cache.getOrSet("k", load);
        await loads.arrived(evict ? 2 : 1);
        if (!isDelivered) p1.link.hold();
        await p2.cache.invalidateTags("t");
        // A missing tag version must not be taken for a new tag.
        if (evict) store.evictTag(T);
        loads.runs[evict ? 1 : 0]!.open("old");
        expect(await loading).toBe("old");
        await flush();
        p1.link.deliver();
        expect([store.keys().includes(K), p1.cache.peek("k"), await p2.cache.get("k")]).toEqual([
          false,
          undefined,
          undefined,
        ]);
      }
    },
  );

  it("is stored with a tag used for the first time, since the issuer has not changed (counter-example 8)", async () => {
    const { p1, p2, store } = await inStep();
    await p1.cache.getOrSet("k", ({ setOptions }) => (setOptions({ tags: ["never seen"] }), "loaded"));
    expect([store.keys().includes(K), await p2.cache.get("k")]).toEqual([true, "loaded"]);
    await p2.cache.invalidateTags("never seen");
    expect([p1.cache.peek("k"), await p1.cache.get("k")]).toEqual([undefined, undefined]);
  });

  it("overtaken by an invalidation is not joined by callers after the message, even if only its loader will add the tag (counter-example 5)", async () => {
    const { p1, p2 } = await inStep();
    const loads = gatedLoads<string>();
    const load = async (context: Parameters<typeof loads.load>[0]): Promise<string> => {
      const value = await loads.load(context);
      context.setOptions({ tags: ["t"] });
      return value;
    };
    const older = p1.cache.getOrSet("k", load);
    await loads.arrived(1);
    await p2.cache.invalidateTags("t");
    const newer = p1.cache.getOrSet("k", load);
    await flush();
    loads.runs[0]!.open("old");
    expect(await older).toBe("old");
    await loads.arrived(2);
    loads.runs[1]!.open("new");
    expect(await newer).toBe("new");
    expect(await p2.cache.get("k")).toBe("new");
  });

  it("overtaken by an invalidation of its own process is not stored, without messages about own changes (counter-example 5)", async () => {
    const { p1, loads, first: older } = await holding({ backend: { echoes: false } }, { tags: ["t"] });
    await p1.cache.invalidateTags("t");
    const newer = p1.cache.getOrSet("k", loads.load, { tags: ["t"] });
    await loads.arrived(2);
    loads.runs[1]!.open("new");
    loads.runs[0]!.open("old");
    expect([await older, await newer]).toEqual(["old", "new"]);
    expect([p1.cache.peek("k"), await p1.cache.get("k")]).toEqual(["new", "new"]);
  });
});

it.for(["the tag's version", "the issuer of versions", ISSUER_LOST, "everything"] as const)(
  "C73 losing tag data causes misses and brings no invalidated entry back: when the lost data is: %s",
  async (lost) => {
    const { all, store } = await inStep({ staleIfError: "1h" }, 3);
    const [p1, p2] = all;
    await tagged(p1.cache, "v1");
    for (const { cache } of all) expect(await cache.get("k")).toBe("v1");
    const old = store.get(K)!;
    await p1.cache.invalidateTags("t");
    const lose = (): void => {
      if (lost === "everything") store.clear();
      if (lost === "the tag's version" || lost === ISSUER_LOST) store.evictTag(T);
      if (lost === "the issuer of versions" || lost === ISSUER_LOST) store.evictIssuer();
    };
    lose();
    // No entry from before is valid under a version issued from now on (counter-example 9).
    for (let i = 0; i < 5; i += 1) {
      if (store.get(K)?.version !== old.version) store.set(K, old);
      expect(await Promise.all(all.map(({ cache }) => cache.get("k")))).toEqual([undefined, undefined, undefined]);
      if (i % 2 === 0) await p2.cache.invalidateTags("t");
      else await p2.cache.getOrSet("j", () => i, { tags: ["t"] });
    }
    expect(await tagged(p2.cache, "v2")).toBe("v2");
    expect(await Promise.all(all.map(({ cache }) => cache.get("k")))).toEqual(["v2", "v2", "v2"]);
    lose();
    const lasting = lost === "the issuer of versions" ? "v2" : undefined;
    expect(await Promise.all(all.map(({ cache }) => cache.get("k")))).toEqual([lasting, lasting, lasting]);
  },
);

it("C74 an entry that outlives its tag version is judged by the invalidations since it was stored", async () => {
  const { p1, p2, store, clock } = await inStep({ ttl: "365d", backend: { maxStalenessMs: 24 * 3_600_000 } });
  for (const isInvalidated of [false, true]) {
    await tagged(p1.cache, "old");
    clock.advance("40d");
    for (const { link } of [p1, p2]) link.alive();
    if (isInvalidated) await p2.cache.invalidateTags("t");
    store.evictTag(T);
    expect([await p1.cache.get("k"), await p2.cache.get("k")]).toEqual([undefined, undefined]);
    // Issued anew by an unchanged issuer, the version is the same if nothing was invalidated since.
    await p2.cache.set("j", 1, { tags: ["t"] });
    const judged = isInvalidated ? undefined : "old";
    expect([await p1.cache.get("k"), await p2.cache.get("k"), await p1.cache.get("j")]).toEqual([judged, judged, 1]);
  }
});

it("C76 reading a tag's version: again sends no message and causes no misses elsewhere", async () => {
  const { p1, p2 } = await inStep();
  await tagged(p1.cache, "v");
  expect(await tagged(p2.cache, "never")).toBe("v");
  await flush();
  for (const { backend } of [p1, p2]) backend.forgetCalls();
  p2.link.everything();
  expect(await tagged(p2.cache, "never")).toBe("v");
  expect([p1.cache.peek("k"), p1.backend.count()]).toEqual(["v", 0]);
});

it("C79 clear: is one call of constant size, reaches all processes, and running loads store nothing", async () => {
  const { all } = await inStep({}, 3);
  const [p1, p2, p3] = all;
  for (let i = 0; i < 100; i += 1) await p1.cache.namespace("users").set(`k${i}`, i);
  for (const { cache } of all) expect(await cache.namespace("users").get("k7")).toBe(7);
  const loads = gatedLoads<string>();
  const loading = p3.cache.namespace("users").getOrSet("loading", loads.load);
  await loads.arrived(1);
  p2.backend.forgetCalls();
  expect(await p2.cache.clear()).toMatchObject({ status: "done" });
  expect(p2.backend.calls.map(({ operation, keys }) => [operation, keys])).toEqual([["tags.renew", ["{~test}::"]]]);
  loads.runs[0]!.open("old");
  expect(await loading).toBe("old");
  for (const { cache } of all) {
    const users = cache.namespace("users");
    expect([users.peek("k7"), await users.get("k7"), await users.get("loading")]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  }
  await p1.cache.namespace("users").set("k7", "new");
  for (const { cache } of all) expect(await cache.namespace("users").get("k7")).toBe("new");
});

it("C105 known tag versions: cause misses when the store evicts them", async () => {
  const { p1, p2, store } = await inStep();
  await tagged(p1.cache, "v");
  expect(await p2.cache.get("k")).toBe("v");
  store.evictTag(T);
  expect(await keptOf(p1, p2)).toEqual([undefined, undefined, undefined]);
  expect(await tagged(p2.cache, "again")).toBe("again");
  expect(await p1.cache.get("k")).toBe("again");
});

it.for([-3_600_000, -1, 1, 3_600_000])(
  "C71 processes whose clocks differ: by %i ms behave alike",
  async (clockOffsetMs) => {
    const { clock, start, store } = notYetInStep({ ttl: 1_000, staleIfError: 1_000 }, 1);
    clock.advance(7_200_000);
    const [here, there] = [start(), start({ clockOffsetMs })] as const;
    for (const { cache } of [here, there]) await cache.connect();
    for (const [writer, reader] of [
      [here, there],
      [there, here],
    ] as const) {
      await writer.cache.set("k", "v1", { tags: ["t"] });
      expect([await reader.cache.get("k"), await reader.cache.inspect("k")]).toMatchObject([
        "v1",
        { state: "fresh", ageMs: 0, freshForMs: 1_000, expiresInMs: 2_000 },
      ]);
      await reader.cache.invalidateTags("t");
      expect([await writer.cache.get("k"), await reader.cache.get("k")]).toEqual([undefined, undefined]);
      expect(await reader.cache.getOrSet("k", () => "v2", { tags: ["t"] })).toBe("v2");
      expect(await writer.cache.getOrSet("k", never, { tags: ["t"] })).toBe("v2");
      for (let i = 0; i < 4; i += 1) {
        clock.advance(i === 3 ? 249 : 250);
        await flush();
      }
      expect([writer.cache.peek("k"), reader.cache.peek("k")]).toEqual(["v2", "v2"]);
      clock.advance(1);
      expect([
        writer.cache.peek("k"),
        reader.cache.peek("k"),
        await reader.cache.get("k", { allowStale: true }),
      ]).toEqual([undefined, undefined, "v2"]);
      const loads = gatedLoads<string>();
      const first = writer.cache.getOrSet("k", loads.load, { tags: ["t"] });
      await loads.arrived(1);
      const second = reader.cache.getOrSet("k", never, { tags: ["t"] });
      await flush();
      loads.runs[0]!.open("v3");
      expect([await first, await outcome(second)]).toEqual(["v3", answered("v3")]);
      await writer.cache.delete("k");
      expect([reader.cache.peek("k"), store.keys().includes(K)]).toEqual([undefined, false]);
    }
  },
);
