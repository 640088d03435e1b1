import { json, type Cache, type EntryOptions } from "@hotset/core";
import { flush, gate } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { open } from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

/** One more than are under way at a time. */
const KEYS = Array.from({ length: 1_001 }, (_, i) => `k${i}`);
const LAST = KEYS.at(-1)!;

/** A `setMany` whose first 1,000 writes are held at the backend, so that the turn of the last key has not come. */
async function heldSetMany(options?: EntryOptions) {
  const { cache, backend } = open("memory over backend", { backend: { format: json() } });
  await cache.set(LAST, "old", { staleIfError: "1m" });
  const first = gate();
  backend.script("write", { times: 1_000, before: first });
  const all = cache.setMany(
    KEYS.map((key) => [key, "bulk"] as const),
    options,
  );
  await first.arrived();
  return { cache, backend, first, all };
}

describe("calls of many keys", () => {
  it("the keys beyond 1,000 are written when those before them are answered, and are not served meanwhile", async () => {
    const { cache, backend, first, all } = await heldSetMany();
    expect(backend.count("write", `test::${LAST}`)).toBe(1);
    expect(cache.peek(LAST)).toBe(undefined);
    first.open();
    expect(await all).toEqual({ stored: 1_001, pending: 0, refused: 0 });
    expect([await cache.get(LAST), backend.count("write", `test::${LAST}`)]).toEqual(["bulk", 2]);
  });

  it.each([
    ["set", "later"],
    ["delete", undefined],
    ["deleteMany", undefined],
    ["setMany", "later"],
    ["markStale", undefined],
    ["clear", undefined],
  ] as const)("a later %s of a key whose turn has not come wins", async (how, expected) => {
    const { cache, first, all } = await heldSetMany();
    const calls = {
      set: () => cache.set(LAST, "later"),
      delete: () => cache.delete(LAST),
      deleteMany: () => cache.deleteMany([LAST]),
      setMany: () => cache.setMany([[LAST, "later"]]),
      markStale: () => cache.markStale(LAST),
      clear: () => cache.clear(),
    };
    const call = calls[how]();
    if (!how.endsWith("Many")) await call;
    first.open();
    await call;
    expect(await all).toMatchObject({ pending: 0, refused: 0 });
    expect(await cache.get(LAST)).toBe(expected);
  });

  it("a load until its turn is for its callers alone, as one next to a set", async () => {
    const { cache, first, all } = await heldSetMany();
    expect(await cache.getOrSet(LAST, () => "loaded", { forceRefresh: true })).toBe("loaded");
    first.open();
    expect(await all).toEqual({ stored: 1_001, pending: 0, refused: 0 });
    expect(await cache.get(LAST)).toBe("bulk");
  });

  it("once it ended it has replaced what was there, by the value of a later call that its turn has stored", async () => {
    const { cache, backend, first, all } = await heldSetMany();
    const second = gate();
    backend.script("write", { times: 1_000, before: second });
    const others = Array.from({ length: 1_000 }, (_, i) => `other ${i}`);
    const later = cache.setMany([...others, LAST].map((key) => [key, "later"] as const));
    await second.arrived();
    first.open();
    expect(await all).toEqual({ stored: 1_001, pending: 0, refused: 0 });
    expect(await cache.get(LAST)).toBe("later");
    second.open();
    expect(await later).toEqual({ stored: 1_001, pending: 0, refused: 0 });
    expect([await cache.get(LAST), backend.count("write", `test::${LAST}`)]).toEqual(["later", 2]);
  });

  it("a call of many keys ends after the later write that won a key of it", async () => {
    const { cache, backend, first, all } = await heldSetMany();
    const won = gate();
    backend.script("write", { times: 1, before: won });
    const ended: string[] = [];
    const calls = [all.then(() => ended.push("all")), cache.set(LAST, "later").then(() => ended.push("later"))];
    await won.arrived();
    first.open();
    for (const key of KEYS.slice(0, 1_000)) await expect.poll(() => cache.get(key)).toBe("bulk");
    expect(ended).toEqual([]);
    won.open();
    await Promise.all(calls);
    expect(await cache.get(LAST)).toBe("later");
  });

  it.each(["invalidateTags", "markTagsStale"] as const)(
    "where %s of a tag of the call comes before the turn of a key, what was there without the tag is not served",
    async (how) => {
      const { cache, first, all } = await heldSetMany({ tags: ["t"] });
      const call = cache[how]("t");
      first.open();
      await call;
      expect(await all).toEqual({ stored: 1_001, pending: 0, refused: 0 });
      expect([cache.peek(LAST), await cache.get(LAST)]).toEqual([undefined, undefined]);
    },
  );

  it("a load from before the call, which is stored before the turn of its key, takes no turn", async () => {
    const { cache, backend } = open("memory over backend", { backend: { leases: true } });
    const [stored, first] = [gate(), gate()];
    backend.script("leases.store", { times: 1, after: stored });
    backend.script("remove", { times: 1_000, before: first });
    const loading = cache.getOrSet(LAST, () => "old");
    await stored.arrived();
    const all = cache.deleteMany(KEYS);
    await first.arrived();
    stored.open();
    expect(await loading).toBe("old");
    first.open();
    expect(await all).toMatchObject({ pending: 0 });
    expect([cache.peek(LAST), await cache.get(LAST)]).toEqual([undefined, undefined]);
  });

  it("of a key that is named twice in a call, the last value counts", async () => {
    const { cache } = open("memory over backend");
    const twice = [...KEYS, "k0", "k0"].map((key, i) => [key, i] as const);
    expect(await cache.setMany(twice)).toEqual({ stored: 1_003, pending: 0, refused: 0 });
    expect([await cache.get("k0"), await cache.get("k1")]).toEqual([1_002, 1]);
  });

  it("getOrSetMany runs its loader once for each 1,000 missing items, one part after the other", async () => {
    const { cache } = open("memory over backend");
    const asked: number[] = [];
    const load = (missing: readonly string[]): [string, string][] => {
      asked.push(missing.length);
      return missing.map((key) => [key, key]);
    };
    expect([...(await cache.getOrSetMany(KEYS, (key) => key, load)).values()]).toEqual(KEYS);
    expect(asked).toEqual([1_000, 1]);
  });
});

describe("changes made in one turn", () => {
  const DEADLINE_MS = 1_000;
  type Change = (cache: Cache, keys: readonly string[]) => Promise<number>;
  const each =
    (call: (cache: Cache, key: string) => Promise<{ readonly status: string }>, done: string): Change =>
    async (cache, keys) =>
      (await Promise.all(keys.map((key) => call(cache, key)))).filter(({ status }) => status === done).length;
  const inParts =
    (call: (cache: Cache, keys: readonly string[]) => Promise<number>): Change =>
    async (cache, keys) => {
      const parts = Array.from({ length: keys.length / 1_000 }, (_, i) => keys.slice(i * 1_000, (i + 1) * 1_000));
      return (await Promise.all(parts.map((part) => call(cache, part)))).reduce((sum, done) => sum + done, 0);
    };

  it.each([
    [1_000, 30_000, "set", "write", each((cache, key) => cache.set(key, key), "stored")],
    [1_000, 3_000, "delete", "remove", each((cache, key) => cache.delete(key), "missing")],
    [1_000, 3_000, "markStale", "markStale", each((cache, key) => cache.markStale(key), "missing")],
    [
      2_000,
      6_000,
      "setMany",
      "write",
      inParts(async (cache, keys) => (await cache.setMany(keys.map((key) => [key, key] as const))).stored),
    ],
    [2_000, 6_000, "deleteMany", "remove", inParts(async (cache, keys) => (await cache.deleteMany(keys)).missing)],
  ] as const)(
    "are sent %i at a time, and have their whole deadlines from then on: %i keys by %s",
    async (atOnce, count, _, operation, change) => {
      const { cache, backend, clock } = open("memory over backend", {
        backend: { deadlineMs: DEADLINE_MS },
        ttl: "1h",
      });
      const failed = watch(cache, "recover", "backend:error");
      // The versions are known from then on.
      await cache.set("first", 1);
      backend.forgetCalls();
      backend.script(operation, { times: Infinity, before: DEADLINE_MS - 1 });
      const acknowledged = change(
        cache,
        Array.from({ length: count }, (__, i) => `k${i}`),
      );
      const sent: number[] = [];
      while (sent.length < count / atOnce) {
        await flush();
        sent.push(backend.count(operation));
        clock.advance(DEADLINE_MS - 1);
      }
      expect(sent).toEqual(Array.from({ length: count / atOnce }, (__, i) => (i + 1) * atOnce));
      expect([await acknowledged, cache.stats().pending, failed]).toEqual([count, 0, []]);
    },
  );

  it("do not wait for calls of many keys that the backend does not answer", async () => {
    const { cache, backend } = open("memory over backend", { ttl: "1h" });
    await cache.set("first", 1);
    const held = gate();
    backend.script("write", { times: 2_000, before: held });
    const all = ["a", "b"].map((part) =>
      cache.setMany(KEYS.slice(0, 1_000).map((key) => [part + key, "bulk"] as const)),
    );
    await expect.poll(() => backend.count("write")).toBeGreaterThanOrEqual(2_000);
    expect(await cache.delete("first")).toMatchObject({ status: "deleted" });
    expect(await cache.set("first", 2)).toMatchObject({ status: "stored" });
    held.open();
    expect(await Promise.all(all)).toMatchObject([{ stored: 1_000 }, { stored: 1_000 }]);
  });
});
