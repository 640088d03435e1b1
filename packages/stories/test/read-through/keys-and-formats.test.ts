import { json, type Compressor, type Format, type Namespace } from "@hotset/core";
import { brotli, gzip, v8 } from "@hotset/formats";
import { msgpack } from "@hotset/formats/msgpack";
import { zstd } from "@hotset/formats/zstd";
import { describe, expect, it } from "vitest";
import { HOSTILE_KEYS as KEYS } from "../support/hostile-keys.ts";
import { numbered } from "../support/sources.ts";
import { never, open, STACKS, STACKS_WITH_BACKEND, STACKS_WITH_MEMORY } from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

describe.each(STACKS)("over %s", (stack) => {
  describe("C108 keys", () => {
    it("of every kind are kept apart, in the root and in namespaces", async () => {
      const { cache } = open(stack, { ttl: "1h" });
      expect(new Set(KEYS).size).toBe(KEYS.length);
      for (const space of [cache, cache.namespace("users"), cache.namespace("users").namespace("a:b")]) {
        for (const [i, key] of KEYS.entries()) await (i % 2 === 0 ? space.set(key, i) : space.getOrSet(key, () => i));
        for (const [i, key] of KEYS.entries()) {
          expect(await space.get(key)).toBe(i);
          expect(await space.getOrSet(key, never)).toBe(i);
          expect(await space.has(key)).toBe(true);
          expect((await space.inspect(key))?.state).toBe("fresh");
        }
        expect([...(await space.getMany<number>(KEYS)).entries()]).toEqual(KEYS.map((key, i) => [key, i]));
      }
      const users = cache.namespace("users");
      for (const [i, key] of KEYS.entries()) {
        expect(await users.delete(key)).toMatchObject({ status: "deleted" });
        expect((await users.getMany(KEYS)).size).toBe(KEYS.length - i - 1);
      }
      expect((await cache.getMany(KEYS)).size).toBe(KEYS.length);
    });

    it("are passed to loaders and events unchanged", async () => {
      const { cache } = open(stack, { ttl: "1h" });
      const misses = watch(cache, "miss");
      for (const key of KEYS) {
        let given: string | undefined;
        await cache.namespace("a:b").getOrSet(key, (ctx) => {
          given = ctx.key;
          return null;
        });
        expect(given).toBe(key);
      }
      expect(misses.map(([, { namespace, key }]) => [namespace, key])).toEqual(KEYS.map((key) => [["a:b"], key]));
    });

    it("of every kind work as namespace names and tags", async () => {
      const { cache } = open(stack, { ttl: "1h" });
      const names = KEYS.filter((name) => name.length < 500);
      for (const name of names) await cache.namespace(name).set("k", name, { tags: [name] });
      for (const [i, name] of names.entries()) {
        expect(await cache.namespace(name).get("k")).toBe(name);
        if (i % 2 === 0) await cache.namespace(name).clear();
        else await cache.invalidateTags(name);
        expect(await cache.namespace(name).get("k")).toBeUndefined();
      }
    });
  });

  it("C109 no two pairs of namespace and key share an entry", async () => {
    const { cache } = open(stack, { ttl: "1h" });
    const pairs: readonly (readonly [path: readonly string[], key: string])[] = [
      [["a"], "b:c"],
      [["a:b"], "c"],
      [["a", "b"], "c"],
      [[], "a:b:c"],
      [[], "a:b::c"],
      [["a"], "b::c"],
      [["a"], ":b:c"],
      [["a:"], "b:c"],
      [["a%3Ab"], "c"],
      [["a%3ab"], "c"],
      [["a\0b"], "c"],
      [["a"], "\0b\0c"],
      [[], "\0a\0b:c"],
      [[], "\u0001a\0c"],
      [["{a}"], "c"],
      [["~a"], "c"],
      [["a@1"], "c"],
    ];
    const spaceAt = (path: readonly string[]): Namespace =>
      path.reduce<Namespace>((space, name) => space.namespace(name), cache);
    for (const [i, [path, key]] of pairs.entries()) await spaceAt(path).set(key, i);
    for (const [i, [path, key]] of pairs.entries()) expect(await spaceAt(path).get(key)).toBe(i);
    for (const [i, [path, key]] of pairs.entries()) {
      await spaceAt(path).delete(key);
      const left = await Promise.all(pairs.map(([otherPath, otherKey]) => spaceAt(otherPath).has(otherKey)));
      expect(left.filter((isLeft) => isLeft).length).toBe(pairs.length - i - 1);
    }
  });

  it.for(["test", ""])(
    "C110 a user's key: never collides with the keys of tag versions, in a cache named %j",
    async (name) => {
      const { cache } = open(stack, { name, ttl: "1h" });
      const load = numbered();
      await cache.getOrSet("k", load, { tags: ["t"] });
      const lookalikes = new Set([
        `{~${name}}::t`,
        `{~${name}}::`,
        `{~~${name}}::t`,
        `{~~${name}}::`,
        `${name}::k`,
        "::k",
        "{~}::t",
        "~issuer",
      ]);
      // A cache without a name has no namespaces.
      const spaces = name === "" ? [] : [...lookalikes].map((key) => cache.namespace(key));
      for (const key of lookalikes) await cache.set(key, "mine");
      for (const space of spaces) await space.set("k", "mine");
      expect(await cache.getOrSet("k", load, { tags: ["t"] })).toBe("value-1");
      await cache.invalidateTags("t");
      expect(await cache.get("k")).toBeUndefined();
      for (const key of lookalikes) {
        expect(await cache.get(key)).toBe("mine");
        await cache.delete(key);
      }
      for (const space of spaces) expect(await space.get("k")).toBe("mine");
      await cache.getOrSet("k", load, { tags: ["t"] });
      expect(await cache.getOrSet("k", load, { tags: ["t"] })).toBe("value-2");
    },
  );

  describe("C112 another version of a cache", () => {
    it("reads nothing of the earlier version, nor does the earlier version read from it", async () => {
      const { cache: before, backend, clock } = open(stack, { version: 1, ttl: "1h", staleIfError: "1h" });
      const { cache: after } = open(stack, { version: 2, backend, clock, ttl: "1h", staleIfError: "1h" });
      const { cache: without } = open(stack, { backend, clock, ttl: "1h" });
      const { cache: lookalike } = open(stack, { name: "test@2", backend, clock, ttl: "1h" });
      await before.set("k", "old", { tags: ["t"] });
      await before.namespace("users").set("k", "old");
      for (const cache of [after, without, lookalike]) {
        expect(await cache.get("k", { allowStale: true })).toBeUndefined();
        expect(await cache.namespace("users").get("k")).toBeUndefined();
        expect(await cache.getMany(["k"])).toEqual(new Map());
      }
      expect(await after.getOrSet("k", () => "new", { tags: ["t"] })).toBe("new");
      expect(await before.get("k")).toBe("old");
      await after.invalidateTags("t");
      await after.clear();
      expect(await before.get("k")).toBe("old");
    });

    it.for<readonly [string | number, string | number]>([
      [1, 11],
      ["a", "b"],
      ["1.0", 1],
      ["a:b", "a"],
      ["2024-01-01", "2024-01-02"],
    ])("shares no entries: version %j and version %j", async ([first, second]) => {
      const { cache, backend, clock } = open(stack, { version: first, ttl: "1h" });
      const other = open(stack, { version: second, backend, clock, ttl: "1h" }).cache;
      await cache.set("k", first);
      expect(await other.get("k")).toBeUndefined();
      await other.set("k", second);
      expect([await cache.get("k"), await other.get("k")]).toEqual([first, second]);
    });
  });
});

describe.each(STACKS_WITH_BACKEND)("over %s", (stack) => {
  describe("C113 an entry in a format or compressor that is not configured here", () => {
    const long = { text: "text ".repeat(500) };

    it.for<readonly [string, { readonly format?: Format; readonly compressor?: Compressor }]>([
      ["format", { format: v8() }],
      ["compressor", { compressor: brotli() }],
      ["format and compressor", { format: msgpack(), compressor: zstd() }],
      [
        "compressor with bytes that would decode",
        { compressor: { id: "terse", compress: () => Buffer.from('"wrong"'), decompress: (data) => data } },
      ],
    ])("is a miss and is overwritten: another %s", async ([, options]) => {
      const {
        cache: there,
        backend,
        clock,
      } = open("backend", { ttl: "1h", backend: { compressor: gzip(), ...options } });
      await there.set("k", long);
      const here = open(stack, {
        clock,
        ttl: "1h",
        backend: Object.assign(Object.create(backend) as typeof backend, { format: json(), compressor: gzip() }),
      }).cache;
      const errors = watch(here, "decode:error");
      expect(await here.get("k")).toBeUndefined();
      expect(await here.getMany(["k", "j"])).toEqual(new Map());
      expect(await here.getOrSet("k", () => ({ text: "new" }))).toEqual({ text: "new" });
      expect(await here.get("k")).toEqual({ text: "new" });
      expect(errors.map(([, { error }]) => error.code)).toEqual(["DECODE_FAILED"]);
      // A process that knows both formats and compressors reads it too.
      const both = open(stack, {
        clock,
        ttl: "1h",
        backend: Object.assign(Object.create(backend) as typeof backend, { alsoReads: [json(), gzip()] }),
      }).cache;
      expect(await both.get("k")).toEqual({ text: "new" });
    });

    it("is read when alsoReads lists them, as in a rolling change of both", async () => {
      const {
        cache: before,
        backend,
        clock,
      } = open("backend", {
        ttl: "1h",
        backend: { format: json(), compressor: gzip(), alsoReads: [msgpack(), zstd()] },
      });
      const after = open(stack, {
        clock,
        ttl: "1h",
        backend: Object.assign(Object.create(backend) as typeof backend, {
          format: msgpack(),
          compressor: zstd(),
          alsoReads: [json(), gzip()],
        }),
      }).cache;
      await before.set("old", long);
      await after.set("new", long);
      expect(await after.get("old")).toEqual(long);
      expect(await before.get("new")).toEqual(long);
      expect(await before.inspect("new")).toMatchObject({ encoding: { format: "msgpack", compressor: "zstd" } });
      expect(await after.inspect("new")).toMatchObject({ encoding: { format: "msgpack", compressor: "zstd" } });
      await after.set("old", long);
      expect(await before.get("old")).toEqual(long);
    });
  });
});

it.for(STACKS_WITH_MEMORY)(
  "C111 memory returns the original object where JSON would change its fields: %s",
  async (stack) => {
    const { cache, backend, clock } = open(stack, { ttl: "1h" });
    await cache.set("k", { when: new Date(0) });
    expect(cache.peek("k")).toEqual({ when: new Date(0) });
    if (stack === "memory") return;
    expect(await open("backend", { backend, clock }).cache.get("k")).toEqual({ when: "1970-01-01T00:00:00.000Z" });
  },
);
