import { json, type StoredEntry } from "@hotset/core";
import { fromClient, redis, type RedisBackend, type RedisBackendSettings } from "@hotset/redis";
import { startAclRedis, startOwnRedis, startProxy, type FaultProxy, type OwnRedis } from "@hotset/test-servers";
import { createClient } from "@redis/client";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RecordingListener } from "./recording-listener.ts";

const stored = (data: string): StoredEntry => ({
  data: Buffer.from(data),
  staleInMs: 60_000,
  expiresInMs: 360_000,
  meta: "json none",
});
const MAX_STALENESS_MS = 400;

/**
 * Calls and messages use separate connections, which may lead to different servers: a message of one says nothing about
 * the other.
 */
describe("connections whose host name leads to another server", () => {
  let before: OwnRedis;
  let after: OwnRedis;
  let proxy: FaultProxy;
  let backend: RedisBackend;
  const clients: { destroy(): void }[] = [];
  const listener = new RecordingListener();
  /** Attaches as a cache does: again in the tick of the loss. */
  const listen = (): void => {
    listener.lost = (error) => {
      RecordingListener.prototype.lost.call(listener, error);
      backend.coherence!.attach(listener).catch(() => undefined);
    };
  };

  beforeEach(async () => {
    [before, after] = await Promise.all([startOwnRedis(), startOwnRedis()]);
    proxy = await startProxy(before.port);
  });
  afterEach(async () => {
    await backend.close();
    for (const client of clients.splice(0)) client.destroy();
    await proxy.close();
    await Promise.all([before.stop(), after.stop()]);
    listener.received.splice(0);
    listener.losses.splice(0);
    listener.signs.splice(0);
  });

  const built = <Builder extends RedisBackendSettings>(builder: Builder, mode: "tracking" | "pubsub"): RedisBackend =>
    builder.valueFormat(json()).coherence(mode).maxStaleness(MAX_STALENESS_MS).responseTimeout("1s").build();
  const attached = async (): Promise<void> => {
    listen();
    await backend.coherence!.attach(listener);
    await backend.write("shop::k", stored("before"));
    const direct = redis(after.url).valueFormat(json()).coherence("none").responseTimeout("10s").build();
    await direct.write("shop::k", stored("after"));
    await direct.close();
    proxy.lead(after.port);
    listener.take();
  };
  /** Waits until the calls have moved. */
  const moved = (): Promise<void> =>
    expect
      .poll(async () => Buffer.from((await backend.read("shop::k").catch(() => undefined))?.data ?? "").toString(), {
        interval: 1,
      })
      .toBe("after");
  const hearsAgain = async (): Promise<void> => {
    const other = redis(after.url).valueFormat(json()).coherence("pubsub").responseTimeout("10s").build();
    await expect
      .poll(async () => {
        await backend.read("shop::later").catch(() => undefined);
        await other.write("shop::later", stored("later"));
        return listener.received;
      })
      .toContain("changed shop::later");
    await other.close();
  };

  it("C86 C91: the channel follows the calls to the new server, and the move is reported before any read", async () => {
    backend = built(redis(proxy.url).backoff({ base: 1, max: 20 }), "pubsub");
    await attached();
    // The subscribed connection stays where it was.
    await before.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await moved();
    expect(listener.received.slice(0, 2)).toEqual(["replaced", "lost"]);
    await hearsAgain();
    expect(listener.received.filter((line) => line === "replaced")).toHaveLength(1);
  });

  it("C86 C91: the calls follow the channel to the new server", async () => {
    backend = built(redis(proxy.url).backoff({ base: 1, max: 20 }), "pubsub");
    await attached();
    await before.command("CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes");
    await moved();
    expect(listener.received.slice(0, 2)).toEqual(["lost", "replaced"]);
    await hearsAgain();
  });

  it.each(["tracking", "pubsub"] as const)(
    "C86 C91: coherence by %s follows a client of the user, and the move is reported before any read",
    async (mode) => {
      const client = createClient({ url: proxy.url, socket: { reconnectStrategy: () => 1 } });
      client.on("error", () => undefined);
      clients.push(client);
      await client.connect();
      backend = built(redis(fromClient(client)), mode);
      await attached();
      await before.command("CLIENT", "KILL", "ID", String(await client.sendCommand(["CLIENT", "ID"])));
      await moved();
      expect(listener.received.slice(0, 2)).toEqual(["replaced", "lost"]);
      await hearsAgain();
      expect(listener.received.filter((line) => line === "replaced")).toHaveLength(1);
    },
  );

  it("C91: a client of the user that stays with the old server gets no sign of life from the new one", async () => {
    const client = createClient({ url: proxy.url });
    client.on("error", () => undefined);
    clients.push(client);
    await client.connect();
    backend = built(redis(fromClient(client)), "tracking");
    await attached();
    await before.command(
      "CLIENT",
      "KILL",
      "TYPE",
      "normal",
      "SKIPME",
      "yes",
      "ID",
      String(await ofDuplicate(before, client)),
    );
    await expect.poll(() => listener.received).toContain("replaced");
    listener.signs.splice(0);
    await new Promise((resolve) => setTimeout(resolve, MAX_STALENESS_MS));
    expect(listener.signs).toEqual([]);
  });

  it("C86: a server that does not identify itself counts as another one at each connection", async () => {
    const rules =
      "~hotset:* ~hotset~* &hotset~changes +ping +pttl +hmget +mget +script|load +evalsha +eval +hset +hdel +hstrlen +rename +hincrby +del +pexpire +persist +set +get +getex +time +client|id +client|kill +subscribe +unsubscribe +publish";
    const [one, other] = await Promise.all([startAclRedis({ appRules: rules }), startAclRedis({ appRules: rules })]);
    await using _ends = { [Symbol.asyncDispose]: async () => void (await Promise.all([one.stop(), other.stop()])) };
    proxy.lead(one.port);
    backend = built(redis(`redis://app:apppass@127.0.0.1:${proxy.port}`).backoff({ base: 1, max: 20 }), "pubsub");
    listen();
    await backend.coherence!.attach(listener);
    listener.take();
    proxy.lead(other.port);
    await one.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await expect
      .poll(() => backend.read("shop::k").then(() => listener.received.slice(0, 2)), { interval: 1 })
      .toEqual(["replaced", "lost"]);
  });
});

/** The id of the other connection that the client's user has there. */
async function ofDuplicate(
  server: OwnRedis,
  client: { sendCommand(args: string[]): Promise<unknown> },
): Promise<number> {
  const own = Number(await client.sendCommand(["CLIENT", "ID"]));
  const list = String(await server.command("CLIENT", "LIST", "TYPE", "normal"));
  const ids = [...list.matchAll(/^id=(\d+) .*flags=(\S*t\S*) /gm)].map(([, id]) => Number(id));
  const [id] = ids.filter((each) => each !== own);
  if (id === undefined) throw new Error(`no tracking client in ${list}`);
  return id;
}
