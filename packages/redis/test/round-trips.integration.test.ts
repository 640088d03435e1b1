import { json } from "@hotset/core";
import { redis, single, type Connection, type RedisBackend } from "@hotset/redis";
import { randomPrefix, startOwnRedis, startProxy, type FaultProxy } from "@hotset/test-servers";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { found } from "./found.ts";
import { RecordingListener } from "./recording-listener.ts";
import { stored } from "./stored.ts";

let proxy: FaultProxy;
let backend: RedisBackend;

const server = await startOwnRedis();
const hasIfeq = await server.command("SET", "ifeq", "", "IFEQ", "").then(
  () => true,
  () => false,
);
afterAll(() => server.stop());

/** With a deadline that no test here waits for. */
const patient = (connection: string | Connection = proxy.url) =>
  redis(connection).valueFormat(json()).responseTimeout("10s");

beforeEach(async () => {
  proxy = await startProxy(server.port);
  backend = patient().keyPrefix(randomPrefix()).build();
});
afterEach(async () => {
  await backend.close();
  await proxy.close();
});

/** The traffic through the proxy while `work` runs, on a connection that is open already. */
async function count(work: () => Promise<unknown>) {
  await backend.connect!();
  proxy.resetCounts();
  await work();
  return proxy.counts;
}

describe("round trips", () => {
  it("A43 R1-08: a read takes one", async () => {
    expect(await count(() => backend.read("shop::1"))).toMatchObject({
      roundTrips: 1,
      commandsByName: { PTTL: 1, HMGET: 1 },
    });
    await backend.write("shop::1", stored("x".repeat(1_000)));
    const { roundTrips, commands } = await count(async () =>
      expect((await backend.read("shop::1"))?.data).toHaveLength(1_000),
    );
    expect({ roundTrips, commands }).toEqual({ roundTrips: 1, commands: 2 });
  });

  it("A43 R1-09: a write takes one, with a script, and ends the lease before it", async () => {
    expect(await count(() => backend.write("shop::1", stored()))).toMatchObject({
      roundTrips: 1,
      commandsByName: { DEL: 1, EVALSHA: 1 },
      commands: 2,
    });
  });

  it("A43 R1-10: a removal takes one, and so does markStale", async () => {
    await backend.write("shop::1", stored());
    expect(await count(() => backend.markStale!("shop::1"))).toMatchObject({ roundTrips: 1, commands: 2 });
    for (const status of ["deleted", "missing"])
      expect(await count(async () => expect(await backend.remove("shop::1")).toBe(status))).toMatchObject({
        roundTrips: 1,
        commandsByName: { HSET: 1, DEL: 1 },
      });
  });

  it("C114 A19: a batch of a hundred reads takes one, and so do a hundred writes or removals of one tick", async () => {
    const keys = Array.from({ length: 100 }, (_, i) => `shop::${i}`);
    expect((await count(() => Promise.all(keys.map((key) => backend.write(key, stored(key)))))).roundTrips).toBe(1);
    const reads = await count(async () => {
      const entries = await backend.batch!.read(["shop::none", ...keys]);
      expect(entries.map((entry) => found(entry)?.data.toString())).toEqual([undefined, ...keys]);
    });
    expect(reads.roundTrips).toBe(1);
    const removals = await count(async () => {
      const removed = await Promise.all(keys.map((key) => backend.remove(key)));
      expect(removed).toEqual(keys.map(() => "deleted"));
    });
    expect(removals.roundTrips).toBe(1);
  });

  it("C114: an empty batch takes none, and one bad key refuses the batch", async () => {
    expect(await count(async () => expect(await backend.batch!.read([])).toEqual([]))).toMatchObject({ commands: 0 });
    await expect(backend.batch!.read(["shop::1", "shop::\ud800"])).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  it("C114: a batch reads a key of another type as a miss", async () => {
    const { keyPrefix } = server;
    const own = patient(server.url).keyPrefix(keyPrefix).build();
    await own.write("shop::1", stored());
    await server.command("SET", `${keyPrefix}:shop::2`, "text");
    expect((await own.batch!.read(["shop::2", "shop::1"])).map((entry) => found(entry)?.data.toString())).toEqual([
      undefined,
      "value",
    ]);
    await own.close();
  });

  it("A19: calls of one tick leave in one TCP packet", async () => {
    await backend.connect!();
    proxy.resetCounts();
    await Promise.all([
      backend.read("shop::1"),
      backend.write("shop::1", stored()),
      backend.remove("shop::1"),
      backend.read("shop::2"),
    ]);
    expect(proxy.counts).toMatchObject({ clientChunks: 1, roundTrips: 1, commands: 8 });
  });

  it("R1-08: a process that waits for the load of another, under a tag that has changed, runs no script", async () => {
    await backend.close();
    const [prefix, tags] = [randomPrefix(), ["{~shop}::t"]];
    backend = patient().keyPrefix(prefix).build();
    await using other = Object.assign(patient(server.url).keyPrefix(prefix).build(), {
      [Symbol.asyncDispose]: () => other.close(),
    });
    await other.write("shop::1", stored());
    const { version } = (await backend.read("shop::1"))!;
    await backend.tagVersions!.pin(tags);
    await other.tagVersions!.renew(tags, "hard");
    const seen = { granted: true, version };
    expect(await other.leases!.acquire({ key: "shop::1", token: "theirs", leaseMs: 10_000, seen: version! })).toEqual(
      seen,
    );
    const waits = await count(async () => {
      const asked = [
        backend.leases!.acquire({ key: "shop::1", token: "mine", leaseMs: 10_000, seen: version! }),
        backend.tagVersions!.pin(tags),
      ];
      const versions = await other.tagVersions!.read(tags);
      expect(await Promise.all(asked)).toMatchObject([{ granted: false, heldForMs: expect.any(Number) }, { versions }]);
    });
    expect(waits).toMatchObject({
      roundTrips: 1,
      commands: 5,
      commandsByName: { SET: 1, PTTL: 1, HGET: 1, HMGET: 1, MGET: 1 },
    });
  });

  it("C114: a batch above the limit of commands in flight takes several", async () => {
    await backend.close();
    backend = patient().keyPrefix(randomPrefix()).maxInFlight(10).build();
    const keys = Array.from({ length: 100 }, (_, i) => `shop::${i}`);
    await Promise.all(keys.map((key) => backend.write(key, stored(key))));
    expect((await backend.batch!.read(keys)).map((entry) => found(entry)?.data.toString())).toEqual(keys);
    expect(proxy.counts.roundTrips).toBeGreaterThan(10);
  });
});

describe("connections", () => {
  it("A7 C100: are not opened by building, and a hundred first calls open one", async () => {
    expect(proxy.counts.connections).toBe(0);
    await Promise.all(Array.from({ length: 100 }, (_, i) => backend.read(`shop::${i}`)));
    expect(proxy.counts.connections).toBe(1);
  });

  it("A7: are shared by backends over one connection object where their settings are equal", async () => {
    const connection = single(proxy.url);
    const build = () => patient(connection);
    const same = [build().build(), build().keyPrefix("other").label("other").build(), build().layout("plain").build()];
    await Promise.all(same.map((one) => one.read("shop::1")));
    expect(proxy.counts.connections).toBe(1);

    const other = [
      build().responseTimeout("12s").build(),
      build().protocol(2).coherence("pubsub").build(),
      patient(single(proxy.url)).build(),
    ];
    await Promise.all(other.map((one) => one.read("shop::1")));
    expect(proxy.counts.connections).toBe(4);

    await same[0]!.close();
    await same[0]!.close();
    await same[1]!.close();
    await expect(same[0]!.read("shop::1")).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE", retryable: false });
    expect(await same[2]!.read("shop::1")).toBe(undefined);
    expect(proxy.openConnections).toBe(4);
    await Promise.all([same[2]!, ...other].map((one) => one.close()));
    await expect.poll(() => proxy.openConnections).toBe(0);
  });

  it.each(["full", "string"] as const)(
    "keep all slots when a backend closes while its calls wait: %s",
    async (layout) => {
      const connection = single(proxy.url);
      const build = () => patient(connection).layout(layout).maxInFlight(2).responseTimeout("10m");
      const [one, other] = [build().build(), build().build()];
      await other.connect!();
      const calls = Array.from({ length: 10 }, (_, i) => one.read(`shop::${i}`));
      await one.close();
      expect(await Promise.all(calls)).toEqual(Array.from({ length: 10 }, () => undefined));
      expect(await Promise.all(Array.from({ length: 10 }, (_, i) => other.read(`shop::${i}`)))).toHaveLength(10);
      // For a slot that is lost it would wait as long as for an answer.
      await other.close();
    },
  );

  it("open again for a new backend after all former ones were closed", async () => {
    const connection = single(proxy.url);
    for (let round = 1; round <= 2; round++) {
      const one = patient(connection).build();
      expect(await one.read("shop::1")).toBe(undefined);
      await one.close();
      expect(proxy.counts.connections).toBe(round);
    }
  });

  it("R1-13: are shared by five hundred calls at once", async () => {
    await Promise.all(Array.from({ length: 500 }, (_, i) => backend.write(`shop::${i}`, stored(String(i)))));
    const entries = await Promise.all(Array.from({ length: 500 }, (_, i) => backend.read(`shop::${i}`)));
    expect(entries.map((entry) => entry?.data.toString())).toEqual(Array.from({ length: 500 }, (_, i) => String(i)));
    expect(proxy.counts.connections).toBe(1);
  });

  it("report the round-trip time by ping", async () => {
    await backend.connect!();
    proxy.delay(20);
    const startedAt = performance.now();
    const pingMs = await backend.ping();
    expect(pingMs).toBeGreaterThanOrEqual(39);
    expect(pingMs).toBeLessThanOrEqual(performance.now() - startedAt);
  });
});

describe("commands in flight", () => {
  it("A17 R1-04: never exceed the limit; further ones wait within their deadline", async () => {
    await backend.close();
    backend = patient().keyPrefix(randomPrefix()).maxInFlight(50).responseTimeout("1500ms").build();
    await backend.connect!();
    const hold = proxy.hold("EVALSHA", "request");
    proxy.resetCounts();
    const releases = Array.from({ length: 60 }, (_, i) => backend.leases!.release(`shop::${i}`, "token"));
    const settled = Promise.allSettled(releases);
    await hold.reached;
    const results = await settled;
    const executed = results.map((result) =>
      result.status === "rejected" ? (result.reason as { maybeExecuted: boolean }).maybeExecuted : undefined,
    );
    expect(executed.filter((maybe) => maybe === true)).toHaveLength(50);
    expect(executed.filter((maybe) => maybe === false)).toHaveLength(10);
    hold.release();
    await expect.poll(() => backend.ping().catch(() => undefined)).toBeDefined();
    expect(proxy.counts.commandsByName["EVALSHA"]).toBe(50);
  });
});

/** The calls of each command while `work` runs, of those in scripts as well. */
async function ran(work: () => Promise<unknown>): Promise<Readonly<Record<string, number>>> {
  await server.command("CONFIG", "RESETSTAT");
  await work();
  const lines = String(await server.command("INFO", "commandstats")).matchAll(/cmdstat_(\w+):calls=(\d+)/g);
  return Object.fromEntries(
    Array.from(lines, ([, name, calls]) => [name!, Number(calls)] as const).filter(([name]) => WORK.has(name)),
  );
}

/** Not the heartbeat, the set-up of a connection, or the question itself. */
const WORK: ReadonlySet<string> = new Set(
  "del evalsha exists get getdel getex getrange hdel hget hlen hmget hset persist pexpire pttl rename set setrange time unlink".split(
    " ",
  ),
);

describe("what Redis runs", () => {
  it.each([
    ["full", 11],
    ["string", 12],
  ] as const)(
    "the first connection of the layout %s loads its %i scripts, which are all that its calls run, and the next none",
    async (layout, n) => {
      await server.command("SCRIPT", "FLUSH");
      // One more stands for all: the next connection asks for it alone.
      for (const loads of [n + 1, 0]) {
        await backend.close();
        backend = patient().keyPrefix(randomPrefix()).coherence("none").layout(layout).build();
        proxy.resetCounts();
        await backend.connect!();
        expect(proxy.counts.commandsByName["SCRIPT"]).toBe(1 + loads);
      }
      expect(proxy.counts.clientBytes).toBeLessThanOrEqual(390);
      await server.command("CONFIG", "RESETSTAT");
      const { leases, tagVersions } = backend;
      for (const key of ["shop::1", "shop::2"]) {
        await backend.write(key, { ...stored(), meta: "2 - version;" });
        await leases!.touch(key, "version", stored());
        await backend.markStale!(key);
        await backend.remove(key);
        expect(await backend.remove(key)).toBe("missing");
        for (const end of [
          () => leases!.renew(key, "token", 60_000),
          () => leases!.release(key, "token"),
          () => leases!.store(key, "token", "", stored()),
        ]) {
          await leases!.acquire({ key, token: "token", leaseMs: 60_000, seen: "" });
          await end();
        }
        await backend.read(key);
        const { at } = await tagVersions!.pin(["tag"]);
        await tagVersions!.unchangedSince(at, ["tag"]);
        await tagVersions!.renew(["tag"], "hard");
      }
      expect(String(await server.command("INFO", "errorstats", "commandstats"))).not.toMatch(/NOSCRIPT|cmdstat_eval:/);
    },
  );

  it.each([
    ["ten commands, five of them in a script", true, 2],
    ["nine, where no cache keeps copies", false, 1],
  ])("a miss with its store is %s", async (_, keepsCopies, pttl) => {
    await backend.coherence!.attach(Object.assign(new RecordingListener(), { keepsCopies }));
    const miss = async (key: string): Promise<void> => {
      await backend.read(key);
      await backend.leases!.acquire({ key, token: "token", leaseMs: 60_000, seen: "" });
      expect(await backend.leases!.store(key, "token", "", stored())).toBe(true);
    };
    await miss("shop::first");
    expect(await ran(() => miss("shop::1"))).toEqual({
      ...{ pttl: 1, hmget: 1, set: 1, getex: 1, evalsha: 1 },
      ...{ get: 1, del: 1, hset: 1, pexpire: 1, pttl },
    });
  });

  it.each([
    ["seven, or six by IFEQ", true, { pttl: 1 }, { getrange: 2 }],
    ["six, or four by IFEQ, where no cache keeps copies", false, {}, {}],
  ])("over strings it is %s: the server is asked for its time", async (_, keepsCopies, watch, reads) => {
    const strings = redis(server.url)
      .keyPrefix(randomPrefix())
      .layout("string")
      .valueFormat(json())
      .responseTimeout("10s")
      .build();
    await strings.coherence!.attach(Object.assign(new RecordingListener(), { keepsCopies }));
    const miss = async (key: string): Promise<void> => {
      await strings.read(key);
      await strings.leases!.acquire({ key, token: "token", leaseMs: 60_000, seen: "" });
      expect(await strings.leases!.store(key, "token", "", stored())).toBe(true);
    };
    // The first read of an entry asks for the time of the server, and the first store whether it knows IFEQ.
    await miss("shop::first");
    await strings.read("shop::first");
    await miss("shop::second");
    expect(await ran(() => miss("shop::1"))).toEqual({
      ...{ get: 1, set: 2, getex: 1 },
      ...(hasIfeq ? reads : { evalsha: 1, getrange: 1, ...watch }),
    });
    await strings.close();
  });

  it("a removal is two commands, of an entry and of nothing", async () => {
    await backend.write("shop::1", stored());
    await backend.remove("shop::first");
    expect(await ran(() => backend.remove("shop::1"))).toEqual({ hset: 1, del: 1 });
    expect(await ran(() => backend.remove("shop::1"))).toEqual({ hset: 1, del: 1 });
  });
});
