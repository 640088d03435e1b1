/** Nodes of a cluster that do not know their names, and nodes that its map of slots does not list. */
import { json } from "@hotset/core";
import { cluster, redis as redisBackend } from "@hotset/redis";
import { openConnection } from "@hotset/redis-toolkit/connection";
import { randomPrefix, startCluster } from "@hotset/test-servers";
import { expect, it } from "vitest";

it("a redirection to a node whose host name is not known leads to the host of the node that says so", async () => {
  await using nodes = await startCluster({ replicas: 0, config: ["cluster-preferred-endpoint-type hostname"] });
  await using redis = openConnection(cluster(nodes.urls), { responseTimeoutMs: 5_000 });
  const [from, to] = await nodes.masters();
  const tag = await nodes.keyOn(from!, "tag");
  const [moving, moved] = [`{${tag}}a`, `{${tag}}b`];
  for (const key of [moving, moved]) await redis.call(["SET", key, "v"], { key });
  const migration = await nodes.migrateHalfway(await nodes.slotOf(tag), to!);
  await migration.move(moving);
  await expect(from!.command("GET", moving)).rejects.toThrow(/^ASK \d+ \?:/);
  expect(await redis.call(["GET", moving], { key: moving })).toEqual(Buffer.from("v"));
  await migration.finish();
  await expect(from!.command("GET", moved)).rejects.toThrow(/^MOVED \d+ \?:/);
  expect(await redis.call(["GET", moved], { key: moved })).toEqual(Buffer.from("v"));
});

it("a command that waits for a node outside the map of slots, where its slot is moving, outlasts a look at that map", async () => {
  await using nodes = await startCluster({ proxied: true });
  // A node of the cluster that serves no slot yet.
  const empty = (await nodes.replicas())[0]!;
  await empty.command("CLUSTER", "RESET", "SOFT");
  const from = (await nodes.masters())[0]!;
  const [, busPort] = (await from.command("CONFIG", "GET", "cluster-port")) as readonly string[];
  await empty.command("CLUSTER", "MEET", "127.0.0.1", from.port, busPort!);
  await expect.poll(() => empty.command("CLUSTER", "INFO")).toContain("cluster_state:ok");

  await using redis = openConnection(cluster(nodes.urls), { responseTimeoutMs: 10_000, heartbeatMs: 100 });
  const tag = await nodes.keyOn(from, "tag");
  const key = `{${tag}}key`;
  await redis.connect();
  const migration = await nodes.migrateHalfway(await nodes.slotOf(tag), empty);
  empty.proxy!.stall();
  const read = redis.call(["GET", key], { key }).catch((error: unknown) => error);
  const burst = redis.burst(key, [["INCR", key]]).catch((error: unknown) => error);
  await expect.poll(() => empty.proxy!.counts.connections).toBeGreaterThan(0);
  // Its heartbeat looks at the map.
  const looks = (): number =>
    nodes.nodes.reduce((sum, { proxy }) => sum + (proxy!.counts.commandsByName["CLUSTER"] ?? 0), 0);
  const before = looks();
  await using subscriber = await redis.open({ role: "subscriber", key: tag });
  await subscriber.subscribe("shard", tag, () => undefined);
  await expect.poll(looks).toBeGreaterThan(before);
  await subscriber.close();
  await empty.proxy!.pass();
  expect([await read, await burst]).toEqual([null, [1]]);
  await migration.abort();
});

it("a primary that became a replica without losing its connection answers for the versions of tags, too", async () => {
  await using nodes = await startCluster({ proxied: true });
  const backend = redisBackend(cluster(nodes.urls))
    .valueFormat(json())
    .keyPrefix(randomPrefix())
    .responseTimeout("5s")
    .backoff({ base: 10, max: 100 })
    .build();
  const tags = ["{~shop}::a"];
  const { versions } = await backend.tagVersions!.pin(tags);
  const former = await nodes.ownerOf("{~shop}");
  const [replica] = await nodes.replicas(former);
  await nodes.promote(replica!);
  expect(await backend.tagVersions!.read(tags)).toEqual(versions);
  const asked = (): number => replica!.proxy!.counts.commandsByName["MGET"] ?? 0;
  await expect.poll(() => backend.tagVersions!.read(tags).then(asked)).toBeGreaterThan(1);
  // Long enough that no other takes over.
  for (const node of nodes.nodes) await node.command("CONFIG", "SET", "cluster-node-timeout", 60_000);
  former.proxy!.resetCounts();
  await replica!.proxy!.refuse("reset");
  replica!.proxy!.cut();
  await expect.poll(() => backend.tagVersions!.read(tags).catch(String)).toEqual(versions);
  expect(former.proxy!.counts.commandsByName["MGET"]).toBeGreaterThan(0);
  await backend.close();
});
