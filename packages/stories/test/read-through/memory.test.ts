import { EncodeError, type CacheEvents } from "@hotset/core";
import type { MemoryOptions } from "@hotset/memory";
import { createTestCache, flush, gate, mapTier } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { open, STACKS_WITH_MEMORY } from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

describe.each(STACKS_WITH_MEMORY)("over %s", (stack) => {
  describe("C104 values: cloned", () => {
    const cloned: MemoryOptions = { values: "cloned" };
    interface User {
      name: string;
      readonly roles: string[];
    }
    const ada = (): User => ({ name: "Ada", roles: ["admin"] });
    const spoil = (user: User | undefined): void => {
      user!.name = "Eve";
      user!.roles.push("root");
    };

    it("a caller that changes its copy does not change any other copy", async () => {
      const { cache } = open(stack, { ttl: "1h", memory: cloned });
      spoil(await cache.getOrSet("k", ada));
      expect(cache.peek("k")).toEqual(ada());
      spoil(await cache.getOrSet("k", ada));
      spoil(await cache.get<User>("k"));
      spoil(cache.peek<User>("k"));
      spoil((await cache.getMany<User>(["k"])).get("k"));
      spoil(
        (
          await cache.getOrSetMany(
            ["k"],
            (key) => key,
            () => [["k", ada()]],
          )
        ).get("k"),
      );
      expect(cache.peek("k")).toEqual(ada());
      expect(await cache.get("k")).toEqual(ada());
    });

    it("a value of setMany that its caller changes meanwhile is stored as it was given, also beyond the first step", async () => {
      const { cache } = open(stack, { memory: cloned });
      const given = Array.from({ length: 1_001 }, (_, i): [string, User] => [`k${i}`, ada()]);
      const done = cache.setMany(given);
      for (const [, user] of given) spoil(user);
      await done;
      expect([await cache.get("k0"), await cache.get("k1000")]).toEqual([ada(), ada()]);
    });

    it("each caller that waits for one load gets its own copy", async () => {
      const { cache } = open(stack, { ttl: "1h", memory: cloned });
      const loading = gate<User>();
      const waiters = [1, 2, 3].map(() => cache.getOrSet("k", loading.pass));
      await loading.arrived();
      const original = ada();
      loading.open(original);
      const [first, second, third] = await Promise.all(waiters);
      spoil(first);
      expect(second).toEqual(ada());
      spoil(second);
      spoil(original);
      expect(third).toEqual(ada());
      expect(await cache.get("k")).toEqual(ada());
    });

    it("values served while they are being stored, and stale values, are copies", async () => {
      const { cache, clock, backend } = open(stack, {
        ttl: 100,
        staleWhileRevalidate: "1h",
        memory: cloned,
        backend: { deadlineMs: 50 },
      });
      const storing = gate();
      backend.script("write", { key: "test::k", before: storing });
      const answer = cache.getOrSet("k", ada);
      await flush();
      clock.advance(49);
      await flush();
      spoil(await cache.getOrSet("k", ada));
      storing.open();
      spoil(await answer);
      expect(await cache.get("k")).toEqual(ada());
      clock.advance(100);
      spoil(await cache.getOrSet("k", () => Promise.reject(new Error("the source is down"))));
      await cache.drain();
      expect(await cache.get("k", { allowStale: true })).toEqual(ada());
    });

    it("a value that its caller changes during and after set stays as it was given", async () => {
      const { cache, backend, clock } = open(stack, { ttl: "1h", memory: cloned });
      const user = ada();
      const setting = cache.set("k", user);
      // Changed during the write, and again after it.
      spoil(user);
      await setting;
      spoil(user);
      expect(cache.peek("k")).toEqual(ada());
      if (stack !== "memory") expect(await open("backend", { backend, clock }).cache.get("k")).toEqual(ada());
    });

    it("a value that cannot be cloned is returned and reported, and not kept locally", async () => {
      const { cache } = open(stack, { ttl: "1h", memory: cloned });
      const errors = watch(cache, "backend:error");
      const greeter = { name: "Ada", greet: () => "hello" };
      expect(await cache.getOrSet("k", () => greeter)).toBe(greeter);
      expect(cache.peek("k")).toBeUndefined();
      expect(errors.map(([, { tier, error }]) => [tier, error.code])).toEqual([["memory", "ENCODE_FAILED"]]);
      const setting = cache.set("k", greeter);
      if (stack === "memory") await expect(setting).rejects.toMatchObject({ code: "ENCODE_FAILED" });
      else await setting.catch(() => undefined);
      expect(cache.peek("k")).toBeUndefined();
    });

    it("a value that cannot be cloned ends the copy that it is newer than", async () => {
      const { cache } = open(stack, { ttl: "1h", memory: cloned });
      const answer = (name: string): object => ({ name, toJSON: () => name });
      await cache.set("k", "older");
      expect(await cache.getOrSet("k", () => answer("newer"), { forceRefresh: true })).toMatchObject({ name: "newer" });
      expect(cache.peek("k")).toBeUndefined();
      expect(await cache.getOrSet("k", () => "loaded")).toBe(stack === "memory" ? "loaded" : "newer");
    });
  });

  it("C104 values: frozen: changing a value throws at every depth", async () => {
    const { cache, backend, clock } = open(stack, { ttl: "1h", memory: { values: "frozen" } });
    const loaded = await cache.getOrSet("k", () => ({ name: "Ada", roles: ["admin"] }));
    expect(() => {
      loaded.name = "Eve";
    }).toThrow(TypeError);
    expect(() => loaded.roles.push("root")).toThrow(TypeError);
    const given = { list: [{ n: 1 }] };
    await cache.set("given", given);
    expect(() => {
      given.list[0]!.n = 2;
    }).toThrow(TypeError);
    expect(cache.peek("given")).toBe(given);
    if (stack === "memory") return;
    await open("backend", { backend, clock, ttl: "1h" }).cache.set("promoted", { name: "Ada" });
    const promoted = await cache.get<{ name: string }>("promoted");
    expect(() => {
      promoted!.name = "Eve";
    }).toThrow(TypeError);
  });

  describe("C104 values: frozen, below the surface", () => {
    interface User {
      readonly name: string;
      readonly roles: string[];
      self?: unknown;
    }
    const frozen = { ttl: 100, staleWhileRevalidate: "1h", memory: { values: "frozen" } } as const;
    const ada = (): User => ({ name: "Ada", roles: ["admin"] });
    /** Tries to change a user below its surface. */
    const change = (user: User | undefined): string => {
      try {
        user!.roles.push("root");
        return `${user!.name} was changed`;
      } catch (error) {
        return `${user!.name}: ${(error as Error).name}`;
      }
    };
    const REFUSED = "Ada: TypeError";

    it("a value that was frozen on the outside only", async () => {
      const { cache } = open(stack, frozen);
      await cache.set("k", Object.freeze(ada()));
      expect(change(await cache.get("k"))).toBe(REFUSED);
      const fragment = Object.freeze({ inner: Object.freeze([ada()]) });
      expect(change((await cache.getOrSet("loaded", () => fragment)).inner[0])).toBe(REFUSED);
    });

    it("a cyclic value", async () => {
      const { cache } = open(stack, frozen);
      const user = ada();
      user.self = user;
      expect(await cache.getOrSet("k", (ctx) => ctx.noStore(user))).toBe(user);
      expect(change(user)).toBe(REFUSED);
    });

    it("a stale value", async () => {
      const { cache, clock } = open(stack, frozen);
      await cache.set("k", ada());
      await cache.markStale("k");
      clock.advance(50);
      const loading = gate<User>();
      expect(change(await cache.get<User>("k", { allowStale: true }))).toBe(REFUSED);
      expect(change(await cache.getOrSet("k", loading.pass))).toBe(REFUSED);
      await loading.arrived();
      loading.open(ada());
      await cache.drain();
    });

    it("but not a value whose freezing fails, which is handed out as it is", async () => {
      const { cache } = open(stack, frozen);
      const refusing = new Proxy({ name: "Ada" }, { preventExtensions: () => false });
      expect(await cache.getOrSet("k", (ctx) => ctx.noStore(refusing))).toBe(refusing);
    });
  });

  it("C104 values: shared returns the same object to every caller", async () => {
    const { cache } = open(stack, { ttl: "1h" });
    const user = { name: "Ada" };
    expect(await cache.getOrSet("k", () => user)).toBe(user);
    expect(await cache.get("k")).toBe(user);
    expect(cache.peek("k")).toBe(user);
  });
});

it("C102 the maxEntryBytes of a backend: keeps a larger value in memory only and removes the older entry", async () => {
  const { cache, stored, backend, clock } = open("memory over backend", {
    ttl: "1h",
    backend: { maxEntryBytes: 1_000 },
  });
  const large = "x".repeat(2_000);
  await cache.set("k", "small");
  expect(await cache.set("k", large)).toEqual({ status: "refused" });
  expect(stored()).toEqual([]);
  expect(await cache.get("k")).toBe(large);
  expect(await open("backend", { backend, clock }).cache.get("k")).toBeUndefined();
  const loads = watch(cache, "load");
  expect(await cache.getOrSet("loaded", () => large)).toBe(large);
  expect(cache.peek("loaded")).toBe(large);
  expect(stored()).toEqual([]);
  expect(loads.map(([, { result }]) => result)).toEqual(["refused"]);
});

it("C102 an evict event has the original key and namespace", async () => {
  const { cache } = open("memory", { memory: { maxEntries: 1 } });
  const evicted: CacheEvents["evict"][] = [];
  cache.on("evict", (event) => evicted.push(event));
  const names = ["a", "a:b", "%", "\u{1f98a}"];
  for (const name of names) await cache.namespace(name).namespace("below").set("\0k:\u0001", name);
  await cache.set("\0", "root");
  await cache.set("last", "root");
  expect(evicted.map(({ namespace, key }) => [...namespace, key])).toEqual([
    ...names.map((name) => [name, "below", "\0k:\u0001"]),
    ["\0"],
  ]);
});

describe("C99 a local tier that refuses a value", () => {
  const refusing = (error: Error) => createTestCache({ local: { ...mapTier(), set: () => void raise(error) } });

  it("with an error of its own makes set reject with an EncodeError that names the tier and has the cause", async () => {
    const cause = new RangeError("no room");
    await expect(refusing(cause).set("k", 1)).rejects.toMatchObject({ code: "ENCODE_FAILED", tier: "map", cause });
  });

  it("with one of ours makes set reject with that", async () => {
    const error = new EncodeError("cannot be measured", { tier: "map" });
    await expect(refusing(error).set("k", 1)).rejects.toBe(error);
  });
});

function raise(error: Error): never {
  throw error;
}
