import { createCache, json } from "@hotset/core";
import { memory } from "@hotset/memory";
import { fromClient, redis, type RedisBackend } from "@hotset/redis";
import { randomPrefix, startOwnRedis, startProxy, type OwnRedis } from "@hotset/test-servers";
import { outcome } from "@hotset/testing";
import { describeBackend } from "@hotset/testing/contract-suites";
import { createClient } from "@redis/client";
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from "vitest";
import { RecordingListener } from "./recording-listener.ts";

const connected = async (options: Parameters<typeof createClient>[0]) => {
  const client = createClient(options);
  client.on("error", () => undefined);
  onTestFinished(() => client.destroy());
  await client.connect();
  return client;
};

const open = async (at: string): Promise<RedisBackend> =>
  redis(fromClient(await connected({ url: inject("redisUrl") })))
    .keyPrefix(at)
    .valueFormat(json())
    .responseTimeout("10s")
    .build();
let prefix: string;
describeBackend("redis, a client of the user, several processes", {
  open: () => open((prefix = randomPrefix())),
  openPeer: () => open(prefix),
  unreachable: () =>
    redis(fromClient(createClient({ url: "redis://127.0.0.1:1" })))
      .valueFormat(json())
      .build(),
  expiry: "server",
});

describe("a client of the user", () => {
  let server: OwnRedis;
  beforeAll(async () => {
    server = await startOwnRedis();
  });
  afterAll(() => server.stop());

  it.each([
    ["tracks, although the client handles pushes itself", {}, "tracking"],
    ["tracks beside a cache of its own", { clientSideCache: { ttl: 0, maxEntries: 0 } }, "tracking"],
    ["uses the channel where it speaks RESP2", { RESP: 2 }, "pubsub"],
  ] as const)("%s", async (_, options, mode) => {
    const client = await connected({ url: server.url, ...options });
    const backend = redis(fromClient(client)).valueFormat(json()).coherence(mode).build();
    const listener = new RecordingListener();
    await backend.coherence!.attach(listener);
    expect(backend.coherenceMode).toBe(mode);
    const other = redis(server.url).valueFormat(json()).coherence(mode).responseTimeout("10s").build();
    await other.remove("shop::1");
    await expect.poll(() => listener.received).toEqual(["changed shop::1"]);
    await other.close();
    await backend.close();
    await expect
      .poll(async () => String(await server.command("CLIENT", "LIST")).match(/resp=3/g) ?? [])
      .toHaveLength(options === undefined || !("RESP" in options) ? 1 : 0);
    expect(client.isReady).toBe(true);
  });

  it.for([
    ["that its owner selected", {}],
    ["that its owner selected, over the URL's", { database: 2 }],
    ["of RESP2", { RESP: 2 }],
  ] as const)("confirms writes in the database %s", async ([, options]) => {
    const client = await connected({ url: server.url, ...options });
    await client.select(3);
    const mode = "RESP" in options ? "pubsub" : "tracking";
    const backend = redis(fromClient(client)).valueFormat(json()).coherence(mode).build();
    const cache = createCache({ name: "shop" }).tier(memory()).tier(backend).defaults({ ttl: "1m" }).build();
    await cache.connect();
    const hitsOf = (): number => cache.stats().tiers[0]!.hits;
    // Each write is confirmed behind its acknowledgement, once changes are received: the next turn finds its copy.
    let written = 0;
    await expect
      .poll(async () => {
        const before = hitsOf();
        const value = await cache.get(`k${written}`);
        const hits = hitsOf() - before;
        written += 1;
        await cache.set(`k${written}`, written);
        return value === written - 1 && hits;
      })
      .toBe(1);
    await cache.close();
  });

  it("C86: receives no changes on a connection that was reset, which its heartbeat detects", async () => {
    const duplicates: { sendCommand(args: string[]): Promise<unknown> }[] = [];
    const client = await connected({ url: server.url });
    const duplicate = client.duplicate.bind(client);
    client.duplicate = (overrides) => {
      const made = duplicate(overrides);
      duplicates.push(made);
      return made;
    };
    const backend = redis(fromClient(client)).valueFormat(json()).maxStaleness(400).build();
    const listener = new RecordingListener();
    await backend.coherence!.attach(listener);
    await duplicates.at(-1)!.sendCommand(["RESET"]);
    await expect.poll(() => listener.losses.length).toBe(1);
    await backend.coherence!.attach(listener);
    await server.command("SET", "hotset:shop::1", "x");
    await expect.poll(() => listener.received).toContain("changed shop::1");
    await backend.close();
  });

  it("C82: sends confirmations over the connection that receives changes", async () => {
    await using proxy = await startProxy(server.port);
    const client = await connected({ url: proxy.url });
    const backend = redis(fromClient(client)).valueFormat(json()).maxStaleness(400).responseTimeout("2s").build();
    await backend.coherence!.attach(new RecordingListener());
    const hold = proxy.hold("CLIENT", "reply");
    await hold.reached;
    const confirmed = backend.leases!.confirm("shop::2");
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await outcome(confirmed)).toEqual({ status: "pending" });
    expect(await backend.read("shop::2")).toBe(undefined);
    hold.release();
    expect(await confirmed).toBe("");
    await backend.close();
  });

  it("is not duplicated without a listener", async () => {
    const client = await connected({ url: server.url });
    client.duplicate = () => {
      throw new Error("there is no need");
    };
    const backend = redis(fromClient(client)).valueFormat(json()).build();
    await backend.remove("shop::1");
    expect(await backend.leases!.confirm("shop::1")).toBe("");
    await backend.close();
  });
});
