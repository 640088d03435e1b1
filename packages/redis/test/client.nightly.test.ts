import { json } from "@hotset/core";
import { fromClient, redis, type RedisBackend } from "@hotset/redis";
import { startOwnRedis, startProxy, type FaultProxy, type OwnRedis } from "@hotset/test-servers";
import { createClient } from "@redis/client";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { stored } from "./stored.ts";

const DEADLINE_MS = 1_000;

type Client = ReturnType<typeof createClient>;

const clients: Client[] = [];
async function connected(options: Parameters<typeof createClient>[0]): Promise<Client> {
  const client = createClient(options);
  client.on("error", () => undefined);
  clients.push(client);
  await client.connect();
  return client;
}
afterEach(() => {
  for (const client of clients.splice(0)) if (client.isOpen) client.destroy();
});

describe("a client of the user", () => {
  let server: OwnRedis;
  let proxy: FaultProxy;
  let client: Client;
  let backend: RedisBackend;

  beforeAll(async () => {
    server = await startOwnRedis();
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    proxy = await startProxy(server.port);
    client = await connected({ url: proxy.url, socket: { reconnectStrategy: () => 20 } });
    backend = redis(fromClient(client)).valueFormat(json()).responseTimeout(DEADLINE_MS).build();
    proxy.resetCounts();
  });
  afterEach(async () => {
    await backend.close();
    await proxy.close();
  });

  it("is shared with the user, and not closed by the backend", async () => {
    const { length } = client.listeners("error");
    const other = redis(fromClient(client)).valueFormat(json()).build();
    await Promise.all([other.read("shop::1"), client.set("own", "value")]);
    await other.close();
    expect(client.isOpen).toBe(true);
    expect(await client.get("own")).toBe("value");
    expect(client.listeners("error")).toHaveLength(length);
    expect(proxy.counts.connections).toBe(0);
  });

  it("however many backends share it, it has one listener more for each event, none after the last close, and each backend notices a lost connection", async () => {
    const counts = (): readonly number[] =>
      ["error", "reconnecting", "end", "ready"].map((event) => client.listeners(event as "error").length);
    await backend.close();
    const before = counts();
    const backends = Array.from({ length: 12 }, () => redis(fromClient(client)).valueFormat(json()).build());
    expect(counts()).toEqual(before.map((count) => count + 1));
    for (const each of backends) await each.write("shop::1", stored());
    await proxy.refuse();
    proxy.cut();
    await expect.poll(() => client.isReady).toBe(false);
    for (const each of backends) await expect(each.read("shop::1")).rejects.toThrow("has no connection at the moment");
    for (const each of backends) await each.close();
    expect(counts()).toEqual(before);
  });

  it("gets commands without its own timeout, which would cost more than the commands", async () => {
    await backend.write("shop::1", stored());
    const timeouts: (number | undefined)[] = [];
    const original = AbortSignal.timeout;
    AbortSignal.timeout = (ms) => (timeouts.push(ms), original(ms));
    await backend.read("shop::1");
    expect(timeouts).toEqual([]);
    await client.get("own");
    expect(timeouts).toEqual([5_000]);
    AbortSignal.timeout = original;
  });

  it("A15: makes calls fail at once while it has no connection, and queues nothing to execute later", async () => {
    await backend.write("shop::1", stored());
    await proxy.refuse();
    proxy.cut();
    await expect.poll(() => client.isReady).toBe(false);
    await expect(backend.write("shop::late", stored())).rejects.toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      retryable: true,
      maybeExecuted: false,
    });
    await proxy.pass();
    await expect.poll(() => backend.read("shop::1").then((entry) => entry?.data.toString())).toBe("value");
    expect(await server.command("EXISTS", "hotset:shop::late")).toBe(0);
  });

  it("may reconnect by itself; calls and scripts then work again", async () => {
    await backend.write("shop::1", stored());
    await server.command("SCRIPT", "FLUSH");
    proxy.cut();
    await expect.poll(() => backend.write("shop::2", stored()).then(() => "written")).toBe("written");
    expect(proxy.counts.commandsByName["EVAL"]).toBe(undefined);
  });

  it("A10: has calls end by the deadline of the backend", async () => {
    await backend.connect!();
    const hold = proxy.hold("HMGET", "reply");
    const read = backend.read("shop::1");
    await expect(read).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE", maybeExecuted: true });
    hold.release();
    expect(await client.ping()).toBe("PONG");
  });

  it("stays closed when the user closes it", async () => {
    await backend.read("shop::1");
    await client.close();
    await expect(backend.read("shop::1")).rejects.toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      maybeExecuted: false,
      message: expect.stringContaining("is not open"),
    });
  });
});

describe("a unix socket", () => {
  it("R1-01: connects to a server, and selects a database", async () => {
    await using server = await startOwnRedis({ password: "p/w" });
    const backend = redis(`unix://:p%2Fw@${server.socketPath}?db=3`).valueFormat(json()).responseTimeout("10s").build();
    await backend.write("shop::1", stored());
    expect((await backend.read("shop::1"))?.data).toEqual(Buffer.from("value"));
    expect(await server.command("EXISTS", "hotset:shop::1")).toBe(0);
    await server.command("SELECT", 3);
    expect(await server.command("EXISTS", "hotset:shop::1")).toBe(1);
    await backend.close();
  });
});
