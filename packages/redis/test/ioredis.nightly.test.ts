/** A client of ioredis in `fromClient`: the backend of a cache, without invalidations. */
import { createCache, json, type Cache, type StoredEntry } from "@hotset/core";
import { describeBackend } from "@hotset/testing/contract-suites";
import { fromClient, openConnection, redis, type RedisBackend } from "@hotset/redis";
import { randomPrefix, startOwnRedis, startProxy, type FaultProxy, type OwnRedis } from "@hotset/test-servers";
import { Redis, type RedisOptions } from "ioredis";
import { once } from "node:events";
import { inspect } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from "vitest";

const clients: Redis[] = [];
function open(url: string, options: RedisOptions = {}): Redis {
  const client = new Redis(url, { autoResendUnfulfilledCommands: false, enableOfflineQueue: false, ...options });
  client.on("error", () => undefined);
  clients.push(client);
  return client;
}
async function ready(url: string, options?: RedisOptions): Promise<Redis> {
  const client = open(url, options);
  await once(client, "ready");
  return client;
}
afterEach(() => {
  for (const client of clients.splice(0)) client.disconnect();
});

const over = (client: Redis) => redis(fromClient(client)).valueFormat(json()).coherence("none");

describeBackend("redis, a client of ioredis", {
  open: async () =>
    over(await ready(inject("redisUrl")))
      .keyPrefix(randomPrefix())
      .responseTimeout("10s")
      .build(),
  unreachable: () => over(open("redis://127.0.0.1:1")).build(),
  expiry: "server",
});

describe("C241 a client of ioredis", () => {
  let server: OwnRedis;
  let proxy: FaultProxy;
  let client: Redis;
  let backend: RedisBackend;
  beforeAll(async () => {
    server = await startOwnRedis();
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    proxy = await startProxy(server.port);
    client = await ready(proxy.url, { retryStrategy: () => 20 });
    backend = over(client).responseTimeout("1s").build();
  });
  afterEach(async () => {
    await backend.close();
    await proxy.close();
  });

  it("serves a cache: tags, leases, large values, and two processes", async () => {
    const caches = [client, await ready(server.url)].map((each) =>
      createCache({ name: "shop" }).tier(over(each).responseTimeout("10s").build()).defaults({ ttl: "1m" }).build(),
    );
    const [one, other] = caches as [Cache, Cache];
    const large = "x".repeat(100_000);
    const loads = await Promise.all([one, other].map((each) => each.getOrSet("k", () => ({ a: 1 }), { tags: ["t"] })));
    expect([loads, one.stats().loads + other.stats().loads]).toEqual([[{ a: 1 }, { a: 1 }], 1]);
    expect(await one.set("large", large)).toMatchObject({ status: "stored" });
    expect(await other.get("large")).toBe(large);
    expect(await other.touch("large", { ttl: "1h" })).toEqual({ status: "touched" });
    await other.invalidateTags("t");
    expect(await one.get("k")).toBe(undefined);
    await Promise.all(caches.map((each) => each.close()));
    expect(client.status).toBe("ready");
  });

  it("A15: sends nothing twice or late: a loss rejects calls in flight, and later ones are refused", async () => {
    await backend.write("shop::1", stored);
    const held = proxy.hold("EVALSHA");
    const write = backend.write("shop::1", { ...stored, data: Buffer.from("late") });
    const outcome = write.catch((error: unknown) => error);
    await held.reached;
    await proxy.refuse();
    proxy.cut();
    expect(await outcome).toMatchObject({
      message: expect.stringContaining("the connection was closed") as string,
      code: "BACKEND_UNAVAILABLE",
      maybeExecuted: true,
    });
    await expect(backend.write("shop::late", stored)).rejects.toMatchObject({ maybeExecuted: false });
    await proxy.pass();
    const read = async (): Promise<unknown> => (await backend.read("shop::1").catch(() => undefined))?.data.toString();
    await expect.poll(read).toBe("v");
    expect(await server.command("EXISTS", "hotset:shop::late")).toBe(0);
  });

  it("C145: an error shows no argument of its command, which ioredis adds", async () => {
    await server.command("SET", "hotset:shop::wrong", "text");
    await server.command("CONFIG", "SET", "maxmemory", "1");
    const error: unknown = await backend
      .write("shop::1", { ...stored, data: Buffer.from("hunter2") })
      .catch((thrown: unknown) => thrown);
    await server.command("CONFIG", "SET", "maxmemory", "0");
    expect(error).toMatchObject({ message: expect.stringContaining("OOM") as string });
    expect(inspect(error, { depth: 20, showHidden: true }) + JSON.stringify(error)).not.toMatch(
      /hunter2|68 75 6e 74|shop::1|EVALSHA/i,
    );
  });

  it("C459 is left as it was: its own listeners, and open; backends over it share theirs", async () => {
    const own = await ready(server.url);
    const counts = (): readonly number[] => ["error", "close", "end", "ready"].map((event) => own.listenerCount(event));
    const before = counts();
    const backends = Array.from({ length: 12 }, () => over(own).build());
    for (const each of backends) await each.read("shop::1");
    expect(counts()).toEqual(before.map((count) => count + 1));
    for (const each of backends) await each.close();
    expect([counts(), own.status]).toEqual([before, "ready"]);
  });
});

it.for<[string, RedisOptions, string]>([
  ["resends", { autoResendUnfulfilledCommands: true }, "sends commands again, or late"],
  ["queues", { enableOfflineQueue: true }, "sends commands again, or late"],
  ["changes keys", { keyPrefix: "p:" }, "has a keyPrefix"],
  ["delays", { enableAutoPipelining: true }, "enableAutoPipelining"],
  [
    "has sentinels",
    { sentinels: [{ host: "127.0.0.1", port: 1 }], name: "main" },
    "use cluster(urls) or sentinel(urls",
  ],
])("C241: a client of ioredis that %s is refused", ([, options, message]) => {
  expect(() => fromClient(open("redis://127.0.0.1:1", { lazyConnect: true, ...options }))).toThrow(message);
});

it("C241: what needs a second connection is refused: invalidations, and commands of an application", () => {
  const connection = fromClient(open("redis://127.0.0.1:1"));
  expect(() => redis(connection).valueFormat(json()).build()).toThrow(
    'invalidations cannot be received over a client of ioredis; set coherence("none") and a localTtl, or use ' +
      "redis(url)",
  );
  expect(() => redis(connection).valueFormat(json()).coherence("pubsub").build()).toThrow("coherence");
  expect(() => openConnection(connection)).toThrow("a client of ioredis is for caches alone");
  expect(() => fromClient({} as never)).toThrow("client must be one of node-redis or ioredis");
});

const stored: StoredEntry = { data: Buffer.from("v"), staleInMs: 60_000, expiresInMs: 360_000, meta: "json none" };
