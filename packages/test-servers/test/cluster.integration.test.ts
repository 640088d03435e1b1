import { createCluster } from "@redis/client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RespClient, startCluster, until, untilReplicated, type ClusterNode, type TestCluster } from "../src/index.ts";

let cluster: TestCluster;
let proxied: TestCluster;
beforeAll(async () => {
  [cluster, proxied] = await Promise.all([
    startCluster({ nodeTimeoutMs: 15_000 }),
    startCluster({ replicas: 0, proxied: true, password: "secret" }),
  ]);
});
afterAll(() => Promise.all([cluster.stop(), proxied.stop()]));

describe("a cluster", () => {
  it("has three masters with a replica each, on ports whose bus has room", async () => {
    const masters = await cluster.masters();
    expect([cluster.nodes.length, masters.length, (await cluster.replicas()).length]).toEqual([6, 3, 3]);
    for (const master of masters) expect(await cluster.replicas(master)).toHaveLength(1);
    for (const { port } of cluster.nodes) expect(port).toBeLessThan(55_536);
  });

  it("lists each replica for clients from the start, in the replies of all nodes", async () => {
    await using fresh = await startCluster({ masters: 3, replicas: 1 });
    const listed = fresh.nodes.map(async (node) => {
      const ranges = (await node.command("CLUSTER", "SLOTS")) as readonly (readonly unknown[])[];
      return ranges.map(([, , , ...replicas]) => replicas.length);
    });
    expect(await Promise.all(listed)).toEqual(fresh.nodes.map(() => [1, 1, 1]));
  }, 60_000);

  it("finds the node of a key", async () => {
    expect(await cluster.slotOf("foo")).toBe(12_182);
    const [first] = cluster.nodes as readonly [ClusterNode];
    const key = await cluster.keyOn(first, "on-first:");
    expect(await cluster.ownerOf(key)).toBe(first);
    expect(await first.command("SET", key, "v")).toBe("OK");
    await expect(cluster.nodes[1]?.command("GET", key)).rejects.toMatchObject({ prefix: "MOVED" });
  });

  it("stops half-way in moving a slot: ASK for moved keys, TRYAGAIN across", async () => {
    const [from, to] = cluster.nodes as readonly [ClusterNode, ClusterNode];
    const tag = await cluster.keyOn(from, "tag");
    const [gone, here] = [`{${tag}}gone`, `{${tag}}here`];
    await from.command("MSET", gone, "1", here, "2");
    const half = await cluster.migrateHalfway(await cluster.slotOf(tag), to);
    await half.move(gone);
    await expect(from.command("GET", gone)).rejects.toMatchObject({ prefix: "ASK" });
    expect(await from.command("GET", here)).toBe("2");
    await expect(from.command("MGET", gone, here)).rejects.toMatchObject({ prefix: "TRYAGAIN" });

    await half.finish();
    expect(await cluster.ownerOf(tag)).toBe(to);
    expect(await to.command("MGET", gone, here)).toEqual(["1", "2"]);

    const back = await cluster.migrateHalfway(half.slot, from);
    await back.abort();
    expect(await to.command("MGET", gone, here)).toEqual(["1", "2"]);
    expect(await cluster.ownerOf(tag)).toBe(to);
  });

  it("survives the loss of a master, and takes it back as a replica", async () => {
    const [lost] = cluster.nodes as readonly [ClusterNode];
    const key = await cluster.keyOn(lost);
    await lost.command("SET", key, "v");
    await untilReplicated(lost);
    const [heir] = await cluster.replicas(lost);
    await cluster.nodeTimeout(1_000);
    await lost.kill();
    await cluster.waitUntilOk();
    expect(await cluster.ownerOf(key)).toBe(heir);
    expect(await heir?.command("GET", key)).toBe("v");
    expect((await cluster.masters()).includes(lost)).toBe(false);

    await lost.start();
    // It has read its configuration again.
    await cluster.nodeTimeout(1_000);
    await cluster.waitUntilOk();
    expect(await cluster.replicas(heir)).toEqual([lost]);
  }, 60_000);

  it("promotes a replica: afterwards all nodes send clients to it, and the old master is its replica", async () => {
    const [old] = (await cluster.masters()) as readonly [ClusterNode];
    const [heir] = (await cluster.replicas(old)) as readonly [ClusterNode];
    const key = await cluster.keyOn(old);
    await cluster.promote(heir);
    expect(await heir.command("SET", key, "v")).toBe("OK");
    for (const node of cluster.nodes) {
      if (node !== heir) await expect(node.command("GET", key)).rejects.toThrow(`127.0.0.1:${heir.port}`);
    }
    expect(await cluster.replicas(heir)).toEqual([old]);
    // It is the master already.
    await cluster.promote(heir);
  }, 60_000);

  it("promotes two nodes in turn: each time the role holds, although votes of the last election are left", async () => {
    const [old] = (await cluster.masters()) as readonly [ClusterNode];
    const [heir] = (await cluster.replicas(old)) as readonly [ClusterNode];
    for (const [to, from] of [
      [heir, old],
      [old, heir],
      [heir, old],
    ] as const) {
      await cluster.promote(to);
      const [role] = (await to.command("ROLE")) as readonly unknown[];
      expect([role, (await cluster.replicas(to)).map(({ port }) => port)]).toEqual(["master", [from.port]]);
    }
  }, 120_000);

  it("promotes a replica although a first attempt was given up, as its master did not answer", async () => {
    const [old] = (await cluster.masters()) as readonly [ClusterNode];
    const [heir] = (await cluster.replicas(old)) as readonly [ClusterNode];
    // Else the other masters would elect it.
    await cluster.nodeTimeout(60_000);
    old.pause();
    const promoted = cluster.promote(heir);
    promoted.catch(() => undefined);
    try {
      await until("the replica to give up", 15_000, async () => (await heir.logTail(5)).includes("failover timed out"));
      expect(((await heir.command("ROLE")) as readonly unknown[])[0]).toBe("slave");
      old.resume();
      await promoted;
      expect(await cluster.replicas(heir)).toEqual([old]);
    } finally {
      old.resume();
      await cluster.nodeTimeout(1_000);
    }
  }, 60_000);
});

describe("a cluster behind proxies", () => {
  it("sends clients through them, and counts their commands on each node", async () => {
    const client = createCluster({
      rootNodes: proxied.urls.slice(0, 1).map((url) => ({ url })),
      defaults: { password: "secret" },
    });
    await client.connect();
    const keys = await Promise.all(proxied.nodes.map((node) => proxied.keyOn(node)));
    await Promise.all(keys.map((key) => client.get(key)));
    for (const { proxy } of proxied.nodes) proxy?.resetCounts();

    await Promise.all(keys.flatMap((key) => [client.hmGet(`{${key}}`, "d"), client.pTTL(key)]));
    expect(proxied.nodes.map(({ proxy }) => proxy?.counts)).toMatchObject(
      Array.from({ length: 3 }, () => ({ roundTrips: 1, commandsByName: { HMGET: 1, PTTL: 1 } })),
    );
    client.destroy();
  });

  it("can be made unreachable for clients while the nodes still see each other", async () => {
    const [node] = proxied.nodes as readonly [ClusterNode];
    const outside = RespClient.fromUrl(node.url);
    expect(await outside.command("PING")).toBe("PONG");
    await node.proxy?.refuse();
    node.proxy?.cut();
    await expect(outside.command("PING").catch(() => outside.command("PING"))).rejects.toMatchObject({
      code: "ECONNREFUSED",
    });
    await proxied.waitUntilOk(2_000);
    await node.proxy?.pass();
    expect(await outside.command("PING")).toBe("PONG");
    outside.close();
  });
});

it("cleans up if a node does not start", async () => {
  await expect(startCluster({ config: ["nonsense 1"] })).rejects.toThrow(/ended at once[^]*nonsense 1/);
});
