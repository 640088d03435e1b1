import { createSentinel } from "@redis/client";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { RespClient, startSentinel, untilReplicated, type TestSentinel } from "../src/index.ts";

let sentinel: TestSentinel;
beforeAll(async () => {
  sentinel = await startSentinel({ password: "secret", sentinelPassword: "watch" });
});
afterAll(() => sentinel.stop());

it("has a primary, a replica and three sentinels that agree", async () => {
  const primary = await sentinel.primary();
  expect(primary).toBe(sentinel.servers[0]);
  expect(await sentinel.replicas()).toEqual([sentinel.servers[1]]);
  for (const { url } of sentinel.sentinels) {
    const client = RespClient.fromUrl(url);
    expect(await client.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", sentinel.name)).toEqual([
      "127.0.0.1",
      String(primary.port),
    ]);
    client.close();
  }
  await expect(sentinel.servers[1]?.command("SET", "k", "v")).rejects.toMatchObject({ prefix: "READONLY" });
});

it("serves a client that asks the sentinels", async () => {
  const client = createSentinel({
    name: sentinel.name,
    sentinelRootNodes: sentinel.sentinels.map(({ host, port }) => ({ host, port })),
    nodeClientOptions: { password: "secret" },
    sentinelClientOptions: { password: "watch" },
  });
  client.on("error", () => undefined);
  await client.connect();
  await client.set("k", "v");
  expect(await (await sentinel.primary()).command("GET", "k")).toBe("v");
  await client.destroy();
});

it("waits until a replica has the writes of all connections", async () => {
  const primary = await sentinel.primary();
  const [replica] = await sentinel.replicas();
  const other = RespClient.fromUrl(primary.url);
  await untilReplicated(primary);
  // The replica has also acknowledged the WAIT before: the next one alone would be content.
  await other.command("PING");
  expect(await other.command("WAIT", 1, 5_000)).toBe(1);
  replica!.pause();
  try {
    await other.command("SET", "replicated", "v");
    const replicated = untilReplicated(primary).then(() => "replicated");
    expect(await Promise.race([replicated, sleep(300, "not replicated")])).toBe("not replicated");
    replica!.resume();
    expect(await replicated).toBe("replicated");
    expect(await replica!.command("GET", "replicated")).toBe("v");
  } finally {
    replica!.resume();
    other.close();
  }
});

it("has not settled while a server is away, and settles when it follows the primary again", async () => {
  const [replica] = await sentinel.replicas();
  await replica!.kill();
  const settled = sentinel.waitUntilSettled().then(() => "settled");
  expect(await Promise.race([settled, sleep(300, "not settled")])).toBe("not settled");
  await sentinel.rejoin(replica!);
  expect(await settled).toBe("settled");
  expect((await replica!.info("replication"))["master_link_status"]).toBe("up");
}, 60_000);

it("survives the loss of the primary, and takes it back as a replica", async () => {
  const lost = await sentinel.primary();
  await lost.command("SET", "kept", "v");
  await untilReplicated(lost);
  await lost.kill();
  const heir = await sentinel.waitForPrimary(lost);
  expect(await heir.command("GET", "kept")).toBe("v");
  expect(await heir.command("SET", "k", "w")).toBe("OK");

  await lost.start();
  expect((await lost.info("replication"))["role"]).toBe("master");
  await sentinel.rejoin(lost);
  expect((await lost.info("replication"))["role"]).toBe("slave");
  expect(await lost.command("GET", "k")).toBe("w");
}, 60_000);

it("changes the primary on request, with both up", async () => {
  const before = await sentinel.primary();
  const after = await sentinel.failover();
  expect(after).not.toBe(before);
  expect(before.state).toBe("running");
  expect(await sentinel.primary()).toBe(after);
}, 60_000);

it("goes on with two sentinels of three", async () => {
  await sentinel.sentinels[0]?.kill();
  expect((await sentinel.primary()).state).toBe("running");
  await sentinel.sentinels[0]?.start();
});
