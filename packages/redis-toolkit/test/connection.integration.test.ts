import { BackendUnavailableError, OverloadedError } from "@hotset/core";
import { cluster, fromClient, sentinel, single } from "@hotset/redis";
import {
  hashSlot,
  openConnection,
  type RedisConnection,
  type RedisConnectionOptions,
} from "@hotset/redis-toolkit/connection";
import {
  startCluster,
  startOwnRedis,
  startProxy,
  startSentinel,
  type OwnRedis,
  type TestCluster,
  type TestSentinel,
} from "@hotset/test-servers";
import { createClient } from "@redis/client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const QUICK: RedisConnectionOptions = { responseTimeoutMs: 15_000, backoff: { baseMs: 10, maxMs: 100 } };

let redis: OwnRedis;
let nodes: TestCluster;
let watched: TestSentinel;
beforeAll(async () => {
  [redis, nodes, watched] = await Promise.all([
    startOwnRedis(),
    startCluster({ replicas: 0, proxied: true }),
    startSentinel({ downAfterMs: 30_000 }),
  ]);
});
afterAll(() => Promise.all([redis.stop(), nodes.stop(), watched.stop()]));

const opened: (() => Promise<unknown>)[] = [];
function open(connection: RedisConnection): RedisConnection {
  opened.push(() => connection.close());
  return connection;
}
afterAll(() => Promise.all(opened.map((close) => close())));

async function ofClient(): Promise<RedisConnection> {
  const client = createClient({ url: redis.url });
  client.on("error", () => undefined);
  await client.connect();
  opened.push(() => Promise.resolve(client.destroy()));
  return open(openConnection(fromClient(client), QUICK));
}

describe.each([
  ["one server", () => open(openConnection(single(redis.url), QUICK))],
  ["one server over RESP2", () => open(openConnection(single(redis.url), { ...QUICK, protocol: 2 }))],
  ["a cluster", () => open(openConnection(cluster(nodes.urls), QUICK))],
  [
    "sentinels",
    () =>
      open(
        openConnection(
          sentinel(
            watched.sentinels.map(({ url }) => url),
            { primaryName: watched.name },
          ),
          QUICK,
        ),
      ),
  ],
  ["a client of the user", ofClient],
] as const)("commands over %s", (_what, connecting) => {
  let connection: RedisConnection;
  beforeAll(async () => {
    connection = await connecting();
  });

  it("C216: any command with a key reaches its node, and its bytes come back unchanged", async () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    const keys = Array.from({ length: 50 }, (_, i) => `${_what} ${i}`);
    await Promise.all(keys.map((key) => connection.call(["SET", key, bytes], { key })));
    const read = keys.map((key) => connection.call(["GET", key], { key, isReadOnly: true }));
    expect(await Promise.all(read)).toEqual(keys.map(() => bytes));
    const [key] = keys;
    const typeMapping = { 36: String };
    await connection.call(["HSET", "{x}h", "f", "text"], { key: "{x}h" });
    expect(await connection.call(["HGET", "{x}h", "f"], { key: "{x}h", typeMapping })).toBe("text");
    expect(await connection.call(["DEL", key!], { key })).toBe(1);
  });

  it("error replies come bare, and without the arguments that the server quotes", async () => {
    await connection.call(["SET", "{x}text", "1"], { key: "{x}text" });
    await expect(connection.call(["LPUSH", "{x}text", "1"], { key: "{x}text" })).rejects.toThrow(/^WRONGTYPE /);
    const unknown = connection.call(["NOSUCHCOMMAND", "secret"], { key: "k" }).catch((error: Error) => error.message);
    expect(await unknown).toMatch(/^ERR unknown command/);
    expect(await unknown).not.toContain("secret");
  });

  it("each primary is asked once", async () => {
    const names = await connection.each(async (primary) => String(await primary.call(["ECHO", "here"])));
    expect(names).toEqual(connection.isCluster ? ["here", "here", "here"] : ["here"]);
    expect(connection.isUp).toBe(true);
  });

  it("10,000 calls in one tick are all answered", async () => {
    const calls = Array.from({ length: 10_000 }, (_, i) =>
      connection.call(["INCRBY", `{${i % 7}}sum of ${_what}`, "1"], { key: `{${i % 7}}sum of ${_what}` }),
    );
    await Promise.all(calls);
    const sums = [0, 1, 2, 3, 4, 5, 6].map((i) => {
      const key = `{${i}}sum of ${_what}`;
      return connection.call(["GET", key], { key });
    });
    expect((await Promise.all(sums)).map(Number).reduce((sum, one) => sum + one)).toBe(10_000);
  });
});

it("C216: nothing is redirected in a cluster where no slot moves", async () => {
  const connection = open(openConnection(cluster(nodes.urls), QUICK));
  await connection.call(["PING"]);
  for (const { proxy } of nodes.nodes) proxy!.resetCounts();
  const keys = Array.from({ length: 3_000 }, (_, i) => `spread ${i}`);
  await Promise.all(keys.map((key) => connection.call(["SET", key, "v"], { key })));
  const sets = nodes.nodes.map(({ proxy }) => proxy!.counts.commandsByName["SET"] ?? 0);
  expect(sets.reduce((sum, one) => sum + one)).toBe(3_000);
  expect(Math.min(...sets)).toBeGreaterThan(500);
  expect(hashSlot(Buffer.from("{x}a"))).toBe(hashSlot("x"));
});

it("a read is sent again when its connection is lost, within its deadline; a write is not", async () => {
  await using proxy = await startProxy(Number(new URL(redis.url).port));
  const connection = open(openConnection(single(proxy.url), QUICK));
  await connection.call(["SET", "counter", "0"]);
  const lost = { get: proxy.hold("GET"), incr: undefined };
  const read = connection.call(["GET", "counter"], { isReadOnly: true });
  await lost.get.reached;
  proxy.cut();
  expect(String(await read)).toBe("0");

  const held = proxy.hold("INCR", "reply");
  const write = connection.call(["INCR", "counter"]).catch((error: unknown) => error);
  await held.reached;
  proxy.cut();
  expect(await write).toMatchObject({ code: "BACKEND_UNAVAILABLE", maybeExecuted: true });
  expect(String(await connection.call(["GET", "counter"], { isReadOnly: true }))).toBe("1");
});

it("while connecting fails, reads and writes are refused and not sent, until Redis is back", async () => {
  await using own = await startOwnRedis();
  const connection = open(openConnection(single(own.url), QUICK));
  await connection.call(["SET", "k", "v"]);
  await own.kill();
  await expect.poll(() => connection.isUp).toBe(false);
  for (const args of [
    ["SET", "k", "w"],
    ["GET", "k"],
  ]) {
    const call = connection.call(args, { isReadOnly: args[0] === "GET", deadlineMs: 600_000 });
    expect(await call.catch((error: unknown) => error)).toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      maybeExecuted: false,
    });
  }
  await own.start();
  await expect.poll(() => connection.call(["GET", "k"], { isReadOnly: true }).catch(() => "down")).toBe(null);
});

it("each call has its own deadline, and a stall of 1.6 s loses no connection", async () => {
  await using own = await startOwnRedis();
  const connection = open(openConnection(single(own.url), { ...QUICK, responseTimeoutMs: 5_000 }));
  const id = await connection.call(["CLIENT", "ID"]);
  const stall = own.command("DEBUG", "SLEEP", "1.6");
  const late = connection.call(["GET", "k"], { deadlineMs: 100 }).catch((error: unknown) => error);
  const patient = connection.call(["PING"]);
  expect(await late).toBeInstanceOf(BackendUnavailableError);
  expect(String(await patient)).toBe("PONG");
  await stall;
  expect(await connection.call(["CLIENT", "ID"])).toBe(id);
});

it("a call without room waits, or is refused, by option", async () => {
  const waiting = open(openConnection(single(redis.url), { ...QUICK, maxInFlight: 2 }));
  const refusing = open(openConnection(single(redis.url), { ...QUICK, maxInFlight: 2, onOverload: "reject" }));
  for (const connection of [waiting, refusing]) await connection.connect();
  const outcomes = (connection: RedisConnection): Promise<readonly string[]> =>
    Promise.all(
      Array.from({ length: 4 }, () =>
        connection.call(["PING"]).then(String, (error: unknown) => String(error instanceof OverloadedError)),
      ),
    );
  expect(await outcomes(waiting)).toEqual(["PONG", "PONG", "PONG", "PONG"]);
  expect(await outcomes(refusing)).toEqual(["PONG", "PONG", "true", "true"]);
});

it("a failover of the sentinels is followed", async () => {
  const connection = open(
    openConnection(
      sentinel(
        watched.sentinels.map(({ url }) => url),
        { primaryName: watched.name },
      ),
      QUICK,
    ),
  );
  await connection.call(["SET", "k", "before"]);
  await watched.failover();
  await expect
    .poll(() => connection.call(["SET", "k", "after"]).then(String, (error: Error) => error.message))
    .toBe("OK");
});

it("bad input of one caller ends no socket, its own neither", async () => {
  const connection = open(openConnection(single(redis.url), QUICK));
  await using socket = await connection.open({ role: "exclusive" });
  await using subscriber = await connection.open({ role: "subscriber" });
  const refused: readonly (readonly [() => unknown, string])[] = [
    [() => socket.call(["PING"], { signal: {} as never }), "signal must be an AbortSignal, got an object"],
    [() => socket.call(["PING"], { blockMs: "5s" as never }), "blockMs must be from 0 ms to 24 days, in milliseconds"],
    [
      () => socket.call(["PING"], { block: 5 } as never),
      'unknown option "block"; accepted: blockMs, key, isReadOnly, deadlineMs',
    ],
    [() => socket.call(["GET", ,] as never), "argument 1 of GET must be a string or a Buffer"],
    [() => socket.monitor(undefined as never), "monitor(listener): listener must be a function, got undefined"],
    [() => socket.onLost(null as never), "onLost(listener): listener must be a function, got null"],
    [() => subscriber.on("gap", null as never), "on(event, listener): listener must be a function, got null"],
    [
      () => subscriber.subscribe("channel", "news", "listener" as never),
      "subscribe(kind, name, listener): listener must be a function, got text of 8 characters",
    ],
    [() => connection.call(["PING"], { signal: {} as never }), "signal must be an AbortSignal, got an object"],
  ];
  for (const [use, message] of refused)
    await expect((async () => use())()).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining(message) as string,
    });
  expect(socket.isOpen).toBe(true);
  expect(String(await socket.call(["PING"]))).toBe("PONG");
  expect(String(await connection.call(["PUBSUB", "NUMSUB", "news"]))).toBe("news,0");
});

it("anything but a connection, and anything but a command, is refused by name", async () => {
  expect(() => openConnection({} as never)).toThrow(/connection must be a URL or a connection/);
  const connection = open(openConnection(single(redis.url), QUICK));
  await expect(connection.call([])).rejects.toThrow("args must begin with the name of a command");
  await connection.close();
  await expect(connection.call(["PING"])).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE", maybeExecuted: false });
  await connection.close();
});
