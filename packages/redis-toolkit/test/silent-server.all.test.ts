/** Errors of commands whose server is silent: which one it is. */
import { json, type StoredEntry } from "@hotset/core";
import { cluster, redis, sentinel, single, type Connection } from "@hotset/redis";
import { hashSlot, openConnection } from "@hotset/redis-toolkit/connection";
import {
  randomPrefix,
  startAclRedis,
  startCluster,
  startProxy,
  startSentinel,
  type ClusterNode,
  type TestCluster,
} from "@hotset/test-servers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const PASSWORD = "hunter2";
const stored: StoredEntry = { data: Buffer.from("v"), staleInMs: 60_000, expiresInMs: 60_000, meta: "json none" };

const backendOver = (
  connection: Connection,
  layout: "full" | "string" = "full",
  responseTimeout: "1s" | "1100ms" = "1s",
) =>
  redis(connection)
    .valueFormat(json())
    .keyPrefix(randomPrefix())
    .layout(layout)
    .coherence("none")
    .responseTimeout(responseTimeout)
    .build();

const messageOf = async (call: Promise<unknown>): Promise<string> => {
  const message = await call.then(
    () => "no error",
    (error: unknown) => (error as Error).message,
  );
  expect(message).not.toContain(PASSWORD);
  return message;
};

/** Calls until there is an answer: a first call waits for its connection, which may take longer than its deadline. */
const answered = (call: () => Promise<unknown>): Promise<void> => expect.poll(() => messageOf(call())).toBe("no error");

const LISTENS = "check that Redis listens there, with TLS or without as the URL says, and that it is not";

describe("the error of a command that was not answered, or not sent, names the silent server", () => {
  it("which is the only one", async () => {
    await using server = await startAclRedis({ users: [`user secret on >${PASSWORD} ~* +@all`] });
    await using proxy = await startProxy(server.port);
    const connection = single(`redis://secret:${PASSWORD}@127.0.0.1:${proxy.port}`);
    // Other settings, so that it has a connection of its own.
    const [used, unused] = [backendOver(connection), backendOver(connection, "string", "1100ms")];
    const calls = openConnection(connection, { responseTimeoutMs: 1_000 });
    await Promise.all([used.connect!(), calls.connect()]);
    const own = await calls.open({ role: "exclusive" });
    proxy.stall();
    const found = await Promise.all(
      [
        used.read("k"),
        used.write("k", stored),
        used.tagVersions!.read(["t"]),
        unused.read("k"),
        calls.call(["GET", "k"]),
        own.call(["GET", "k"]),
      ].map(messageOf),
    );
    await proxy.pass();
    await Promise.all([used.close(), unused.close(), calls.close()]);
    const [at, advice] = [`127.0.0.1:${proxy.port}`, "check responseTimeout, and whether Redis is"];
    expect(found.map((message) => message.split(" overloaded")[0])).toEqual([
      `redis: read was not answered within 1000 ms by ${at}; ${advice}`,
      `redis: write was not answered within 1000 ms by ${at}; ${advice}`,
      `redis: tags was not answered within 1000 ms by ${at}; ${advice}`,
      `redis: read was not sent within 1100 ms to ${at}; ${LISTENS}`,
      `redis: GET was not answered within 1000 ms by ${at}; ${advice}`,
      `redis: GET was not answered within 1000 ms by ${at}; ${advice}`,
    ]);
  });

  it("which sentinels have named", async () => {
    await using group = await startSentinel({ downAfterMs: 30_000 });
    await using proxy = await startProxy((await group.primary()).port);
    const backend = backendOver(
      sentinel(
        group.sentinels.map(({ url }) => url),
        { primaryName: group.name, resolveAddress: () => proxy },
      ),
    );
    await backend.connect!();
    proxy.stall();
    const message = await messageOf(backend.read("k"));
    await proxy.pass();
    await backend.close();
    expect(message).toMatch(new RegExp(`^redis: read was not answered within 1000 ms by 127.0.0.1:${proxy.port};`));
  });

  describe("among the primaries of a cluster", () => {
    let servers: TestCluster;
    let silent: ClusterNode;
    let living: ClusterNode;
    beforeAll(async () => {
      servers = await startCluster({ replicas: 0, proxied: true });
      [silent, living] = (await servers.masters()) as unknown as readonly [ClusterNode, ClusterNode];
    });
    afterAll(() => servers.stop());

    it.each(["full", "string"] as const)("layout %s", async (layout) => {
      const prefix = randomPrefix();
      const backend = redis(cluster(servers.urls))
        .valueFormat(json())
        .keyPrefix(prefix)
        .layout(layout)
        .coherence("none")
        .responseTimeout("1s")
        .build();
      const keysOf = async (node: ClusterNode): Promise<string[]> => {
        const keys = Array.from({ length: 50 }, (_, i) => `k${i}`);
        const owners = await Promise.all(keys.map((key) => servers.ownerOf(`${prefix}:${key}`)));
        return keys.filter((_, i) => owners[i] === node);
      };
      const [dead, dead2, alive] = [...(await keysOf(silent)).slice(0, 2), (await keysOf(living))[0]!] as [
        string,
        string,
        string,
      ];
      await Promise.all([dead, alive].map((key) => answered(() => backend.write(key, stored))));
      silent.proxy!.stall();
      const [messages, [one, other]] = await Promise.all([
        Promise.all(
          [backend.read(dead), backend.write(dead, stored), backend.batch!.read([dead, dead2])].map(messageOf),
        ),
        backend.batch!.read([alive, dead]),
      ] as const);
      await silent.proxy!.pass();
      await backend.close();
      // The deadline of the call, or that of its connection to the node, passes first.
      const by = `was not answered within 1000 ms by 127.0.0.1:${silent.proxy!.port};`;
      expect(messages).toEqual([by, by, by].map((text) => expect.stringContaining(text)));
      expect((one as StoredEntry).data.toString()).toBe("v");
      expect((other as Error).message).toContain(by);
    });

    it("after a redirection too", async () => {
      const connection = openConnection(cluster([living.url]), { responseTimeoutMs: 1_000 });
      await connection.connect();
      const key = await servers.keyOn(living, "moved");
      for (const each of [key, await servers.keyOn(silent, "there")])
        await answered(() => connection.call(["GET", each], { key: each }));
      const move = await servers.migrateHalfway(hashSlot(key), silent);
      silent.proxy!.stall();
      const messages = await Promise.all(
        [connection.call(["GET", key], { key }), connection.burst(key, [["GET", key]])].map(messageOf),
      );
      await silent.proxy!.pass();
      await move.finish();
      await connection.close();
      for (const message of messages)
        expect(message).toContain(`was not answered within 1000 ms by 127.0.0.1:${silent.proxy!.port};`);
    });
  });
});
