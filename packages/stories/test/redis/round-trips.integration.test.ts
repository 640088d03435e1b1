/** The commands that a cache sends to Redis, counted at a proxy, and the label under which it reports them. */
import { readFileSync } from "node:fs";
import { json, type Cache } from "@hotset/core";
import { redis } from "@hotset/redis";
import { startOwnRedis, startProxy, type FaultProxy, type TrafficCounts } from "@hotset/test-servers";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { over, patient } from "../support/over-redis.ts";
import { never, type Stack } from "../support/stacks.ts";
import { plant } from "../support/stored-entries.ts";
import { watch } from "../support/watch.ts";

let proxy: FaultProxy;

const server = await startOwnRedis();
afterAll(() => server.stop());
beforeEach(async () => {
  proxy = await startProxy(server.port);
});
afterEach(async () => {
  await proxy.close();
  await server.command("FLUSHALL");
});

/** The tests count the commands of calls: with hashes, and without heartbeats and renewals of leases meanwhile. */
const open = (): Cache =>
  over(redis(proxy.url).valueFormat(json()).maxStaleness("1h").leaseTime("1m").responseTimeout("20s").build());

async function count(work: () => Promise<unknown>): Promise<TrafficCounts> {
  proxy.resetCounts();
  await work();
  return proxy.counts;
}

describe("C618 where the reads of a namespace mostly find nothing", () => {
  const miss = async (cache: Cache, count: number): Promise<void> => {
    for (let i = 0; i < count; i += 1) await cache.getOrSet(`missing ${(serial += 1)}`, () => 0);
  };
  const connected = async (cache = open()): Promise<Cache> => cache.connect().then(() => cache);
  let serial = 0;
  const reads = (counts: TrafficCounts): number => counts.commandsByName["PTTL"] ?? 0;

  it("a miss asks for the lease in place of a read: two trips, and counts as a read of its tier", async () => {
    const cache = await connected();
    await miss(cache, 11);
    expect((await count(() => miss(cache, 1))).roundTrips).toBe(3);
    const { roundTrips, commandsByName } = await count(() => miss(cache, 1));
    expect([roundTrips, commandsByName]).toEqual([2, { SET: 1, GETEX: 1, MGET: 1, EVALSHA: 1 }]);
    const { misses, mispredicted, tiers } = cache.stats();
    expect([misses, mispredicted, tiers[0]!.latency.read.count]).toEqual([13, 0, 13]);
  });

  it("hits at once after misses: one guess in flight is wrong, and all others are reads", async () => {
    const cache = await connected();
    const keys = Array.from({ length: 500 }, (_, i) => `there ${i}`);
    await cache.setMany(keys.map((key) => [key, key] as const));
    for (let round = 0; round < 3; round += 1) {
      await miss(cache, 16);
      const counts = await count(() => Promise.all(keys.map((key) => cache.getOrSet(key, never))));
      expect(counts.commands).toBeLessThanOrEqual(2.2 * keys.length);
      expect(reads(counts)).toBeGreaterThanOrEqual(keys.length - 2);
    }
    const { hits, mispredicted } = cache.stats();
    expect(hits).toBe(1_500);
    // Each of the three rounds begins with one or two wrong guesses.
    expect(mispredicted).toBeGreaterThanOrEqual(3);
    expect(mispredicted).toBeLessThanOrEqual(6);
  });

  it("a wrong guess ends guessing, until four more reads have found nothing", async () => {
    const cache = await connected();
    await cache.set("there", "value");
    await miss(cache, 14);
    expect(await count(() => cache.getOrSet("there", never))).toMatchObject({ roundTrips: 2 });
    for (const isRead of [1, 1, 1, 1, 0]) expect(reads(await count(() => miss(cache, 1)))).toBe(isRead);
  });

  it("many misses at once each ask for the lease alone, once guesses were right", async () => {
    const cache = await connected();
    for (let round = 0; round < 12; round += 1) await Promise.all(Array.from({ length: 64 }, () => miss(cache, 1)));
    expect(reads(await count(() => Promise.all(Array.from({ length: 64 }, () => miss(cache, 1)))))).toBe(0);
  });

  it("not in the plain layout, whose entries have no versions: its leases are granted over an entry too", async () => {
    const cache = over(patient(proxy.url).layout("plain").build());
    await cache.set("there", "value");
    await miss(cache, 16);
    expect(await cache.getOrSet("there", never)).toBe("value");
  });

  it("what was remembered, forced, or is current, and a batch, are as before", async () => {
    const cache = await connected();
    await cache.set("there", "value");
    await miss(cache, 16);
    const batch = (keys: readonly string[]) => keys.map((key) => [key, key] as const);
    expect(reads(await count(() => cache.getOrSetMany(["x", "y"], String, batch)))).toBe(2);
    expect(await cache.get("there")).toBe("value");
    expect(await cache.getOrSet("there", () => "newer", { forceRefresh: true })).toBe("newer");
    expect(await cache.getOrSet("there", never, { current: true })).toBe("newer");
  });
});

describe("A43 round trips, with hashes", () => {
  const KEYS = Array.from({ length: 100 }, (_, i) => `k${i}`);

  it("of a read: one for a hit or a miss, and one for a hundred keys as well", async () => {
    const cache = open();
    await cache.connect();
    await cache.setMany(KEYS.map((key) => [key, key] as const));
    // Versions are asked for once more where the message of their issue arrives during the read.
    await cache.get("k1");
    const reads: readonly (() => Promise<unknown>)[] = [
      () => cache.get("k1"),
      () => cache.get("none"),
      () => cache.has("k1"),
      () => cache.getOrSet("k1", never),
      () => cache.getMany([...KEYS, "none"]),
      () => Promise.all(KEYS.map((key) => cache.getOrSet(key, never))),
    ];
    for (const read of reads) expect((await count(read)).roundTrips).toBe(1);
    const { commandsByName, clientChunks } = await count(() => cache.get("k1"));
    expect([commandsByName, clientChunks]).toEqual([{ PTTL: 1, HMGET: 1 }, 1]);
    // Versions that are not known yet are read beside the entry, in the same TCP packet.
    const unknown = await count(() => cache.namespace("empty").get("k1"));
    expect([unknown.roundTrips, unknown.commandsByName, unknown.clientChunks]).toEqual([
      1,
      { PTTL: 1, HMGET: 1, MGET: 1 },
      1,
    ]);
  });

  it("of a write: one, once the versions of its namespace and tags are known; of a removal one", async () => {
    const cache = open();
    await cache.connect();
    const set = () => cache.set("k", "value", { tags: ["t"], staleWhileRevalidate: "1h" });
    expect(await count(set)).toMatchObject({ roundTrips: 2, commandsByName: { EVALSHA: 2 } });
    expect(await count(set)).toMatchObject({ roundTrips: 1, commandsByName: { EVALSHA: 1, MGET: 1 } });
    for (const [call, commands] of [
      [() => cache.markStale("k"), 2],
      [() => cache.delete("k"), 2],
      [() => cache.invalidateTags("t"), 1],
      [() => cache.clear(), 1],
    ] as const)
      expect(await count(call)).toMatchObject({ roundTrips: 1, commands });
    // The versions have changed now.
    expect((await count(set)).roundTrips).toBe(2);
    expect((await count(set)).roundTrips).toBe(1);
  });

  it("of a load: three, and none of them while the loader runs", async () => {
    const cache = open();
    await cache.connect();
    await cache.set("warm", 1);
    for (let i = 0; i < 2; i += 1) await cache.get("warm");
    let during: number | undefined;
    const { roundTrips, commandsByName } = await count(() =>
      cache.getOrSet("k", async () => {
        const before = proxy.counts.commands;
        await new Promise((resolve) => setTimeout(resolve, 20));
        during = proxy.counts.commands - before;
        return "loaded";
      }),
    );
    expect({ roundTrips, during, commandsByName }).toEqual({
      roundTrips: 3,
      during: 0,
      commandsByName: { PTTL: 1, HMGET: 2, SET: 1, GETEX: 1, MGET: 2, EVALSHA: 1 },
    });
  });

  it("of the first load of a namespace: the same three; and a fourth beside the loader, since the version issued for it arrives as a change", async () => {
    const cache = open();
    await cache.connect();
    const { roundTrips, commandsByName } = await count(() =>
      cache.getOrSet("k", async () => {
        // The version is compared for the lease, and read again for reads, by one command. Unanswered, that would be in
        // one burst with the store.
        await expect.poll(() => [proxy.counts.commandsByName["MGET"], proxy.counts.roundTrips]).toEqual([3, 3]);
        return "loaded";
      }),
    );
    expect({ roundTrips, commandsByName }).toEqual({
      roundTrips: 4,
      commandsByName: { PTTL: 1, HMGET: 1, MGET: 3, SET: 1, GETEX: 1, EVALSHA: 2 },
    });
  });
});

const TRACKING = "CLIENT DEL EVAL EVALSHA GETEX HELLO HGET HMGET HSET INFO MGET PTTL ROLE SCRIPT SET";

describe("A20 the shared connection", () => {
  it.for<readonly [Stack, mode: "tracking" | "pubsub", layout: "full" | "plain", used: string]>([
    ["backend", "tracking", "full", TRACKING],
    ["memory over backend", "tracking", "full", TRACKING],
    [
      "memory over backend",
      "pubsub",
      "full",
      "CLIENT EVAL EVALSHA GETEX HELLO HMGET INFO MGET PING PTTL ROLE SCRIPT SET SUBSCRIBE",
    ],
    ["memory over backend", "tracking", "plain", "CLIENT DEL EVAL EVALSHA HELLO HMGET HSET INFO PTTL ROLE SCRIPT"],
  ])(
    "carries no command that could block it, for any use of the cache, and none that the guide does not list: %s, %s, %s",
    async ([stack, mode, layout, used]) => {
      const cache = over(patient(proxy.url).coherence(mode).layout(layout).build(), { stack });
      const users = cache.namespace("users");
      const tags = layout === "full" ? { tags: ["t"] } : {};
      await cache.connect();
      await cache.set("k", 1, { ...tags, ...(layout === "full" && { etag: "e" }), staleWhileRevalidate: "1h" });
      await Promise.all([
        cache.get("k"),
        cache.has("k"),
        cache.inspect("k"),
        cache.getOrSet("k", never),
        cache.getMany(["k", "j"]),
      ]);
      await cache.getOrSet("loaded", ({ setOptions }) => (layout === "full" && setOptions({ tags: ["late"] }), 1), {
        ...tags,
        refreshAhead: 0.5,
      });
      await cache.getOrSetMany(
        ["a", "b"],
        (item) => item,
        (missing) => missing.map((item) => [item, 1]),
      );
      await cache.getOrSet("a", () => 2, { forceRefresh: true });
      // A key that was read: the change of an own set looks like one of another process, and is confirmed.
      await cache.set("a", 3);
      await expect(cache.getOrSet("failed", () => Promise.reject(new Error("db down")))).rejects.toThrow("db down");
      await cache.setMany([
        ["c", 1],
        ["d", 1],
      ]);
      await cache.markStale("k");
      if (layout === "full") {
        await cache.getOrSet("k", ({ stale }) => stale!.notModified());
        await cache.markTagsStale("t");
        await cache.invalidateTags("t", "late");
        await users.clear();
      }
      await users.set("k", 1, { ttl: 0 });
      await cache.deleteMany(["a", "b", "none"]);
      await cache.delete("k");
      await cache.drain();
      await server.command("SCRIPT", "FLUSH");
      await cache.set("k", "again");
      await cache.drain();

      const sent = [...new Set(proxy.commands().map(([name]) => name!))].toSorted();
      expect(sent.join(" ")).toBe(used);
      const guide = readFileSync(new URL("../../../../docs/reference/redis-on-the-wire.md", import.meta.url), "utf8");
      for (const name of sent) expect(guide).toMatch(new RegExp(`^\\| (?:\`[A-Z ]+\`, )*\`${name}\\b`, "m"));
      const blocking = await Promise.all(
        sent.map(
          async (name) => [name, flagsOf(await server.command("COMMAND", "INFO", name)).includes("blocking")] as const,
        ),
      );
      expect(blocking.filter(([, blocks]) => blocks)).toEqual([]);
      expect(flagsOf(await server.command("COMMAND", "INFO", "BLPOP"))).toContain("blocking");
    },
  );
});

/** `COMMAND INFO`: name, arity, flags, ... */
function flagsOf(reply: unknown): readonly string[] {
  const [[, , flags]] = reply as readonly [readonly [string, number, readonly string[]]];
  return flags;
}

describe("R1-11 A41 a backend under its label", () => {
  it("is shared by caches, and its label is in the events and numbers of each", async () => {
    const backend = patient(proxy.url).label("eu-1").responseTimeout("3s").maxStaleness("1h").build();
    const [users, orders] = [over(backend, { name: "users" }), over(backend, { name: "orders" })];
    expect(users.stats().tiers).toMatchObject([{ label: "eu-1", state: "idle", hits: 0, misses: 0 }]);
    const seen = watch(users, "hit", "store", "backend:state", "backend:error", "decode:error");
    const served: unknown[] = [];
    const ofOrders = watch(orders, "hit", "store", "backend:state");
    await Promise.all([users.connect(), orders.connect()]);
    await users.set("k", 1);
    await users.getOrSet("k", never, { onServed: ({ tier }) => served.push(tier) });
    await orders.set("k", 2);
    await plant(server, "hotset:users::broken", { data: "{", meta: '["json"]' });
    await users.get("broken");
    expect([await users.get("k"), await orders.get("k")]).toEqual([1, 2]);
    proxy.swallow();
    expect(await users.get("k")).toBe(undefined);

    const told = (events: readonly (readonly [string, { readonly tier: string }])[]) =>
      events.map(([name, { tier }]) => `${name} ${tier}`);
    expect(told(seen)).toEqual([
      "backend:state eu-1",
      "store eu-1",
      "hit eu-1",
      "decode:error eu-1",
      "hit eu-1",
      "backend:error eu-1",
    ]);
    expect(told(ofOrders)).toEqual(["backend:state eu-1", "store eu-1", "hit eu-1"]);
    expect(served).toEqual(["eu-1"]);
    expect(seen.at(-1)![1]).toMatchObject({
      error: { code: "BACKEND_UNAVAILABLE", tier: "eu-1", message: expect.stringMatching(/^eu-1: /) },
    });
    expect(users.stats().tiers).toMatchObject([
      {
        label: "eu-1",
        state: "up",
        hits: 2,
        misses: 2,
        errors: 2,
        latency: { read: { count: 3 }, write: { count: expect.any(Number) } },
      },
    ]);
    expect(orders.stats().tiers).toMatchObject([{ label: "eu-1", state: "up", hits: 1, misses: 0, errors: 0 }]);
  });

  it("closes its one connection when the last of them closes", async () => {
    const backend = patient(proxy.url).build();
    const [users, orders] = [over(backend, { name: "users" }), over(backend, { name: "orders" })];
    await Promise.all([users.set("k", 1), orders.set("k", 2)]);
    expect(proxy.counts.connections).toBe(1);
    await users.close();
    expect(await orders.get("k")).toBe(2);
    await orders.close();
    await expect.poll(() => proxy.openConnections).toBe(0);
  });
});

it("R1-10: a delete reports whether there was an entry to remove", async () => {
  const cache = open();
  await cache.set("k", 1);
  expect([await cache.delete("k"), await cache.delete("k")]).toMatchObject([
    { status: "deleted" },
    { status: "missing" },
  ]);
  await cache.set("k", 1);
  expect(await cache.deleteMany(["k", "none", "nothing"])).toEqual({ deleted: 1, missing: 2, pending: 0 });
});

describe.each(["full", "string"] as const)("callers of a load, in the layout %s", (layout) => {
  it("join it however long it takes, and ask Redis nothing", async () => {
    const leases = redis(proxy.url).layout(layout).valueFormat(json()).leaseTime("1s").responseTimeout("20s");
    const cache = over(leases.maxStaleness("1h").build(), { stack: "memory" });
    await cache.connect();
    await cache.getOrSet("first", () => 1);
    const loading = Promise.withResolvers<string>();
    proxy.resetCounts();
    const first = cache.getOrSet("k", () => loading.promise);
    const renewals = (): number => proxy.counts.commandsByName["EVALSHA"] ?? 0;
    await expect.poll(renewals).toBeGreaterThan(3);
    proxy.resetCounts();
    // Behind a renewal, and not on its way.
    await expect.poll(renewals, { interval: 1 }).toBe(1);
    await cache.get("none");
    const joining = Array.from({ length: 10 }, () => cache.getOrSet("k", never));
    loading.resolve("loaded");
    expect(new Set(await Promise.all([first, ...joining]))).toEqual(new Set(["loaded"]));
    const { HMGET = 0, GET = 0 } = proxy.counts.commandsByName;
    // That of `get`.
    expect(layout === "full" ? HMGET : GET).toBe(1);
  });
});
