/** Subscriptions that end and begin while the server has not answered yet. */
import { single } from "@hotset/redis";
import { openConnection } from "@hotset/redis-toolkit/connection";
import { startOwnRedis, startProxy } from "@hotset/test-servers";
import { afterAll, describe, expect, it } from "vitest";

const server = await startOwnRedis();
const proxy = await startProxy(server.port);
afterAll(async () => {
  await proxy.close();
  await server.stop();
});

const KINDS = { channel: "news", pattern: "new?", shard: "news" } as const;

describe.for([3, 2] as const)("over RESP%i", (protocol) => {
  it.for(["channel", "pattern", "shard"] as const)(
    "a name that is subscribed again while its end is under way receives messages: %s",
    async (kind) => {
      await using redis = openConnection(single(proxy.url), { protocol, responseTimeoutMs: 5_000 });
      await using subscriber = await redis.open({ role: "subscriber" });
      const received: string[] = [];
      const subscribe = (name: string) =>
        subscriber.subscribe(kind, KINDS[kind], (message) => void received.push(`${name}: ${message.toString()}`));
      const ended = (await subscribe("first"))();
      const second = subscribe("second");
      await ended;
      const end = await second;
      const publish = kind === "shard" ? "SPUBLISH" : "PUBLISH";
      expect(await redis.call([publish, "news", "a"], { key: "news" })).toBe(1);
      await expect.poll(() => received).toEqual(["second: a"]);
      await end();
      expect(await redis.call([publish, "news", "b"], { key: "news" })).toBe(0);
    },
  );
});
