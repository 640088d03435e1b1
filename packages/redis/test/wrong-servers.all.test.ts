/** Servers that the cache cannot use: each says so, once, in words that name the way out. */
import { connect, createServer, type AddressInfo, type Server } from "node:net";
import { createCache, json, type BackendUnavailableError } from "@hotset/core";
import { fromClient, redis } from "@hotset/redis";
import { startCluster, startOwnRedis, type OwnRedis } from "@hotset/test-servers";
import { createClient } from "@redis/client";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";

describe("a server that is older than Redis 7", () => {
  let server: OwnRedis;
  /** In front of it: its INFO states another version. */
  let old: Server;
  let url: string;
  let connections = 0;
  beforeAll(async () => {
    server = await startOwnRedis();
    old = createServer((client) => {
      connections += 1;
      const upstream = connect(server.port);
      client.pipe(upstream);
      upstream.on("data", (data) =>
        client.write(
          data
            .toString("latin1")
            .replace(/redis_version:\d(?=\.)/, "redis_version:6")
            .replace("valkey_version", "valkey-version"),
          "latin1",
        ),
      );
      for (const socket of [client, upstream])
        socket.on("error", () => undefined).on("close", () => void (client.destroy(), upstream.destroy()));
    });
    await new Promise<void>((resolve) => old.listen(0, "127.0.0.1", resolve));
    url = `redis://127.0.0.1:${(old.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    old.close();
    await server.stop();
  });

  it("is refused by a sentence, and not tried again and again", async () => {
    const backend = redis(url).valueFormat(json()).build();
    onTestFinished(() => backend.close());
    await expect(backend.connect!()).rejects.toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      retryable: false,
      message: expect.stringMatching(/^Redis 6\.\S+ is too old: hotset needs Redis 7\.0 or later/),
    });
    const before = connections;
    for (let i = 0; i < 20; i += 1)
      await expect(backend.read("shop::k")).rejects.toMatchObject({ message: expect.stringContaining("is too old") });
    expect(connections - before).toBeLessThanOrEqual(1);
  });

  it("is refused by a client of the user, too", async () => {
    const client = await createClient({ url, RESP: 3 }).connect();
    const backend = redis(fromClient(client)).valueFormat(json()).build();
    onTestFinished(async () => {
      await backend.close();
      client.destroy();
    });
    await expect(backend.connect!()).rejects.toMatchObject({ message: expect.stringContaining("is too old") });
  });
});

it("single(url) at a node of a cluster: the error says cluster(), and loads go on", async () => {
  await using servers = await startCluster();
  const cache = createCache({ name: "shop" })
    .tier(redis(servers.urls[0]!).valueFormat(json()).build())
    .defaults({ ttl: "1m" })
    .build();
  onTestFinished(() => cache.close({ timeout: 0 }));
  const errors: BackendUnavailableError[] = [];
  cache.on("backend:error", ({ error }) => errors.push(error as BackendUnavailableError));
  for (let i = 0; i < 30; i += 1) expect(await cache.getOrSet(`k${i}`, () => i)).toBe(i);
  const moved = errors.filter(({ message }) => message.includes("MOVED"));
  expect(moved.length).toBeGreaterThan(0);
  for (const error of moved) {
    expect(error).toMatchObject({ code: "BACKEND_UNAVAILABLE", retryable: false, maybeExecuted: false });
    expect(error.message).toContain("connect by cluster([url])");
  }
});
