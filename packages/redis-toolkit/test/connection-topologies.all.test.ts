import { inspect } from "node:util";
import { cluster, fromClient, sentinel, single } from "@hotset/redis";
import { openConnection, type RedisConnection, type RedisConnectionOptions } from "@hotset/redis-toolkit/connection";
import {
  randomPrefix,
  startCluster,
  startOwnRedis,
  startSentinel,
  startTlsRedis,
  type OwnRedis,
  type TestCluster,
  type TestSentinel,
  type TlsRedis,
} from "@hotset/test-servers";
import { createClient } from "@redis/client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

let server: OwnRedis;
let nodes: TestCluster;
let group: TestSentinel;
let secure: TlsRedis;

beforeAll(async () => {
  [server, nodes, group, secure] = await Promise.all([
    startOwnRedis(),
    startCluster({ replicas: 0 }),
    startSentinel({ downAfterMs: 30_000 }),
    startTlsRedis({ password: "hunter2-of-redis" }),
  ]);
});
afterAll(() => Promise.all([server.stop(), nodes.stop(), group.stop(), secure.stop()]));

interface Topology {
  readonly name: string;
  readonly primaries: number;
  open(options?: RedisConnectionOptions): Promise<RedisConnection>;
}

const overClient = async (RESP: 2 | 3, options?: RedisConnectionOptions): Promise<RedisConnection> => {
  const client = createClient({ url: server.url, RESP });
  client.on("error", () => undefined);
  await client.connect();
  const redis = openConnection(fromClient(client), options);
  const close = redis.close.bind(redis);
  return Object.assign(redis, { close: () => close().then(() => void (client.isOpen && client.destroy())) });
};

const TOPOLOGIES: readonly Topology[] = [
  { name: "single", primaries: 1, open: async (options) => openConnection(single(server.url), options) },
  {
    name: "single, RESP2",
    primaries: 1,
    open: async (options) => openConnection(single(server.url), { ...options, protocol: 2 }),
  },
  {
    name: "single, TLS and a password",
    primaries: 1,
    open: async (options) => openConnection(single(secure.url, { tls: { ca: secure.certificates.ca } }), options),
  },
  { name: "cluster", primaries: 3, open: async (options) => openConnection(cluster(nodes.urls), options) },
  {
    name: "cluster, RESP2",
    primaries: 3,
    open: async (options) => openConnection(cluster(nodes.urls), { ...options, protocol: 2 }),
  },
  {
    name: "sentinel",
    primaries: 1,
    open: async (options) =>
      openConnection(
        sentinel(
          group.sentinels.map(({ url }) => url),
          { primaryName: group.name },
        ),
        options,
      ),
  },
  { name: "fromClient", primaries: 1, open: (options) => overClient(3, options) },
  { name: "fromClient, RESP2", primaries: 1, open: (options) => overClient(2, options) },
];

describe.for(TOPOLOGIES)("a connection to Redis: $name", ({ open, primaries }) => {
  it("calls, with bytes in and out", async () => {
    await using redis = await open();
    const key = randomPrefix();
    const value = Buffer.from([0, 255, 13, 10, 128]);
    expect(await redis.call(["SET", key, value], { key })).toBe("OK");
    expect(await redis.call(["GET", Buffer.from(key)], { key: Buffer.from(key), isReadOnly: true })).toEqual(value);
    expect(await redis.call(["GET", key], { key, typeMapping: { 36: String } })).toBe(value.toString());
    expect(await redis.call(["EXISTS", key])).toBe(1);
    await expect(redis.call(["HGET", key, "f"], { key })).rejects.toThrow(/^WRONGTYPE /);
    expect(redis.state).toBe("up");
  });

  it("sends a burst as a whole, with a result for each", async () => {
    await using redis = await open();
    const key = randomPrefix();
    const results = await redis.burst(key, [["SET", key, "1"], ["HGET", key, "f"], ["MULTI"], ["INCR", key], ["EXEC"]]);
    expect(results[0]).toBe("OK");
    expect(results[1]).toMatchObject({ message: expect.stringMatching(/^WRONGTYPE /) });
    expect(results.slice(2)).toEqual(["OK", "QUEUED", [2]]);
    expect(await redis.burst(key, [])).toEqual([]);
  });

  it("visits every primary", async () => {
    await using redis = await open();
    const sizes = await redis.each(async (primary) => {
      expect(await primary.burst([["PING"], ["DBSIZE"]])).toEqual(["PONG", expect.any(Number)]);
      return [primary.address, await primary.call(["DBSIZE"])];
    });
    expect(sizes).toHaveLength(primaries);
    expect(new Set(sizes.map(([address]) => address)).size).toBe(primaries);
  });

  it("opens a socket for a call that blocks, and its abort closes the socket", async () => {
    await using redis = await open({ responseTimeoutMs: 2_000 });
    const key = randomPrefix();
    await using blocking = await redis.open({ role: "blocking", key });
    const popped = blocking.call(["BLPOP", key, "5"], { blockMs: 5_000 });
    // The others are not held up.
    expect(await redis.call(["RPUSH", key, "job"], { key })).toBe(1);
    expect(await popped).toEqual([Buffer.from(key), Buffer.from("job")]);

    const stop = new AbortController();
    const waiting = blocking.call(["BLPOP", key, "0"], { blockMs: 60_000, signal: stop.signal });
    const reason = new Error("shut down");
    stop.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    expect(blocking.isOpen).toBe(false);
    await expect(blocking.call(["PING"])).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE", maybeExecuted: false });
    // The server has noticed: the element stays.
    await redis.call(["RPUSH", key, "job"], { key });
    expect(await redis.call(["LLEN", key], { key })).toBe(1);
  });

  it("subscribes, confirmed, to channels and patterns", async () => {
    await using redis = await open();
    const channel = randomPrefix();
    await using subscriber = await redis.open({ role: "subscriber" });
    const received: [string, Buffer, string][] = [];
    const listen = (kind: string) => (message: Buffer, from: Buffer) =>
      void received.push([kind, message, from.toString()]);
    const end = await subscriber.subscribe("channel", channel, listen("channel"));
    await subscriber.subscribe("channel", channel, listen("again"));
    await subscriber.subscribe("pattern", `${channel}*`, listen("pattern"));
    const message = Buffer.from([0, 255]);
    await redis.call(["PUBLISH", channel, message]);
    await expect.poll(() => received.length).toBe(3);
    expect(received).toEqual([
      ["channel", message, channel],
      ["again", message, channel],
      ["pattern", message, channel],
    ]);
    await end();
    await redis.call(["PUBLISH", channel, message]);
    await expect.poll(() => received.length).toBe(5);
    expect(received.slice(3).map(([kind]) => kind)).toEqual(["again", "pattern"]);
  });

  it("lends exclusive sockets, and watches keys there", async () => {
    await using redis = await open();
    const key = randomPrefix();
    await redis.call(["SET", key, "1"], { key });
    const results = await redis.pool.use(
      async (connection) => {
        await connection.call(["WATCH", key]);
        await redis.call(["INCR", key], { key });
        return connection.burst([["MULTI"], ["INCR", key], ["EXEC"]]);
      },
      { key },
    );
    expect(results).toEqual(["OK", "QUEUED", null]);
    expect(redis.pool.status).toEqual({ size: 1, idle: 1, inUse: 0, waiting: 0 });
  });

  it("closes all of it, and refuses calls from then on", async () => {
    const redis = await open();
    const blocking = await redis.open({ role: "blocking" });
    await redis.open({ role: "subscriber" });
    await redis.call(["PING"]);
    await redis.close();
    expect([redis.state, blocking.isOpen]).toEqual(["closed", false]);
    await expect(redis.call(["PING"])).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE", retryable: false });
    await expect(redis.open({ role: "exclusive" })).rejects.toMatchObject({ retryable: false });
    await expect(redis.pool.use(async () => 1)).rejects.toMatchObject({ retryable: false });
    await redis.close();
  });
});

it("a wrong password is refused for good, by every kind of socket, and no error shows it", async () => {
  const { ca } = secure.certificates;
  const address = new URL(secure.url);
  address.password = "";
  address.username = "";
  await using redis = openConnection(single(address, { tls: { ca } }), { password: "wrong-hunter2" });
  const failures = await Promise.all(
    [
      redis.call(["PING"], { isReadOnly: true }),
      redis.burst(undefined, [["PING"]]),
      redis.open({ role: "exclusive" }),
      redis.open({ role: "subscriber" }),
      redis.pool.use(async () => 1),
      redis.each(async () => 1),
    ].map((attempt) => attempt.catch((error: unknown) => error)),
  );
  for (const error of failures) {
    expect(error).toMatchObject({ code: "BACKEND_UNAVAILABLE", retryable: false, maybeExecuted: false });
    expect(inspect(error, { depth: 10 })).not.toContain("hunter2");
    expect(String((error as Error).message)).toMatch(/check username and password/);
  }
  expect(inspect(redis, { depth: 10, showHidden: true })).not.toContain("hunter2");
});
