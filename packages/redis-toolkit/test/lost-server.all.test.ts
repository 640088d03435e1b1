import { once } from "node:events";
/** Errors of commands whose connection is lost while they are in flight: which server it was, and what may have run. */
import { BackendUnavailableError, json, type StoredEntry } from "@hotset/core";
import { cluster, fromClient, redis, sentinel, single, type Connection } from "@hotset/redis";
import { openConnection } from "@hotset/redis-toolkit/connection";
import {
  randomPrefix,
  startAclRedis,
  startCluster,
  startProxy,
  startSentinel,
  type AclRedis,
  type ClusterNode,
  type FaultProxy,
} from "@hotset/test-servers";
import { createClient } from "@redis/client";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

const PASSWORD = "hunter2";
const stored: StoredEntry = { data: Buffer.from("v"), staleInMs: 60_000, expiresInMs: 60_000, meta: "json none" };

const backendOver = (connection: Connection, layout: "full" | "string" = "full") =>
  redis(connection).valueFormat(json()).keyPrefix(randomPrefix()).layout(layout).coherence("none").build();

const overClient = (connection: ReturnType<typeof fromClient>) =>
  redis(connection).valueFormat(json()).keyPrefix(randomPrefix()).coherence("none").build();

/** The messages of `calls` about the server behind `proxy`, which is lost while they wait for its replies. */
async function messagesOf(proxy: FaultProxy, begin: () => readonly Promise<unknown>[]): Promise<string[]> {
  proxy.stall("toClient");
  const calls = begin().map((call) => call.catch((error: unknown) => error));
  proxy.cut();
  await proxy.pass();
  return (await Promise.all(calls)).map((error) => {
    expect(error).toBeInstanceOf(BackendUnavailableError);
    expect(error).toMatchObject({ retryable: true, maybeExecuted: true });
    const { message } = error as Error;
    expect(message).not.toContain(PASSWORD);
    return message;
  });
}

/** Calls of many give a result for each. */
const firstOf = (calls: Promise<readonly unknown[]>): Promise<never> =>
  calls.then(([result]) => Promise.reject(result as Error));

const lostAt = (operation: string, { port }: FaultProxy): unknown =>
  expect.stringMatching(
    new RegExp(
      `^redis: ${operation} failed: the connection to Redis at 127\\.0\\.0\\.1:${port} was lost: .+; it may have been executed$`,
    ),
  );

describe("the error of a command in flight names the server whose connection was lost", () => {
  let server: AclRedis;
  let proxy: FaultProxy;
  beforeAll(async () => {
    server = await startAclRedis({ users: [`user secret on >${PASSWORD} ~* &* +@all`] });
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    proxy = await startProxy(server.port);
  });
  afterEach(() => proxy.close());

  it.each(["full", "string"] as const)("which is the only one, layout %s", async (layout) => {
    const backend = backendOver(single(`redis://secret:${PASSWORD}@127.0.0.1:${proxy.port}`), layout);
    await backend.connect!();
    const messages = await messagesOf(proxy, () => [
      backend.read("k"),
      backend.write("k", stored),
      backend.tagVersions!.read(["t"]),
      firstOf(backend.batch!.read(["k", "l"])),
    ]);
    await backend.close();
    expect(messages).toEqual(["read", "write", "tags", "read"].map((operation) => lostAt(operation, proxy)));
  });

  it("in calls of the toolkit: shared, in a burst, on a connection of their own and of a subscriber", async () => {
    const connection = openConnection(single(`redis://secret:${PASSWORD}@127.0.0.1:${proxy.port}`));
    await connection.connect();
    const own = await connection.open({ role: "exclusive" });
    const subscriber = await connection.open({ role: "subscriber" });
    const messages = await messagesOf(proxy, () => [
      connection.call(["SET", "k", "v"]),
      firstOf(connection.burst(undefined, [["INCR", "k"]])),
      own.call(["GET", "k"]),
      own.call(["BLPOP", "k", "0"], { blockMs: 60_000 }),
      subscriber.subscribe("channel", "c", () => undefined),
    ]);
    await connection.close();
    expect(messages).toEqual(["SET", "INCR", "GET", "BLPOP", "SUBSCRIBE"].map((operation) => lostAt(operation, proxy)));
  });

  it("also where its side closed it in order, as a server that shuts down does", async () => {
    await using own = await startAclRedis();
    const connection = openConnection(single(own.url));
    await connection.connect();
    const blocked = await connection.open({ role: "exclusive" });
    const waiting = blocked.call(["BLPOP", "none", "0"], { blockMs: 60_000 });
    waiting.catch(() => undefined);
    await expect.poll(async () => (await own.info("clients"))["blocked_clients"]).toBe("1");
    await own.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await expect(waiting).rejects.toThrow(
      `redis: BLPOP failed: the connection to Redis at 127.0.0.1:${own.port} was lost: Socket closed unexpectedly; it may have been executed`,
    );
    await connection.close();
  });

  it("which sentinels have named", async () => {
    await using group = await startSentinel({ downAfterMs: 30_000 });
    await using path = await startProxy((await group.primary()).port);
    const backend = backendOver(
      sentinel(
        group.sentinels.map(({ url }) => url),
        { primaryName: group.name, resolveAddress: () => path },
      ),
    );
    await backend.connect!();
    const messages = await messagesOf(path, () => [backend.read("k"), backend.write("k", stored)]);
    await backend.close();
    expect(messages).toEqual([lostAt("read", path), lostAt("write", path)]);
  });

  it("among the primaries of a cluster, and no other call fails", async () => {
    await using servers = await startCluster({ replicas: 0, proxied: true });
    const [lost, living] = (await servers.masters()) as unknown as readonly [ClusterNode, ClusterNode];
    const connection = openConnection(cluster(servers.urls));
    await connection.connect();
    const [key, other] = [await servers.keyOn(lost, "lost"), await servers.keyOn(living, "living")];
    await connection.call(["GET", key], { key });
    const [messages, answer] = await Promise.all([
      messagesOf(lost.proxy!, () => [
        connection.call(["SET", key, "v"], { key }),
        firstOf(connection.burst(key, [["SET", key, "v"]])),
      ]),
      connection.call(["SET", other, "v"], { key: other }),
    ]);
    await connection.close();
    expect([...messages, answer]).toEqual([lostAt("SET", lost.proxy!), lostAt("SET", lost.proxy!), "OK"]);
  });

  it("over a client of the user, of node-redis", async () => {
    const client = createClient({
      url: `redis://secret:${PASSWORD}@127.0.0.1:${proxy.port}`,
      socket: { reconnectStrategy: () => 20 },
    });
    client.on("error", () => undefined);
    await client.connect();
    const backend = overClient(fromClient(client));
    await backend.connect!();
    const messages = await messagesOf(proxy, () => [backend.read("k"), backend.write("k", stored)]);
    await backend.close();
    client.destroy();
    expect(messages).toEqual([lostAt("read", proxy), lostAt("write", proxy)]);
  });

  it("over a client of the user, of ioredis", async () => {
    const client = new Redis(`redis://secret:${PASSWORD}@127.0.0.1:${proxy.port}`, {
      autoResendUnfulfilledCommands: false,
      enableOfflineQueue: false,
      retryStrategy: () => 20,
    });
    client.on("error", () => undefined);
    await once(client, "ready");
    const backend = overClient(fromClient(client));
    await backend.connect!();
    const messages = await messagesOf(proxy, () => [backend.read("k"), backend.write("k", stored)]);
    await backend.close();
    client.disconnect();
    expect(messages).toEqual([lostAt("read", proxy), lostAt("write", proxy)]);
  });
});
