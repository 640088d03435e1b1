import { AsyncLocalStorage } from "node:async_hooks";
import { createTestCache, flush, gate, scriptedBackend, TestClock, type TestCacheOptions } from "@hotset/testing";
import { beforeEach, describe, expect, it } from "vitest";
import type { Cache } from "../cache/cache.ts";
import type { Mismatch } from "../contracts/events.ts";
import type { Loader } from "../entry/loader.ts";
import type { VerifyOptions } from "./verify-options.ts";

const EACH: VerifyOptions = { share: 1, maxPerMinute: Infinity };

let clock: TestClock;
let source: Map<string, unknown>;
let loads: string[];

beforeEach(() => {
  clock = new TestClock();
  source = new Map();
  loads = [];
});

const load: Loader<unknown> = ({ key, reason }) => {
  loads.push(`${key} ${reason}`);
  return source.get(key);
};

function open(
  verify: TestCacheOptions["verify"] = EACH,
  options: TestCacheOptions = {},
): { readonly cache: Cache; readonly found: Mismatch[] } {
  const cache = createTestCache({ clock, ttl: "1h", verify, ...options });
  const found: Mismatch[] = [];
  cache.on("mismatch", (event) => found.push(event));
  return { cache, found };
}

/** Lets a comparison load, find a difference, wait until it has settled, and load again. */
async function settle(): Promise<void> {
  await flush();
  clock.advance(2_000);
  await flush();
}

const STACKS: readonly (readonly [string, TestCacheOptions])[] = [
  ["memory", {}],
  ["a backend", { local: false, backend: true }],
  ["memory over a backend", { backend: true }],
];

describe.each(STACKS)("C742: a hit over %s", (_name, stack) => {
  it("that equals what its source gives is counted, and is no mismatch", async () => {
    const { cache, found } = open(EACH, stack);
    source.set("k", { cents: 1, at: new Date(0) });
    await cache.getOrSet("k", load);
    await cache.getOrSet("k", load);
    await settle();
    expect(found).toEqual([]);
    expect(loads).toEqual(["k miss", "k verify"]);
    expect(cache.stats()).toMatchObject({ hits: 1, loads: 1, verified: 1, mismatches: 0 });
  });

  it("that differs is reported by names, once it is served and differs for the time that changes take", async () => {
    const { cache, found } = open(EACH, { ...stack, keyGroups: [{ name: "product", match: "product:" }] });
    const products = cache.namespace("products");
    source.set("product:1", { id: 1, cents: 100, size: { cm: 4 }, tags: ["a"] });
    await products.getOrSet("product:1", load, { tags: ["t"] });
    clock.advance(60_000);
    source.set("product:1", { id: 1, cents: 200, size: { cm: 5 }, tags: ["b"] });
    expect(await products.getOrSet("product:1", load)).toMatchObject({ cents: 100 });
    await flush();
    expect(found).toEqual([]);
    clock.advance(1_999);
    await flush();
    expect(found).toEqual([]);
    clock.advance(1);
    await flush();
    expect(found).toEqual([
      {
        ...{ cache: "test", namespace: ["products"], key: "product:1", group: "product", tier: expect.any(String) },
        ...{ ageMs: 60_000, tags: ["t"], fields: ["cents", "size.cm", "tags"], verdict: "unclear" },
        ...(found[0]!.writer !== undefined && { writer: expect.stringMatching(/^[\w-]{4}$/), isOwn: true }),
      },
    ]);
    expect(JSON.stringify(found)).not.toContain("200");
    expect(products.stats()).toMatchObject({ verified: 1, mismatches: 1 });
  });

  it.each<readonly [string, (cache: Cache) => Promise<unknown>]>([
    ["a delete", (cache) => cache.delete("k")],
    ["a set", (cache) => cache.set("k", "other")],
    ["a set of the same value", (cache) => cache.set("k", "old", { tags: ["t"] })],
    ["a mark", (cache) => cache.markStale("k")],
    ["an invalidation of a tag", (cache) => cache.invalidateTags("t")],
    ["a clear", (cache) => cache.clear()],
    ["a refresh", (cache) => cache.getOrSet("k", load, { forceRefresh: true })],
  ])("counts for nothing after %s, while its loader runs or until it has settled", async (_change, change) => {
    for (const isLate of [false, true]) {
      const { cache, found } = open(EACH, stack);
      source.set("k", "old");
      await cache.getOrSet("k", load, { tags: ["t"] });
      const blocked = gate();
      await cache.getOrSet("k", async (ctx) => (isLate || (await blocked.pass()), load(ctx)));
      source.set("k", "new");
      if (isLate) await flush();
      await change(cache);
      blocked.open();
      await settle();
      expect(found).toEqual([]);
      expect(cache.stats()).toMatchObject({ mismatches: 0 });
    }
  });
});

describe("C742: what is compared", () => {
  it("is nothing where the option is absent, and what asks for it with a share of 0", async () => {
    for (const verify of [undefined, false, { share: 0 }] as const) {
      const { cache } = open(verify ?? false, verify === undefined ? { verify: undefined } : {});
      await cache.getOrSet("k", () => 1);
      for (let i = 0; i < 100; i += 1) await cache.getOrSet("k", load);
      await settle();
    }
    expect(loads).toEqual([]);
  });

  it("is the share of the hits", async () => {
    const { cache } = open({ share: 0.25, maxPerMinute: Infinity });
    source.set("k", 1);
    await cache.getOrSet("k", load);
    for (let i = 0; i < 2_000; i += 1) {
      await cache.getOrSet("k", load);
      await flush(1);
    }
    expect(cache.stats().verified).toBeGreaterThan(350);
    expect(cache.stats().verified).toBeLessThan(650);
  });

  it("leaves out the loaders of calls and namespaces with verify: false, and calls without a loader", async () => {
    const { cache } = open();
    const quiet = cache.namespace("quiet", { verify: false });
    source.set("k", 1);
    for (let i = 0; i < 2; i += 1) {
      await cache.getOrSet("k", load, { verify: false });
      await quiet.getOrSet("k", load);
      await quiet.getOrSetMany(["k"], String, () => [["k", loads.push("many")]]);
      await cache.getOrSetMany(["k"], String, () => [["k", loads.push("many")]], { verify: false });
    }
    await cache.get("k");
    cache.peek("k");
    await settle();
    expect(loads).toEqual(["k miss", "k miss"]);
    await quiet.getOrSet("k", load, { verify: true });
    expect(await quiet.getOrSet("k", load, { verify: true, maxAge: "1h" })).toBe(1);
    await flush();
    expect(loads).toEqual(["k miss", "k miss", "k verify"]);
  });

  it("leaves out forced and current calls, and values that are stored for nobody", async () => {
    const { cache, found } = open(EACH, { backend: true });
    source.set("k", 1);
    await cache.getOrSet("k", load);
    source.set("k", 2);
    await cache.getOrSet("k", load, { current: true });
    await flush();
    expect(loads).toEqual(["k miss"]);
    const others: readonly Loader<unknown>[] = [
      (ctx) => ctx.notShared(3),
      async (ctx) => ctx.noStore(Promise.resolve(3)),
      (ctx) => (ctx.setOptions({ ttl: 0 }), 3),
      () => new ReadableStream(),
    ];
    for (const each of others) {
      await cache.getOrSet("k", each);
      await settle();
    }
    await cache.getOrSet("k", load, { shouldStore: () => false });
    await settle();
    expect(found).toEqual([]);
    expect(cache.stats()).toMatchObject({ verified: 0 });
  });

  it("is one item of a batch, by its loader", async () => {
    const { cache, found } = open({ ...EACH, maxConcurrent: 9 }, { backend: true });
    const asked: (readonly string[])[] = [];
    const many = (keys: readonly string[]): readonly (readonly [string, unknown])[] => {
      asked.push(keys);
      return keys.flatMap((key) => (source.has(key) ? [[key, source.get(key)] as const] : []));
    };
    source.set("a", 1).set("b", 2);
    await cache.getOrSetMany(["a", "b"], String, many);
    source.set("a", 3);
    await cache.getOrSetMany(["a", "b"], String, many);
    await settle();
    expect(asked).toEqual([["a", "b"], ["a"], ["b"], ["a"]]);
    expect(found).toMatchObject([{ key: "a", fields: [] }]);
    expect(cache.stats()).toMatchObject({ verified: 2, mismatches: 1 });
  });

  it("runs in the async context of no call, after the caller has its answer, and as a load of its key", async () => {
    const { cache } = open();
    const requests = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    await cache.getOrSet("k", () => 1);
    await requests.run("request 1", async () => {
      await cache.getOrSet("k", async (ctx) => {
        seen.push(requests.getStore(), ctx.background, ctx.reason, ctx.stale);
        await cache.getOrSet("k", () => 1, { forceRefresh: true }).catch((error: Error) => seen.push(error.name));
        return 1;
      });
      seen.push("answered");
    });
    await flush();
    expect(seen).toEqual(["answered", undefined, true, "verify", undefined, "ReentrantLoadError"]);
  });
});

describe("C742: the bounds", () => {
  it("are so many loads a minute, evenly spaced, those that confirm a difference included", async () => {
    const { cache } = open({ share: 1, maxPerMinute: 6, maxConcurrent: 100 });
    const begun: number[] = [];
    for (let key = 0; key < 40; key += 1) await cache.getOrSet(`k${key}`, () => "old");
    for (let s = 0; s < 120; s += 1) {
      for (let key = 0; key < 40; key += 1) await cache.getOrSet(`k${key}`, () => (begun.push(clock.now()), "new"));
      clock.advance(1_000);
      await flush(2);
    }
    const most = Math.max(...begun.map((from) => begun.filter((at) => at >= from && at < from + 60_000).length));
    expect(most).toBeGreaterThanOrEqual(6);
    expect(most).toBeLessThanOrEqual(7);
  });

  it("are so many at one time, for keys and for all, in slots of their own", async () => {
    const { cache } = open({ ...EACH, maxConcurrent: 2 }, { maxLoads: 1, maxBackgroundLoads: 1 });
    const source = gate();
    let running = 0;
    for (const key of ["a", "b", "c"]) await cache.getOrSet(key, () => 1);
    const hold: Loader<unknown> = async () => ((running += 1), await source.pass(), (running -= 1), 1);
    for (const key of ["a", "a", "b", "c"]) await cache.getOrSet(key, hold);
    await flush();
    expect(running).toBe(2);
    expect(await cache.getOrSet("new", () => 2)).toBe(2);
    source.open();
    await flush();
    expect([running, cache.stats().verified]).toEqual([0, 2]);
  });

  it("let a source rest for ten seconds after a load failed, or took longer than loadTimeout", async () => {
    for (const fails of [() => Promise.reject(new Error("db")), () => new Promise(() => undefined)]) {
      const { cache, found } = open(EACH, { loadTimeout: "1s" });
      source.set("k", 1);
      loads = [];
      await cache.getOrSet("k", load);
      await cache.getOrSet("k", fails);
      await flush();
      clock.advance(1_000);
      await flush();
      clock.advance(8_999);
      await cache.getOrSet("k", load);
      await flush();
      expect(loads).toEqual(["k miss"]);
      clock.advance(1_001);
      await cache.getOrSet("k", load);
      await flush();
      expect(loads).toEqual(["k miss", "k verify"]);
      expect([found, cache.stats().loadErrors]).toEqual([[], 0]);
    }
  });

  it("end with the cache: what runs is aborted, and close waits for nothing of it", async () => {
    const { cache, found } = open();
    await cache.getOrSet("k", () => 1);
    let signal: AbortSignal | undefined;
    await cache.getOrSet("k", (ctx) => ((signal = ctx.signal), new Promise(() => undefined)));
    await flush();
    await cache.close();
    await flush();
    expect([signal?.aborted, found]).toEqual([true, []]);
  });
});

describe("C742: two values", () => {
  const compared = async (verify: VerifyOptions, cached: unknown, loaded: unknown): Promise<Mismatch[]> => {
    const { cache, found } = open({ ...EACH, ...verify }, { backend: true });
    await cache.getOrSet("k", () => cached);
    await cache.getOrSet("k", () => loaded);
    await settle();
    return found;
  };

  it.each<readonly [string, VerifyOptions, unknown, unknown, readonly string[] | undefined]>([
    ["are equal by the bytes of the format", {}, { at: new Date(5) }, { at: "1970-01-01T00:00:00.005Z" }, undefined],
    ["are equal whatever the order of their properties", {}, { a: 1, b: 2 }, { b: 2, a: 1, c: undefined }, undefined],
    ["differ as a whole", {}, 1, 2, []],
    ["differ where the source has nothing any more", {}, { a: 1 }, null, []],
    ["differ by a property that one lacks", {}, { a: 1 }, { a: 1, b: 2 }, ["b"]],
    [
      "differ by an item, which has no name",
      {},
      { rows: [{ p: 1 }, { p: 2 }] },
      { rows: [{ p: 1 }, { p: 3 }] },
      ["rows.p"],
    ],
    [
      "are compared without what is ignored",
      { ignore: ["etag"] },
      { a: { etag: 1 }, b: 1 },
      { a: { etag: 2 }, b: 1 },
      undefined,
    ],
    [
      "are compared without the path that is ignored",
      { ignore: ["a.etag"] },
      { etag: 1, a: { etag: 1 } },
      { etag: 2, a: { etag: 2 } },
      ["etag"],
    ],
    [
      "have no name that may be data",
      {},
      { "ada@x.org": 1, c: { "1": 1 } },
      { "ada@x.org": 2, c: { "1": 2 } },
      ["*", "c.*"],
    ],
    ["are compared by the function of the user", { equals: () => true }, 1, 2, undefined],
    [
      "are compared by their version",
      { version: (it) => (it as { v: number }).v },
      { v: 1, x: 1 },
      { v: 1, x: 2 },
      undefined,
    ],
    ["differ by their version", { version: (it) => (it as { v: number }).v }, { v: 1, x: 1 }, { v: 2, x: 1 }, ["v"]],
  ])("%s", async (_name, verify, cached, loaded, fields) => {
    const found = await compared(verify, cached, loaded);
    expect(found.map((each) => each.fields)).toEqual(fields === undefined ? [] : [fields]);
  });

  it("that differ from load to load are no mismatch, but for the properties that don't", async () => {
    const { cache, found } = open();
    let n = 0;
    await cache.getOrSet("k", () => ({ n, cents: 1 }));
    await cache.getOrSet("k", () => ({ n: (n += 1), cents: 1 }));
    await settle();
    expect(found).toEqual([]);
    await cache.getOrSet("k", () => ({ n: (n += 1), cents: 2 }));
    await settle();
    expect(found).toMatchObject([{ fields: ["cents"] }]);
    await cache.getOrSet("k", () => (n += 1));
    await settle();
    expect(found.length).toBe(1);
  });

  it("show no key and no tag that redactKeys hides", async () => {
    const { cache, found } = open(EACH, { redactKeys: true });
    await cache.getOrSet("user:ada", () => 1, { tags: ["ada"] });
    await cache.getOrSet("user:ada", () => 2);
    await settle();
    expect(found).toMatchObject([{ key: "[redacted]", tags: ["[redacted]"] }]);
  });
});

describe("C742: a mismatch is named", () => {
  it("wrong, if the same key was invalidated in another namespace alone", async () => {
    const { cache, found } = open();
    const [catalog, checkout] = [cache.namespace("catalog"), cache.namespace("checkout")];
    source.set("product:1", 100);
    for (const each of [catalog, checkout]) await each.getOrSet("product:1", load);
    clock.advance(30_000);
    source.set("product:1", 200);
    await catalog.delete("product:1");
    await checkout.getOrSet("product:1", load);
    await settle();
    expect(found).toMatchObject([
      { namespace: ["checkout"], verdict: "wrong", why: "other-namespace", otherNamespace: ["catalog"] },
    ]);
  });

  it("unclear, where the keys of two namespaces need not mean the same", async () => {
    const { cache, found } = open();
    const [users, products] = [cache.namespace("users"), cache.namespace("products")];
    source.set("7", 100);
    await products.getOrSet("7", load);
    clock.advance(30_000);
    source.set("7", 200);
    await users.delete("7");
    await products.getOrSet("7", load);
    await settle();
    expect(found).toMatchObject([{ verdict: "unclear" }]);
  });

  it("wrong, if it was loaded right after its key was deleted: the source was changed after that", async () => {
    const { cache, found } = open();
    source.set("k", 100);
    await cache.getOrSet("k", load);
    await cache.delete("k");
    clock.advance(100);
    await cache.getOrSet("k", load);
    source.set("k", 200);
    clock.advance(60_000);
    await cache.getOrSet("k", load);
    await settle();
    expect(found).toMatchObject([{ verdict: "wrong", why: "early-delete" }]);
  });

  it("wrong, if two calls of the key have loaders that give different values", async () => {
    const { cache, found } = open();
    const cartOf = (user: string) => () => cache.getOrSet("cart", () => ({ user }));
    await cartOf("ada")();
    await cartOf("bob")();
    await flush();
    await cartOf("eve")();
    await settle();
    expect(found).toMatchObject([{ verdict: "wrong", why: "shared-key", fields: ["user"] }]);
  });

  it("unclear, if two calls of the key only differ because the source changed between them", async () => {
    const { cache, found } = open();
    let n = 0;
    await cache.getOrSet("k", () => ({ n, cents: 1 }));
    await cache.getOrSet("k", () => ({ n: (n += 1), cents: 2 }));
    await flush();
    await cache.getOrSet("k", () => ({ n: (n += 1), cents: 2 }));
    await settle();
    expect(found).toMatchObject([{ verdict: "unclear", fields: ["cents"] }]);
  });

  it("wrong, if the backend has another entry than the copy that is served", async () => {
    const backend = scriptedBackend({ clock, leases: true });
    const own = open(EACH, { backend, localTtl: "1h" });
    const other = createTestCache({ clock, ttl: "1h", backend: backend.peer(), localTtl: "1h" });
    source.set("k", 100);
    await own.cache.getOrSet("k", load);
    source.set("k", 200);
    await other.set("k", 200);
    await own.cache.getOrSet("k", load);
    await settle();
    expect(own.found).toMatchObject([{ verdict: "wrong", why: "copy-behind", isOwn: true }]);
  });

  it("by the instant of its last change, if the source says it", async () => {
    const version = (it: unknown): Date => new Date((it as { at: number }).at);
    const at = (agoMs: number): { at: number } => ({ at: clock.epochMs() - agoMs });
    const judged = async (verify: VerifyOptions, changedMs: number): Promise<Partial<Mismatch>> => {
      const { cache, found } = open({ ...EACH, version, ...verify });
      await cache.getOrSet("k", () => at(9_000_000));
      clock.advance(60_000);
      const now = at(changedMs);
      await cache.getOrSet("k", () => now);
      await settle();
      const { verdict, why, changedMs: sinceMs } = found[0]!;
      return { verdict, ...(why !== undefined && { why }), changedMs: sinceMs! };
    };
    expect(await judged({}, 30_000)).toEqual({ verdict: "drift", changedMs: 32_000 });
    expect(await judged({}, 65_000)).toEqual({ verdict: "wrong", why: "loaded-wrong", changedMs: 67_000 });
    expect(await judged({ accepts: "33s" }, 30_000)).toEqual({ verdict: "drift", changedMs: 32_000 });
    expect(await judged({ accepts: "31s" }, 30_000)).toEqual({
      ...{ verdict: "wrong", why: "not-invalidated", changedMs: 32_000 },
    });
  });

  it("drift, up to the age that is accepted for its key", async () => {
    const accepts: VerifyOptions["accepts"] = ({ namespace }) => (namespace[0] === "rates" ? "1m" : undefined);
    const { cache, found } = open({ ...EACH, accepts, maxConcurrent: 2 });
    for (const name of ["rates", "users"]) await cache.namespace(name).getOrSet("k", () => 1);
    clock.advance(50_000);
    for (const name of ["rates", "users"]) await cache.namespace(name).getOrSet("k", () => 2);
    await settle();
    expect(found.map(({ namespace, verdict }) => [...namespace, verdict])).toEqual([
      ["rates", "drift"],
      ["users", "unclear"],
    ]);
  });

  it("with the process that wrote the entry", async () => {
    const backend = scriptedBackend({ clock, leases: true });
    const { cache, found } = open(EACH, { backend, local: false });
    await cache.getOrSet("k", () => 1);
    await cache.getOrSet("k", () => 2);
    await settle();
    expect(found).toMatchObject([{ isOwn: true, writer: expect.stringMatching(/^[\w-]{4}$/) }]);
    const key = backend.store.keys().find((each) => each.endsWith("k"));
    backend.store.set(key!, { ...backend.store.get(key!)!, version: "AAAAbbbbbbbbbbbb" });
    await flush();
    await cache.getOrSet("k", () => 2);
    await settle();
    expect(found[1]).toMatchObject({ isOwn: false, writer: "AAAA" });
  });
});
