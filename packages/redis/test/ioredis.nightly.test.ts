import { once } from "node:events";
import { inspect } from "node:util";
/** Clients of ioredis 5 and 6 in `fromClient`: the backend of a cache. */
import { createCache, json, type Cache, type StoredEntry } from "@hotset/core";
import { memory } from "@hotset/memory";
import { fromClient, redis, type RedisBackend } from "@hotset/redis";
import { randomPrefix, startOwnRedis, startProxy, type FaultProxy, type OwnRedis } from "@hotset/test-servers";
import { describeBackend } from "@hotset/testing/contract-suites";
import { Redis, type RedisOptions } from "ioredis";
import { Redis as Redis6 } from "ioredis6";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from "vitest";

const VERSIONS = { 5: Redis, 6: Redis6 as unknown as typeof Redis };
type Version = keyof typeof VERSIONS;

const clients: Redis[] = [];
function open(url: string, options: RedisOptions = {}, version: Version = 5): Redis {
  const safe = { autoResendUnfulfilledCommands: false, enableOfflineQueue: false, ...options };
  const client = new VERSIONS[version](url, safe);
  client.on("error", () => undefined);
  clients.push(client);
  return client;
}
async function ready(url: string, options?: RedisOptions, version?: Version): Promise<Redis> {
  const client = open(url, options, version);
  await once(client, "ready");
  return client;
}
afterEach(() => {
  for (const client of clients.splice(0)) client.disconnect();
});

const over = (client: Redis) => redis(fromClient(client)).valueFormat(json()).coherence("none");

describe.each([5, 6] as const)("a client of ioredis %d", (version) => {
  const heard = async (at: string): Promise<RedisBackend> =>
    over(await ready(inject("redisUrl"), {}, version))
      .coherence("pubsub")
      .keyPrefix(at)
      .responseTimeout("10s")
      .build();
  let prefix: string;
  describeBackend("redis, clients of ioredis, several processes", {
    open: () => heard((prefix = randomPrefix())),
    openPeer: () => heard(prefix),
    unreachable: () => over(open("redis://127.0.0.1:1", {}, version)).build(),
    expiry: "server",
  });

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
    client = await ready(proxy.url, { retryStrategy: () => 20 }, version);
    backend = over(client).responseTimeout("1s").build();
  });
  afterEach(async () => {
    await backend.close();
    await proxy.close();
  });

  it("serves a cache: tags, leases, large values, and two processes", async () => {
    const caches = [client, await ready(server.url, {}, version)].map((each) =>
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

  it("C81: keeps copies in memory current over its channel, also after a connection was lost", async () => {
    const build = (each: Redis): Cache =>
      createCache({ name: "shop" })
        .tier(memory())
        .tier(over(each).coherence("pubsub").responseTimeout("10s").build())
        .defaults({ ttl: "1m" })
        .build();
    await using one = build(client);
    await using other = build(await ready(server.url, {}, version));
    for (let round = 0; round < 2; round += 1) {
      await expect.poll(() => other.set("k", round)).toMatchObject({ status: "stored" });
      await expect.poll(() => one.get("k")).toBe(round);
      await other.set("k", "new");
      await expect.poll(() => one.get("k")).toBe("new");
      proxy.cut();
    }
    await Promise.all([one.close(), other.close()]);
    // No duplicate is left.
    await expect.poll(async () => (await server.command("CLIENT", "LIST", "TYPE", "pubsub")) as string).toBe("");
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

  it("is left as it was: its own listeners, and open; backends over it share theirs", async () => {
    const own = await ready(server.url, {}, version);
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
])("a client of ioredis that %s is refused", ([, options, message]) => {
  expect(() => fromClient(open("redis://127.0.0.1:1", { lazyConnect: true, ...options }))).toThrow(message);
});

it("tracking is refused, and replies that ioredis 6 gives other shapes", () => {
  const connection = fromClient(open("redis://127.0.0.1:1"));
  expect(() => redis(connection).valueFormat(json()).build()).toThrow(
    'tracking does not work over a client of ioredis, which drops what the server pushes; set coherence("pubsub")',
  );
  const options = { replyMapping: "resp3", protocol: 3, lazyConnect: true } as RedisOptions;
  expect(() => fromClient(open("redis://127.0.0.1:1", options, 6))).toThrow('replyMapping: "resp3"; remove it');
  expect(() => fromClient({} as never)).toThrow(/node-redis or ioredis;.*createTestCache/);
});

const stored: StoredEntry = { data: Buffer.from("v"), staleInMs: 60_000, expiresInMs: 360_000, meta: "json none" };
