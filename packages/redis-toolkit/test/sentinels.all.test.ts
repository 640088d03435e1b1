/** All sockets of one Redis behind sentinels, through a failover. */
import { sentinel } from "@hotset/redis";
import { createRedis } from "@hotset/redis-toolkit";
import { pubsub } from "@hotset/redis-toolkit/pubsub";
import { RespClient, startProxy, startSentinel } from "@hotset/test-servers";
import { afterAll, expect, it, vi } from "vitest";
import { ALONE } from "./servers.ts";

// A failover begins by a command. No sentinel may think a primary down that is only slow.
const group = await startSentinel({ downAfterMs: 30_000 });
const proxies = await Promise.all(group.sentinels.map(({ port }) => startProxy(port)));
afterAll(() => Promise.all([...proxies, group].map((each) => each[Symbol.asyncDispose]())));

/** Connections to the sentinels that were ever made. */
const connections = (): number => proxies.reduce((sum, { counts }) => sum + counts.connections, 0);

/** Connections of this name that there are now. */
async function watchers(name: string): Promise<number> {
  const lists = await Promise.all(
    group.sentinels.map(async ({ url }) => {
      const client = RespClient.fromUrl(url);
      try {
        return String(await client.command("CLIENT", "LIST")).split("\n");
      } finally {
        client.close();
      }
    }),
  );
  return lists.flat().filter((line) => line.includes(`name=${name} `)).length;
}

it.each([3, 2] as const)(
  "sockets of all kinds and a failover share one watcher, and what it knows: RESP%i",
  async (protocol) => {
    // It listens to the first sentinel, which begins the failover, so learns of it first.
    using _first = vi.spyOn(Math, "random").mockReturnValue(0);
    const connection = sentinel(
      proxies.map(({ url }) => url),
      { primaryName: group.name },
    );
    const clientName = `all${protocol}`;
    await using redis = createRedis({ ...ALONE, connection, protocol, clientName, pool: { max: 4 } });
    const before = connections();
    const opened = (): number => connections() - before;
    await redis.initialize();
    await expect.poll(() => watchers(clientName)).toBe(1);
    const pop = (): Promise<unknown>[] =>
      Array.from({ length: 5 }, (_, i) => redis.commands.blPop(`list ${i}`, 0).catch((error: unknown) => error));
    const use = (): Promise<unknown> =>
      Promise.all(Array.from({ length: 4 }, (_, i) => redis.pool.use((own) => own.set(`pool ${i}`, "value"))));
    const lost = pop();
    const news = pubsub(redis).channel<string>("news");
    await using subscription = await news.subscribe();
    await use();
    // Each sentinel was asked once, and one is listened to; over RESP2 each of the ten sockets asks that one anew.
    const most = 4 + (protocol === 3 ? 0 : 1 + 10);
    expect(opened()).toBeLessThanOrEqual(most);

    await group.failover();
    for (const error of await Promise.all(lost)) expect(error).toMatchObject({ code: "BACKEND_UNAVAILABLE" });
    await expect.poll(() => redis.commands.set("key", "after").catch(() => undefined)).toBe("set");
    const popped = pop();
    await use();
    const primary = await group.primary();
    for (const i of popped.keys()) await primary.command("RPUSH", `list ${i}`, "value");
    expect(await Promise.all(popped)).toEqual(popped.map((_, i) => ({ key: `list ${i}`, element: "value" })));
    expect(await primary.command("EXISTS", "pool 0", "pool 1", "pool 2", "pool 3", "key")).toBe(5);
    const events = subscription[Symbol.asyncIterator]();
    expect((await events.next()).value).toMatchObject({ kind: "gap" });
    await expect.poll(() => news.publish("after")).toBe(1);
    expect((await events.next()).value).toMatchObject({ kind: "message", message: "after" });
    await expect.poll(() => watchers(clientName)).toBe(1);
    expect(opened()).toBeLessThanOrEqual(most + (protocol === 3 ? 0 : 11));
    await redis.disconnect();
    await expect.poll(() => watchers(clientName)).toBe(0);
  },
);
