/** Defects of other caches over a Redis, found by running them. */
import type { Cache } from "@hotset/core";
import { gate } from "@hotset/testing";
import {
  forkScript,
  randomPrefix,
  startOwnRedis,
  startProxy,
  type FaultProxy,
  type OwnRedis,
} from "@hotset/test-servers";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ClockService, ClockServiceSettings } from "../support/clock-service.ts";
import { over, patient, type OverRedisOptions } from "../support/over-redis.ts";
import { counted, never, rejectionsDuring, STACKS_WITH_BACKEND, type Stack } from "../support/stacks.ts";
import { replaceData, storedData } from "../support/stored-entries.ts";
import { watch } from "../support/watch.ts";

let server: OwnRedis;
let proxy: FaultProxy;
let prefix: string;

beforeAll(async () => {
  server = await startOwnRedis();
});
afterAll(() => server.stop());
beforeEach(async () => {
  proxy = await startProxy(server.port);
  prefix = randomPrefix();
});
afterEach(() => proxy.close());

/** A lease outlasts a pause of Redis. */
const open = (options?: OverRedisOptions): Cache =>
  over(patient(proxy.url).keyPrefix(prefix).leaseTime("30s").build(), options);
const elsewhere = (options?: OverRedisOptions): Cache => over(patient(server.url).keyPrefix(prefix).build(), options);
/** That of an entry; -2 where there is none. */
const ttlOf = async (key: string): Promise<number> =>
  (await stored(key)) === undefined ? -2 : Number(await server.command("PTTL", `${prefix}:shop::${key}`));
const stored = (key: string): Promise<Buffer | undefined> => storedData(server, `${prefix}:shop::${key}`);

describe.each(STACKS_WITH_BACKEND)("over %s", (stack) => {
  it("C21 a stale window shorter than ttl shortens no life, and one without a ttl ends none (bentocache)", async () => {
    const cache = open({ stack });
    await cache.set("k", "value", { ttl: "1h", staleIfError: 100 });
    expect(await ttlOf("k")).toBeGreaterThan(3_590_000);
    expect(await ttlOf("k")).toBeLessThanOrEqual(3_600_100);
    await cache.set("forever", "value", { ttl: Infinity, staleIfError: 100 });
    expect(await ttlOf("forever")).toBeGreaterThan(50 * 365 * 86_400_000);
  });

  it("C23 any number of failures prolongs no stale value, here or in Redis (bentocache)", async () => {
    const cache = open({ stack, ttl: 100, staleIfError: 400, errorBackoff: 0 });
    await cache.set("k", "old");
    const until = performance.now() + 500;
    const failing = () => cache.getOrSet("k", () => Promise.reject(new Error("db down")));
    while (performance.now() < until) {
      const left = await ttlOf("k");
      await failing().catch(() => undefined);
      expect(await ttlOf("k")).toBeLessThanOrEqual(left);
    }
    await expect(failing()).rejects.toThrow("db down");
  });

  it("C59 C60 a delete, a tag invalidation, a clear and a set during a load are not undone by it (bentocache, cachified, cacheable, layered-loader, async-cache-dedupe)", async () => {
    const cache = open({ stack });
    const other = elsewhere();
    const mutations: readonly (readonly [() => Promise<unknown>, left: unknown])[] = [
      [() => cache.delete("k"), undefined],
      [() => cache.invalidateTags("t"), undefined],
      [() => cache.clear(), undefined],
      [() => cache.set("k", "set", { tags: ["t"] }), "set"],
    ];
    for (const [mutate, left] of mutations) {
      await cache.delete("k");
      const loading = gate<string>();
      const call = cache.getOrSet("k", loading.pass, { tags: ["t"] });
      await loading.arrived();
      await mutate();
      loading.open("loaded before");
      expect(await call).toBe("loaded before");
      await cache.drain();
      expect([await cache.get("k"), await other.get("k")]).toEqual([left, left]);
    }
  });

  it("C63 a read during a delete that Redis executes slowly leaves no copy behind (bentocache)", async () => {
    const cache = open({ stack });
    await elsewhere().set("k", "old");
    const hold = proxy.hold("EVALSHA", "request");
    const deletion = cache.delete("k");
    await hold.reached;
    // On another connection it would be answered; here it waits after the delete.
    const read = cache.get("k");
    hold.release();
    expect(await deletion).toMatchObject({ status: "deleted" });
    expect([await read, await cache.get("k"), cache.peek("k")]).toEqual([undefined, undefined, undefined]);
  });

  it("C69 a value that was invalidated by tag is not served stale either (bentocache)", async () => {
    const cache = open({ stack, ttl: "1h", staleIfError: "6h", staleWhileRevalidate: "1h" });
    expect(await cache.set("k", "old", { tags: ["t"] })).toMatchObject({ status: "stored" });
    await cache.invalidateTags("t");
    expect([await cache.get("k"), await cache.get("k", { allowStale: true }), await cache.has("k")]).toEqual([
      undefined,
      undefined,
      false,
    ]);
    await expect(cache.getOrSet("k", () => Promise.reject(new Error("db down")))).rejects.toThrow("db down");
  });

  it("C2 undefined from a loader, in a refresh or in a load, is stored nowhere and rejects nowhere (bentocache, cachified)", async () => {
    const cache = open({ stack, ttl: 1, staleWhileRevalidate: "1h" });
    const rejections = await rejectionsDuring(async () => {
      await cache.set("k", "old");
      await expect.poll(async () => (await cache.inspect("k"))?.state).toBe("stale");
      expect(await cache.getOrSet("k", () => undefined as never)).toBe("old");
      await cache.drain();
      expect(await cache.get("k", { allowStale: true })).toBe("old");
      expect(await cache.getOrSet("none", () => undefined as never)).toBe(undefined);
      expect(await stored("none")).toBe(undefined);
    });
    expect(rejections).toEqual([]);
  });

  it.for([["one in use"], ["a new one"]] as const)(
    "C46 a hundred callers of a failing loader share one run of it, and later callers during the run start no other: in a namespace, %s (bentocache, FusionCache)",
    async ([which]) => {
      const backend = patient(proxy.url).keyPrefix(prefix).maxStaleness("1m").build();
      const cache = over(backend, { stack });
      await cache.connect();
      /** Waits for two more answers: questions asked in the background are answered by then. */
      const settle = async (): Promise<void> => {
        for (let i = 0; i < 2; i += 1) await cache.get("none");
      };
      await cache.set("warm", 1);
      await settle();
      const at = which === "a new one" ? cache.namespace("new") : cache;
      const loading = gate<never>();
      let runs = 0;
      const load = () => ((runs += 1), loading.pass());
      const calls = Array.from({ length: 50 }, () => at.getOrSet("k", load).catch((error: Error) => error.message));
      await loading.arrived();
      // The version issued for this load arrives like a renewal; no caller joins before it was compared.
      if (which === "a new one") await settle();
      calls.push(...Array.from({ length: 50 }, () => at.getOrSet("k", load).catch((error: Error) => error.message)));
      loading.fail(new Error("db down"));
      expect(new Set(await Promise.all(calls))).toEqual(new Set(["db down"]));
      expect(runs).toBe(1);
    },
  );

  it("C78 clear of a cache without a name or prefix clears it, and no more (bentocache, async-cache-dedupe)", async () => {
    await using own = await startOwnRedis();
    const cache = over(patient(own.url).layout("full").keyPrefix("").coherence("none").build(), { stack, name: "" });
    await own.command("SET", "somebody else's", "value");
    await cache.set("k", 1);
    expect(await cache.clear()).toMatchObject({ status: "done" });
    expect([await cache.get("k"), await cache.getOrSet("k", () => 2)]).toEqual([undefined, 2]);
    expect(await own.command("GET", "somebody else's")).toBe("value");
  });

  it("C98 entries that cannot be read do not open the breaker (bentocache)", async () => {
    const cache = open({ stack });
    const other = elsewhere();
    const seen = watch(cache, "backend:state");
    for (let i = 0; i < 10; i += 1) {
      await other.set(`k${i}`, 1);
      await replaceData(server, `${prefix}:shop::k${i}`, "{");
      expect(await cache.get(`k${i}`)).toBe(undefined);
    }
    await other.set("good", 1);
    expect(await cache.get("good")).toBe(1);
    expect(seen.map(([, { state }]) => state)).toEqual(["up"]);
  });

  it("C109 a key of a namespace does not exist in the root (bentocache)", async () => {
    const cache = open({ stack });
    await cache.namespace("a").set("b", 1);
    expect([await cache.get("a:b"), await cache.namespace("a").get("b")]).toEqual([undefined, 1]);
  });

  it("a value found in Redis can be read many times (bentocache)", async () => {
    const value = { name: "Ada", ids: [1, 2] };
    await elsewhere().set("k", value);
    const cache = open({ stack });
    for (let i = 0; i < 3; i += 1)
      expect([await cache.getOrSet("k", never), await cache.get("k")]).toEqual([value, value]);
  });

  it("C9 a ttl of 0 stores nothing and leaves nothing (bentocache)", async () => {
    const cache = open({ stack });
    await cache.set("k", "old");
    expect(await cache.set("k", "new", { ttl: 0 })).toEqual({ status: "refused" });
    expect([await cache.get("k"), await server.command("EXISTS", `${prefix}:shop::k`)]).toEqual([undefined, 0]);
  });
});

describe("two processes", () => {
  it("C6 a copy promoted from Redis ends when its entry ends there (bentocache)", async () => {
    const cache = open({ stack: "memory over backend", ttl: "1h" });
    // A copy that was read before changes are received is not trusted.
    await cache.connect();
    await elsewhere().set("k", "value", { ttl: 6_000 });
    // It is answered after the message of that write.
    await cache.get("none");
    expect(await cache.get("k")).toBe("value");
    expect(cache.peek("k")).toBe("value");
    const info = await cache.inspect("k");
    expect(info).toMatchObject({ tier: "memory", state: "fresh" });
    expect(info!.freshForMs).toBeLessThanOrEqual(6_000);
    await expect.poll(() => cache.get("k")).toBe(undefined);
    expect(cache.peek("k")).toBe(undefined);
  });

  it.for<readonly [Stack]>([["backend"], ["memory over backend"]])(
    "C93 C94 a value that was deleted or replaced while Redis was unreachable does not come back with it, over %s (bentocache)",
    async ([stack]) => {
      const cache = open({ stack });
      for (const key of ["deleted", "set"]) expect(await cache.set(key, "old")).toMatchObject({ status: "stored" });
      await proxy.refuse();
      proxy.cut();
      expect([await cache.delete("deleted"), await cache.set("set", "new")]).toEqual([
        { status: "pending" },
        { status: "pending" },
      ]);
      await proxy.pass();
      const answers = new Set<unknown>();
      await expect
        .poll(
          async () => {
            for (const key of ["deleted", "set"]) answers.add(await cache.get(key));
            return cache.stats().pending;
          },
          { interval: 5 },
        )
        .toBe(0);
      for (const reader of [cache, elsewhere()])
        for (const key of ["deleted", "set"]) answers.add(await reader.get(key));
      expect(answers).not.toContain("old");
    },
  );

  it("C92 loaders answer while Redis refuses reads and deletes (cachified)", async () => {
    const cache = open();
    const source = counted("loaded");
    await cache.set("k", "old");
    proxy.cut();
    await proxy.refuse("reset");
    await cache.delete("k");
    expect([await cache.getOrSet("k", source.load), await cache.getOrSet("j", source.load)]).toEqual([
      "loaded",
      "loaded",
    ]);
    expect(source.runs).toBe(2);
  });

  it("C48 two caches of one name do not share flights: each has its own callers, while a lease lets one of them load (cacheable)", async () => {
    const [one, other] = [open(), open()];
    const coalesced = watch(other, "coalesced");
    const loading = gate<string>();
    const waiting = one.getOrSet("k", loading.pass);
    await loading.arrived();
    const second = other.getOrSet("k", never);
    const third = other.getOrSet("k", never);
    // It has asked for the lease, and waits for the store.
    await expect.poll(() => server.command("EXISTS", `${prefix}:shop::k`)).toBe(1);
    expect(await other.get("k")).toBeUndefined();
    loading.open("one's");
    expect(await Promise.all([waiting, second, third])).toEqual(["one's", "one's", "one's"]);
    expect(coalesced.map(([, { key }]) => key)).toEqual(["k"]);
    expect([one.stats().loads, other.stats().loads]).toEqual([1, 0]);
  });

  it("C48 equal keys of two namespaces, or of caches of two names, have a lease each: none waits for the other's (cacheable)", async () => {
    const [one, other] = [open(), open()];
    const named = open({ name: "another" });
    const loading = gate<string>();
    const waiting = one.namespace("a").getOrSet("k", loading.pass);
    await loading.arrived();
    expect(await other.namespace("b").getOrSet("k", () => "other's")).toBe("other's");
    expect(await named.namespace("a").getOrSet("k", () => "another's")).toBe("another's");
    loading.open("one's");
    expect(await waiting).toBe("one's");
  });
});

describe("processes whose clocks differ", () => {
  it.for([[-3_600_000], [-60_000], [60_000], [3_600_000]] as const)(
    "C71 a tag call, a write and a read by a process that is off by %i ms are the same for all processes (bentocache)",
    async ([offsetMs]) => {
      const settings: ClockServiceSettings = { url: server.url, keyPrefix: prefix, offsetMs };
      await using there = forkScript<ClockService>(new URL("../support/clock-service.ts", import.meta.url), {
        args: [JSON.stringify(settings)],
      });
      expect(Math.abs((await there.call("now")) - Date.now() - offsetMs)).toBeLessThan(10_000);
      const here = elsewhere();

      await here.set("k", "old", { tags: ["t"] });
      expect(await there.call("get", "k")).toBe("old");
      expect(await there.call("invalidateTags", "t")).toBe("done");
      expect([await here.get("k"), await there.call("get", "k")]).toEqual([undefined, undefined]);
      const source = counted("new");
      for (let i = 0; i < 3; i += 1) expect(await here.getOrSet("k", source.load, { tags: ["t"] })).toBe("new");
      expect([source.runs, await there.call("get", "k")]).toEqual([1, "new"]);

      await here.invalidateTags("t");
      expect([await there.call("get", "k"), await here.get("k")]).toEqual([undefined, undefined]);
      expect(await there.call("set", "k", "there", "t")).toBe("stored");
      expect(await here.get("k")).toBe("there");
      for (const freshForMs of [await there.call("freshForMs", "k"), (await here.inspect("k"))!.freshForMs]) {
        expect(freshForMs).toBeGreaterThan(590_000);
        expect(freshForMs).toBeLessThanOrEqual(600_000);
      }
    },
  );
});
