import { readFileSync } from "node:fs";
import { createCache, json, type Cache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { cluster, redis, type RedisBackend } from "@hotset/redis";
import { randomPrefix, startCluster, untilReplicated, type ClusterNode } from "@hotset/test-servers";
import { describeBackend } from "@hotset/testing/contract-suites";
import { afterAll, afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { slotOf } from "../src/primitives/hash-slots.ts";
import { found } from "./found.ts";
import { RecordingListener } from "./recording-listener.ts";
import { stored } from "./stored.ts";

/** A busy node that says nothing for a while has not failed: its replica does not take its place. */
const NODE_TIMEOUT_MS = 15_000;
let prefix: string;
let backend: RedisBackend;

const open = ({ readFromReplicas = false, urls = servers.urls, responseTimeoutMs = 5_000 } = {}): RedisBackend =>
  redis(cluster(urls, { readFromReplicas }))
    .valueFormat(json())
    .coherence(readFromReplicas ? "none" : "tracking")
    .keyPrefix(prefix)
    .responseTimeout(responseTimeoutMs)
    .backoff({ base: 10, max: 100 })
    .build();

/** As in two processes, until the test is over. */
function twoCaches(name: string, urls = servers.urls): readonly [Cache, Cache] {
  const cacheOf = (): Cache =>
    createCache({ name })
      .tier(memory({ maxBytes: "1mb" }))
      .tier(open({ urls }))
      .build();
  const both = [cacheOf(), cacheOf()] as const;
  onTestFinished(async () => void (await Promise.all(both.map((cache) => cache.close()))));
  return both;
}

const servers = await startCluster({ proxied: true, nodeTimeoutMs: NODE_TIMEOUT_MS });
afterAll(() => servers.stop());

beforeEach(() => {
  prefix = randomPrefix();
  backend = open();
});
afterEach(() => backend.close());

describeBackend("redis, a cluster", {
  open: () => redis(cluster(servers.urls)).valueFormat(json()).keyPrefix(randomPrefix()).responseTimeout("10s").build(),
  expiry: "server",
});

const KEYS = Array.from({ length: 100 }, (_, i) => `shop::${i}`);
const resetCounts = () => servers.nodes.forEach((node) => node.proxy!.resetCounts());
const counts = () => servers.nodes.map((node) => node.proxy!.counts);

describe("a cluster", () => {
  it("R1-02: is discovered through any of its nodes, also when the first is silent", async () => {
    const silent = servers.nodes[0]!;
    await silent.proxy!.refuse();
    const other = open({ urls: [silent.url, servers.urls[4]!] });
    const key = await servers.keyOn(
      (await servers.masters()).find((node) => node !== silent)!,
      `${prefix}:shop::`,
    );
    await other.write(key.slice(prefix.length + 1), stored());
    expect((await other.read(key.slice(prefix.length + 1)))?.data).toEqual(Buffer.from("value"));
    await other.close();
    await silent.proxy!.pass();
  });

  it("is walked, one primary after another", async () => {
    await Promise.all(KEYS.map((key) => backend.write(key, stored())));
    const walked: string[] = [];
    for await (const { keys } of backend.walk!({ prefix: "shop:" })) {
      expect(keys.every(({ bytes, expiresInMs }) => bytes! > 0 && expiresInMs! > 300_000)).toBe(true);
      walked.push(...keys.map(({ key }) => key));
    }
    expect(walked.toSorted()).toEqual(KEYS.toSorted());
  });

  it("R1-02 C148: has one user and password for all nodes", async () => {
    await using secured = await startCluster({ replicas: 0, password: "p/w" });
    const urls = secured.nodes.map(({ port }) => `redis://127.0.0.1:${port}`);
    const builder = (nodes: readonly string[]) =>
      redis(cluster(nodes)).valueFormat(json()).keyPrefix(prefix).responseTimeout("10s");
    for (const other of [
      builder([urls[2]!]).password("p/w").build(),
      builder([`redis://:p%2Fw@127.0.0.1:${secured.nodes[0]!.port}`, urls[1]!]).build(),
      builder([urls[1]!, `redis://:p%2Fw@127.0.0.1:${secured.nodes[0]!.port}`]).build(),
    ]) {
      await Promise.all(KEYS.map((key) => other.write(key, stored(key))));
      expect((await other.batch!.read(KEYS)).map((entry) => found(entry)?.data.toString())).toEqual(KEYS);
      await other.close();
    }
    const refused = builder(urls).password("hunter2").build();
    await expect(refused.connect!()).rejects.toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      retryable: false,
      message: expect.stringContaining("check username and password"),
    });
    await refused.close();
  });

  it("A18: has no connection left once it is closed, although a node does not answer", async () => {
    const [frozen] = await servers.masters();
    const sockets = (): number => process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;
    const before = sockets();
    const other = open({ responseTimeoutMs: 1_000 });
    const signs = new RecordingListener();
    await other.coherence!.attach(signs);
    frozen!.pause();
    try {
      // Heartbeats are on their way, to the frozen node too.
      const { length } = signs.signs;
      await expect.poll(() => signs.signs.length).toBeGreaterThan(length + 2);
      await other.close();
      // Sockets that were destroyed go with the next turns.
      for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      expect(sockets()).toBe(before);
    } finally {
      frozen!.resume();
    }
  });

  it("computes the same slots as the servers", async () => {
    for (const key of ["a", "{a}b", "hotset:shop::é", "x{}y", "{", "}{", "a{b}c{d}"])
      expect(slotOf(key)).toBe(await servers.slotOf(key));
  });

  it.each(["full", "string"] as const)(
    "each command of layout(%o) goes to the node of its key, and a large value does not pass through Lua there",
    async (layout) => {
      await backend.close();
      backend = redis(cluster(servers.urls))
        .valueFormat(json())
        .layout(layout)
        .keyPrefix(prefix)
        .responseTimeout("10s")
        .build();
      await backend.connect!();
      const masters = await servers.masters();
      for (const node of masters) await node.command("CONFIG", "RESETSTAT");
      const leases = backend.leases!;
      const versions = backend.tagVersions!;
      for (const key of KEYS.slice(0, 30)) {
        for (const entry of [stored("small"), stored("x".repeat(100_000))]) {
          await backend.write(key, entry);
          expect((await backend.read(key))!.data).toEqual(entry.data);
          await backend.markStale!(key);
          await backend.remove(key);
          const { version } = (await leases.acquire({ key, token: "token", leaseMs: 10_000, seen: "" })) as {
            readonly version: string;
          };
          await leases.renew(key, "token", 10_000);
          expect(await leases.store(key, "token", version, { ...entry, version: "token" })).toBe(true);
          await leases.acquire({ key, token: "next", leaseMs: 10_000, seen: await leases.confirm(key) });
          await leases.release(key, "next");
          await backend.peek(key);
        }
        const tags = ["a", "b"].map((tag) => `{~${key.replace("::", "")}}::${tag}`);
        const { at } = await versions.pin(tags);
        await versions.unchangedSince(at, tags);
        await versions.renew(tags, "soft");
        await versions.read(tags);
      }
      await backend.ping();
      for (const node of masters) expect((await node.info("errorstats"))["errorstat_MOVED"]).toBe(undefined);
      const renames = await Promise.all(
        masters.map(async (node) => /calls=(\d+)/.exec((await node.info("commandstats"))["cmdstat_rename"] ?? "")?.[1]),
      );
      // Servers with IFEQ store strings without a script.
      const stagedWrites = renames.reduce((sum, calls) => sum + Number(calls), 0);
      expect(layout === "full" ? stagedWrites === 60 : stagedWrites >= 30, `${stagedWrites}`).toBe(true);
      for (const node of masters) expect(await node.command("KEYS", `${prefix}~staged*`)).toEqual([]);
    },
  );

  it("C114: reads a batch of strings, in the order of its keys", async () => {
    const strings = redis(cluster(servers.urls))
      .valueFormat(json())
      .layout("string")
      .keyPrefix(prefix)
      .responseTimeout("10s")
      .build();
    onTestFinished(() => strings.close());
    await Promise.all(KEYS.map((key) => strings.write(key, stored(key))));
    expect((await strings.batch!.read([...KEYS, "shop::none"])).map((entry) => found(entry)?.data.toString())).toEqual([
      ...KEYS,
      undefined,
    ]);
  });

  it("C114: takes one round trip to each node for a batch", async () => {
    await Promise.all(KEYS.map((key) => backend.write(key, stored(key))));
    resetCounts();
    expect((await backend.batch!.read(KEYS)).map((entry) => found(entry)?.data.toString())).toEqual(KEYS);
    expect(counts().map(({ roundTrips }) => roundTrips)).toEqual([1, 1, 1, 0, 0, 0]);
    expect(
      counts()
        .map(({ commands }) => commands)
        .reduce((sum, n) => sum + n),
    ).toBe(200);
    resetCounts();
    expect(await Promise.all(KEYS.map((key) => backend.remove(key)))).toEqual(KEYS.map(() => "deleted"));
    expect(counts().map(({ roundTrips }) => roundTrips)).toEqual([1, 1, 1, 0, 0, 0]);
  });

  it("C114: with one node unreachable still reads the keys of the others; writes fail", async () => {
    await Promise.all(KEYS.map((key) => backend.write(key, stored(key))));
    const [away] = await servers.masters();
    await away!.proxy!.refuse("reset");
    away!.proxy!.cut();
    const entries = await backend.batch!.read(KEYS);
    const unread = entries.filter((entry) => entry instanceof Error).length;
    expect(unread).toBeGreaterThan(10);
    expect(unread).toBeLessThan(70);
    expect(entries.filter((entry) => entry === undefined)).toEqual([]);
    await expect(Promise.all(KEYS.map((key) => backend.write(key, stored(key))))).rejects.toMatchObject({
      code: "BACKEND_UNAVAILABLE",
    });
    await away!.proxy!.pass();
    await expect
      .poll(() => backend.batch!.read(KEYS).then((all) => all.filter((entry) => entry instanceof Error).length))
      .toBe(0);
  });

  it("C52: keeps each lease on the node of its entry", async () => {
    const each = <T>(call: (key: string) => Promise<T>): Promise<T[]> => Promise.all(KEYS.map(call));
    const leases = backend.leases!;
    expect(new Set(await each((key) => leases.confirm(key)))).toEqual(new Set([""]));
    expect(
      new Set(
        (await each((key) => leases.acquire({ key, token: "mine", leaseMs: 10_000, seen: "" }))).map(
          ({ granted }) => granted,
        ),
      ),
    ).toEqual(new Set([true]));
    expect(
      new Set(
        (await each((key) => leases.acquire({ key, token: "theirs", leaseMs: 10_000, seen: "" }))).map(
          ({ granted }) => granted,
        ),
      ),
    ).toEqual(new Set([false]));
    expect(new Set(await each((key) => leases.renew(key, "mine", 10_000)))).toEqual(new Set([true]));
    expect(new Set(await each((key) => leases.store(key, "mine", "", { ...stored(key), version: "mine" })))).toEqual(
      new Set([true]),
    );
    expect(new Set(await each((key) => leases.confirm(key)))).toEqual(new Set(["mine"]));
    expect((await backend.batch!.read(KEYS)).map((entry) => found(entry)?.data.toString())).toEqual(KEYS);
    await each((key) => leases.acquire({ key, token: "next", leaseMs: 10_000, seen: "mine" }));
    await each((key) => leases.release(key, "next"));
    for (const node of await servers.masters()) expect(await node.command("KEYS", `${prefix}~lease:*`)).toEqual([]);
  });

  it("opens one connection to each primary, and none to replicas", async () => {
    // Connections of the replicas, which come back after a cut.
    await expect.poll(() => servers.nodes.map((node) => node.proxy!.openConnections)).toEqual([1, 1, 1, 0, 0, 0]);
    resetCounts();
    // A second address is asked too if the first one is slow.
    const other = open({ urls: [servers.urls[0]!] });
    await other.batch!.read(KEYS);
    // One more connection asked for the topology.
    expect(counts().map(({ connections }) => connections)).toEqual([2, 1, 1, 0, 0, 0]);
    for (const replica of await servers.replicas())
      expect(replica.proxy!.counts.commandsByName["HMGET"]).toBe(undefined);
    await other.close();
  });

  /** A hash tag whose slot is on `node`, so that several keys share a slot. */
  const tagOn = async (node: ClusterNode): Promise<string> => `{${await servers.keyOn(node, prefix)}}`;

  it("follows ASK while a slot is half migrated, and MOVED once it has moved", async () => {
    const [from, to] = await servers.masters();
    const tag = await tagOn(from!);
    const [moved, stays, absent] = [`shop::${tag}moved`, `shop::${tag}stays`, `shop::${tag}absent`];
    await backend.write(moved, stored("moved"));
    await backend.write(stays, stored("stays"));
    const migration = await servers.migrateHalfway(await servers.slotOf(tag), to!);
    await migration.move(`${prefix}:${moved}`);
    const texts = async () =>
      (await backend.batch!.read([moved, stays, absent])).map((entry) => found(entry)?.data.toString());
    expect(await texts()).toEqual(["moved", "stays", undefined]);
    await migration.finish();
    expect(await texts()).toEqual(["moved", "stays", undefined]);
    await backend.write(absent, stored("here"));
    expect(await texts()).toEqual(["moved", "stays", "here"]);
    expect(await backend.remove(moved)).toBe("deleted");
  });

  it("A96: a slot that moves costs the copies of its own keys, and no other copy a command", async () => {
    const [from, to] = await servers.masters();
    const cache = createCache({ name: "shop" })
      .tier(memory({ maxBytes: "1mb" }))
      .tier(backend)
      .build();
    onTestFinished(() => cache.close());
    const [tag, other] = [await tagOn(from!), `{${await servers.keyOn(from!, `${prefix} stays`)}}`];
    const staying = Array.from({ length: 50 }, (_, i) => `${other}${i}`);
    const values = (): Promise<unknown[]> => Promise.all(staying.map((key) => cache.get(key)));
    for (const [i, key] of staying.entries()) await cache.set(key, i, { tags: ["t"] });
    await Promise.all([`${tag}a`, `${tag}b`].map((key) => cache.set(key, "before", { tags: ["t"] })));
    await values();
    const migration = await servers.migrateHalfway(await servers.slotOf(tag), to!);
    for (const key of ["a", "b"]) await migration.move(`${prefix}:shop::${tag}${key}`);
    await migration.finish();
    // MOVED: from now on this process knows.
    expect(await cache.get(`${tag}a`)).toBe("before");
    resetCounts();
    expect(await values()).toEqual([...staying.keys()]);
    const reads = counts().map(({ commandsByName }) => (commandsByName["HMGET"] ?? 0) + (commandsByName["MGET"] ?? 0));
    expect(reads).toEqual([0, 0, 0, 0, 0, 0]);
    // A change by others reaches the copy of a moved key, and one that stayed.
    const far = createCache({ name: "shop" }).tier(open()).build();
    onTestFinished(() => far.close());
    await far.set(`${tag}a`, "after");
    await far.set(staying[0]!, "after");
    await expect.poll(() => Promise.all([cache.get(`${tag}a`), cache.get(staying[0]!)])).toEqual(["after", "after"]);
  });

  it("an idle process asks one node for the slots, with every second heartbeat at most", async () => {
    const [cache] = twoCaches("shop");
    await cache.connect();
    resetCounts();
    const sent = (name: string): readonly number[] => counts().map(({ commandsByName }) => commandsByName[name] ?? 0);
    await expect.poll(() => Math.max(...sent("PTTL"))).toBeGreaterThanOrEqual(6);
    const asked = sent("CLUSTER").filter((count) => count !== 0);
    expect([asked.length, asked[0]! <= Math.max(...sent("PTTL")) / 2]).toEqual([1, true]);
  });

  it("A96 C86: heartbeats find a slot that has left, without a push of its keys or a read", async () => {
    // Redis pushes nothing for keys that it drops because others say that it has lost their slots.
    await using pair = await startCluster({ masters: 2, replicas: 0 });
    const [from, to] = pair.nodes as [ClusterNode, ClusterNode];
    const [here, there] = twoCaches("shop", pair.urls);
    const hit = `{${await pair.keyOn(from)}}`;
    const slot = await pair.slotOf(hit);
    await here.connect();
    await here.set(hit, "before", { ttl: "1d" });
    expect(await here.get(hit)).toBe("before");
    await to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", from.id);
    await to.command("CLUSTER", "SETSLOT", slot, "NODE", to.id);
    await expect.poll(() => from.command("CLUSTER", "COUNTKEYSINSLOT", slot)).toBe(0);
    await there.set(hit, "after");
    await expect.poll(() => here.get(hit)).toBe("after");
  });

  it("C86: a tag call is seen where the node of the versions has given all its slots away", async () => {
    await using pair = await startCluster({ masters: 2, replicas: 0, config: ["cluster-allow-replica-migration no"] });
    const [from, to] = pair.nodes as [ClusterNode, ClusterNode];
    const name = (await pair.keyOn(from, "~shop")).slice(1);
    const [here, there] = twoCaches(name, pair.urls);
    const hit = `{${await pair.keyOn(to)}}`;
    await here.connect();
    await here.set(hit, "before", { ttl: "1d", tags: ["t"] });
    expect(await here.get(hit)).toBe("before");
    const slots = ["0", "8191"] as const;
    for (const node of [from, to]) await node.command("CLUSTER", "DELSLOTSRANGE", ...slots);
    await to.command("CLUSTER", "ADDSLOTSRANGE", ...slots);
    await to.command("CLUSTER", "BUMPEPOCH");
    await expect.poll(() => from.command("CLUSTER", "SLOTS")).toHaveLength(1);
    await expect.poll(() => there.invalidateTags(["t"])).toMatchObject({ status: "done" });
    await expect.poll(() => here.get(hit)).toBe(undefined);
  });

  it("A14: follows no more than 8 redirections: nodes that name each other are not asked for ever", async () => {
    // Of its own: a node that was once said not to own its slot can lose it at a later failover (Redis 7.0).
    await using pair = await startCluster({ masters: 2, replicas: 0, proxied: true });
    const [one, other] = pair.nodes as [ClusterNode, ClusterNode];
    const key = `shop::{${await pair.keyOn(one)}}`;
    const lost = open({ urls: pair.urls });
    onTestFinished(() => lost.close());
    expect(await lost.read(key)).toBeUndefined();
    // Each hands the slot to the other. Only a node that believes to own it would correct the others.
    await one.command("CLUSTER", "SETSLOT", await pair.slotOf(key), "NODE", other.id);
    for (const { proxy } of pair.nodes) proxy!.resetCounts();
    await expect(lost.read(key)).rejects.toThrow(/its key lies on another node of a cluster \(MOVED /);
    const sent = pair.nodes.map(({ proxy }) => proxy!.counts.commandsByName["HMGET"] ?? 0);
    expect(sent[0]! + sent[1]!).toBe(9);
  });

  it("A93: reports TRYAGAIN, for a script over an entry and its lease, as retryable and not executed", async () => {
    const [from, to] = await servers.masters();
    const key = `shop::${await tagOn(from!)}`;
    await backend.write(key, stored());
    const migration = await servers.migrateHalfway(await servers.slotOf(`${prefix}:${key}`), to!);
    await expect(backend.leases!.release(key, "token")).rejects.toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      retryable: true,
      maybeExecuted: false,
      cause: { message: expect.stringMatching(/^TRYAGAIN /) },
    });
    expect((await backend.read(key))?.data).toEqual(Buffer.from("value"));
    // A write is over the entry alone.
    await backend.write(key, stored("meanwhile"));
    expect((await backend.read(key))?.data).toEqual(Buffer.from("meanwhile"));
    // The second command of a removal is over both; the first has removed the value.
    await expect(backend.remove(key)).rejects.toMatchObject({ retryable: true });
    expect(await backend.read(key)).toBe(undefined);
    await migration.abort();
    await backend.write(key, stored("again"));
    expect((await backend.read(key))?.data).toEqual(Buffer.from("again"));
  });
});

/** Until its replica acknowledges what it has read. One whose PSYNC was refused may come in by SYNC, and never does. */
const untilFollowed = (primary: ClusterNode): Promise<void> =>
  expect
    .poll(async () => {
      const replica = (await primary.info("replication"))["slave0"] ?? "";
      // It came in by SYNC: it connects again.
      if (replica.includes(",port=0,")) await primary.command("CLIENT", "KILL", "TYPE", "replica");
      return replica;
    })
    .toMatch(/,port=[1-9]\d*,state=online,/);

describe("replicas", () => {
  it("A44 R1-02: answer reads where the user asked for it, and no other commands", async () => {
    const other = open({ readFromReplicas: true });
    await Promise.all(KEYS.map((key) => other.write(key, stored(key))));
    // Replicas are connected in the background.
    await expect
      .poll(async () => {
        resetCounts();
        await other.batch!.read(KEYS);
        return counts()
          .slice(3)
          .map(({ commandsByName }) => (commandsByName["HMGET"] ?? 0) > 0);
      })
      .toEqual([true, true, true]);
    await expect
      .poll(async () => (await other.batch!.read(KEYS)).map((entry) => found(entry)?.data.toString()))
      .toEqual(KEYS);

    resetCounts();
    await Promise.all(KEYS.map((key) => other.remove(key)));
    await other.markStale!("shop::1");
    await other.write("shop::1", stored());
    await other.leases!.acquire({ key: "shop::2", token: "mine", leaseMs: 10_000, seen: "" });
    await other.leases!.store("shop::2", "mine", "", stored());
    await other.leases!.confirm("shop::2");
    const tags = other.tagVersions!;
    const { at } = await tags.pin(["{~shop}::a"]);
    await tags.renew(["{~shop}::a"], "hard");
    await tags.unchangedSince(at, ["{~shop}::a"]);
    await tags.read(["{~shop}::a"]);
    for (const replica of await servers.replicas()) expect(replica.proxy!.counts.commands).toBe(0);
    await other.close();
  });

  it("are passed over while they cannot answer: the primary does", async () => {
    const other = open({ readFromReplicas: true });
    await Promise.all(KEYS.map((key) => other.write(key, stored(key))));
    const replicas = await servers.replicas();
    const found = async (): Promise<number> =>
      (await Promise.all(KEYS.map((key) => other.read(key).catch(() => undefined)))).filter(Boolean).length;
    await expect
      .poll(async () => {
        resetCounts();
        await found();
        return counts()
          .slice(3)
          .map(({ commandsByName }) => (commandsByName["HMGET"] ?? 0) > 0);
      })
      .toEqual([true, true, true]);
    for (const replica of replicas) await replica.command("CONFIG", "SET", "replica-serve-stale-data", "no");
    // A replica that does not reach its primary answers MASTERDOWN.
    const primaries = await servers.masters();
    for (const primary of primaries) {
      await primary.command("CONFIG", "SET", "masterauth", "unused");
      await primary.command("CONFIG", "SET", "requirepass", "changed");
    }
    try {
      for (const primary of primaries)
        await primary.command("CLIENT", "KILL", "TYPE", "replica").catch(() => undefined);
      await expect
        .poll(async () =>
          (await Promise.all(replicas.map((each) => each.info("replication")))).map(
            (info) => info["master_link_status"],
          ),
        )
        .toEqual(["down", "down", "down"]);
      expect(await found()).toBe(KEYS.length);
    } finally {
      for (const primary of primaries) {
        await primary.command("CONFIG", "SET", "requirepass", "").catch(() => undefined);
        await primary.command("CONFIG", "SET", "masterauth", "").catch(() => undefined);
      }
      for (const replica of replicas) await replica.command("CONFIG", "SET", "replica-serve-stale-data", "yes");
      await servers.waitUntilOk();
      await Promise.all(primaries.map(untilFollowed));
      await other.close();
    }
  });
});

it("replicas answer for the versions of tags once the connection to their primary is lost, and not while it is slow", async () => {
  const other = redis(cluster(servers.urls))
    .valueFormat(json())
    .keyPrefix(prefix)
    .responseTimeout("1500ms")
    .backoff({ base: 10, max: 100 })
    .build();
  const tags = ["{~shop}::a"];
  // Opens the connections.
  await expect.poll(() => other.tagVersions!.read(tags).catch(() => undefined)).toBeDefined();
  const { versions } = await other.tagVersions!.pin(tags);
  const primary = await servers.ownerOf("{~shop}");
  const [replica] = await servers.replicas(primary);
  await untilReplicated(primary);
  const asked = (): readonly (number | undefined)[] =>
    [primary, replica!].map(({ proxy }) => proxy!.counts.commandsByName["MGET"]);
  try {
    // The pause must not count as a failure of the node.
    await servers.nodeTimeout(60_000);
    resetCounts();
    primary.pause();
    await expect(other.tagVersions!.read(tags)).rejects.toThrow("was not answered within 1500 ms");
    primary.resume();
    expect(asked()).toEqual([1, undefined]);
    await expect(other.tagVersions!.read(tags)).resolves.toEqual(versions);
    expect(asked()).toEqual([2, undefined]);

    resetCounts();
    await primary.proxy!.refuse("reset");
    primary.proxy!.cut();
    await expect.poll(() => other.tagVersions!.read(tags).catch(() => undefined)).toEqual(versions);
    expect(asked()[1]).toBeGreaterThan(0);

    await primary.proxy!.pass();
    await expect
      .poll(async () => {
        resetCounts();
        await other.tagVersions!.read(tags);
        return asked();
      })
      .toEqual([1, undefined]);
  } finally {
    primary.resume();
    await servers.nodeTimeout(NODE_TIMEOUT_MS);
    await primary.proxy!.pass();
    await other.close();
  }
});

it("a frozen node takes no room for calls from the others", async () => {
  const narrow = redis(cluster(servers.urls))
    .valueFormat(json())
    .keyPrefix(prefix)
    .responseTimeout("10s")
    .maxInFlight(20)
    .build();
  await servers.nodeTimeout(60_000);
  await Promise.all(KEYS.map((key) => narrow.write(key, stored(key))));
  const [frozen] = await servers.masters();
  const owners = await Promise.all(KEYS.map((key) => servers.ownerOf(`${prefix}:${key}`)));
  const [dead, living] = [true, false].map((isThere) => KEYS.filter((_, i) => (owners[i] === frozen) === isThere));
  frozen!.pause();
  try {
    const filling = Array.from({ length: 10 }, () =>
      dead!.map((key) => narrow.read(key).catch(() => undefined)),
    ).flat();
    let isOver = false;
    void filling[0]!.then(() => (isOver = true));
    const found = await Promise.all(living!.map((key) => narrow.read(key)));
    expect(found.map((entry) => entry?.data.toString())).toEqual(living);
    expect(isOver).toBe(false);
    frozen!.resume();
    await Promise.all(filling);
  } finally {
    frozen!.resume();
    await servers.nodeTimeout(NODE_TIMEOUT_MS);
    await servers.waitUntilOk();
    await narrow.close();
  }
});

describe("commands sent to the nodes", () => {
  it("are the commands that the guide lists", async () => {
    const guide = readFileSync(new URL("../../../docs/reference/redis-on-the-wire.md", import.meta.url), "utf8");
    resetCounts();
    const other = open({ readFromReplicas: true });
    const tag = `{${await servers.keyOn((await servers.masters())[0]!, prefix)}}`;
    await Promise.all(KEYS.map((key) => other.write(tag + key, stored(key))));
    const migration = await servers.migrateHalfway(await servers.slotOf(tag), (await servers.masters())[1]!);
    await migration.move(`${prefix}:${tag}${KEYS[0]}`);
    await Promise.all([other, backend].map((reader) => reader.batch!.read(KEYS.map((key) => tag + key))));
    await migration.finish();
    await other.remove(tag + KEYS[0]);
    await other.leases!.confirm(tag + KEYS[0]);
    await other.tagVersions!.pin(["{~shop}::a"]);
    await other.tagVersions!.read(["{~shop}::a"]);
    await other.ping();
    await other.close();
    const sent = new Set(servers.nodes.flatMap((node) => node.proxy!.commands().map(([name]) => name!)));
    expect([...sent].toSorted()).toEqual([
      "ASKING",
      "CLIENT",
      "CLUSTER",
      "DEL",
      "EVALSHA",
      "HELLO",
      "HGET",
      "HLEN",
      "HMGET",
      "HSET",
      "INFO",
      "MGET",
      "PING",
      "PTTL",
      "READONLY",
      "SCRIPT",
    ]);
    for (const name of sent) expect(guide).toMatch(new RegExp(`^\\| (?:\`[A-Z ]+\`, )*\`${name}\\b`, "m"));
  });
});

describe("failover", () => {
  it("replaces a primary that dies; its keys are unreadable meanwhile, never wrong", async () => {
    await Promise.all(KEYS.map((key) => backend.write(key, stored(key))));
    const [victim] = await servers.masters();
    for (const node of await servers.masters()) await untilReplicated(node);
    await servers.nodeTimeout(2_000);
    await victim!.kill();
    await victim!.proxy!.refuse("reset");
    const until = performance.now() + 40_000;
    let missing = KEYS.length;
    while (missing > 0 && performance.now() < until) {
      const entries = await backend.batch!.read(KEYS).catch(() => KEYS.map(() => undefined));
      const here = entries.map((entry) => (entry instanceof Error ? undefined : entry));
      for (const [i, entry] of here.entries()) if (entry !== undefined) expect(entry.data.toString()).toBe(KEYS[i]);
      missing = here.filter((entry) => entry === undefined).length;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(missing).toBe(0);
    await Promise.all(KEYS.map((key) => backend.write(key, stored(`${key} again`))));
    expect((await backend.batch!.read(KEYS)).map((entry) => found(entry)?.data.toString())).toEqual(
      KEYS.map((key) => `${key} again`),
    );
    await victim!.proxy!.pass();
    await victim!.start();
    await servers.waitUntilOk();
  });
});
