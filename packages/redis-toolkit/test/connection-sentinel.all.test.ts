/** Failovers behind sentinels, with many sockets over one connection. */
import { sentinel } from "@hotset/redis";
import { openConnection, type RedisConnection } from "@hotset/redis-toolkit/connection";
import { RespClient, startProxy, startSentinel } from "@hotset/test-servers";
import { afterAll, expect, it, vi } from "vitest";

const group = await startSentinel({ downAfterMs: 30_000 });
afterAll(() => group.stop());

const open = (protocol: 2 | 3, urls = group.sentinels.map(({ url }) => url)): RedisConnection =>
  openConnection(sentinel(urls, { primaryName: group.name }), {
    responseTimeoutMs: 10_000,
    backoff: { baseMs: 10, maxMs: 100 },
    protocol,
    heartbeatMs: 200,
    clientName: `watch${protocol}`,
  });

/** Connections to the sentinels, of this connection alone. */
async function watchers(name: string, urls = group.sentinels.map(({ url }) => url)): Promise<number> {
  const lists = await Promise.all(
    urls.map(async (url) => {
      const client = RespClient.fromUrl(url);
      try {
        return String(await client.command("CLIENT", "LIST"));
      } finally {
        client.close();
      }
    }),
  );
  return lists.flatMap((list) => list.split("\n")).filter((line) => line.includes(`name=${name} `)).length;
}

it.each([3, 2] as const)(
  "one watcher of the sentinels serves all sockets, and a failover ends each of them: RESP%i",
  async (protocol) => {
    await using redis = open(protocol);
    await redis.call(["SET", "k", "before"]);
    const exclusive = await Promise.all([1, 2, 3].map(() => redis.open({ role: "exclusive" })));
    const lost: number[] = [];
    exclusive.forEach((each, i) => each.onLost(() => void lost.push(i)));
    await using subscriber = await redis.open({ role: "subscriber" });
    let gaps = 0;
    subscriber.on("gap", () => void (gaps += 1));
    await subscriber.subscribe("channel", "news", () => undefined);
    await expect.poll(() => watchers(`watch${protocol}`)).toBe(1);

    // The old primary lives on, so no socket is lost by itself.
    const former = await group.primary();
    const primary = await group.failover();
    await expect.poll(() => lost.length).toBe(3);
    await expect.poll(() => gaps).toBe(1);
    expect(exclusive.map(({ isOpen }) => isOpen)).toEqual([false, false, false]);
    await expect.poll(() => redis.call(["SET", "k", "after"]).catch(() => undefined)).toBe("OK");
    expect(await primary.command("GET", "k")).toBe("after");
    await using next = await redis.open({ role: "exclusive" });
    expect(next.address).toBe(`127.0.0.1:${primary.port}`);
    expect(former).not.toBe(primary);
    await expect.poll(() => watchers(`watch${protocol}`)).toBe(1);
    await redis.close();
    await expect.poll(() => watchers(`watch${protocol}`)).toBe(0);
  },
);

it("a blocking call that a failover ends is refused as retryable", async () => {
  await using redis = open(3);
  await using blocking = await redis.open({ role: "blocking" });
  const popped = blocking.call(["BLPOP", "none", "30"], { blockMs: 30_000 }).catch((error: unknown) => error);
  await expect.poll(async () => (await (await group.primary()).info("clients"))["blocked_clients"]).toBe("1");
  await group.failover();
  const error = (await popped) as Error & { readonly retryable?: boolean };
  // The server unblocks it before the sentinels announce the failover, or after.
  expect(error.retryable === true || error.message.startsWith("UNBLOCKED ")).toBe(true);
});

it("a socket that is opened later asks no sentinel over a connection of its own", async () => {
  const paths = await Promise.all(group.sentinels.map(({ port }) => startProxy(port)));
  const opened = (): number => paths.reduce((sum, { counts }) => sum + counts.connections, 0);
  {
    await using redis = open(
      3,
      paths.map(({ url }) => url),
    );
    await redis.call(["PING"]);
    // Each sentinel was asked, and one is listened to.
    await expect.poll(opened).toBe(paths.length + 1);
    await expect.poll(() => watchers("watch3")).toBe(1);
    for (let i = 0; i < 3; i += 1) await (await redis.open({ role: "exclusive" })).call(["PING"]);
    expect(opened()).toBe(paths.length + 1);
  }
  await Promise.all(paths.map((path) => path[Symbol.asyncDispose]()));
});

it("a sentinel that contradicts the others ends a connection at most once, and is left for the next one", async () => {
  // In a group of its own: the others of one group would correct it.
  await using misled = await startSentinel({ replicas: 0, downAfterMs: 30_000 });
  const [decoy] = misled.servers;
  const primary = await group.primary();
  const urls = [misled.sentinels[0]!.url, ...group.sentinels.slice(1).map(({ url }) => url)];
  // It is listened to first.
  using _first = vi.spyOn(Math, "random").mockReturnValue(0);
  await using redis = open(3, urls);
  let losses = 0;
  redis.on("down", () => void (losses += 1));
  await expect.poll(() => redis.call(["SET", "k", "value"]).catch(() => undefined)).toBe("OK");
  await expect.poll(() => losses).toBe(1);
  await expect.poll(() => Promise.all(urls.map((url) => watchers("watch3", [url])))).toEqual([0, 1, 0]);
  expect(await primary.command("GET", "k")).toBe("value");
  await using socket = await redis.open({ role: "exclusive" });
  expect(await socket.call(["PING"])).toBe("PONG");
  expect([losses, redis.isUp, socket.isOpen]).toEqual([1, true, true]);
  expect(await decoy!.command("DBSIZE")).toBe(0);
});
