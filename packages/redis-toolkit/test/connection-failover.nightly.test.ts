/** A cluster that loses a primary, and promotes its replica. */
import { cluster } from "@hotset/redis";
import { openConnection } from "@hotset/redis-toolkit/connection";
import { startCluster, untilReplicated } from "@hotset/test-servers";
import { afterAll, expect, it } from "vitest";

const nodes = await startCluster({ replicas: 1, nodeTimeoutMs: 15_000 });
afterAll(() => nodes.stop());

it("a failover in a cluster: reads wait for it, sockets end, subscriptions come back, and the next socket leads to the new primary", async () => {
  await using redis = openConnection(cluster(nodes.urls), {
    responseTimeoutMs: 10_000,
    heartbeatMs: 200,
    backoff: { baseMs: 10, maxMs: 100 },
  });
  const [former] = await nodes.masters();
  const key = await nodes.keyOn(former!);
  await redis.call(["SET", key, "v"], { key });
  await untilReplicated(former!);
  await using exclusive = await redis.open({ role: "exclusive", key });
  await using subscriber = await redis.open({ role: "subscriber", key });
  const received: string[] = [];
  let gaps = 0;
  subscriber.on("gap", () => void (gaps += 1));
  await subscriber.subscribe("shard", key, (message) => void received.push(message.toString()));

  await nodes.nodeTimeout(3_000);
  await former!.kill();
  const reads = Array.from({ length: 100 }, () =>
    redis.call(["GET", key], { key, isReadOnly: true, deadlineMs: 19_000 }),
  );
  const write = redis.call(["SET", key, "w"], { key, deadlineMs: 1_000 }).catch((error: unknown) => error);
  expect(await write).toMatchObject({ code: "BACKEND_UNAVAILABLE" });
  await nodes.waitUntilOk();
  expect(new Set((await Promise.all(reads)).map(String))).toEqual(new Set(["v"]));
  expect(exclusive.isOpen).toBe(false);

  const primary = await nodes.ownerOf(key);
  expect(primary).not.toBe(former);
  await expect.poll(() => gaps).toBe(1);
  await expect.poll(() => redis.call(["SPUBLISH", key, "back"], { key }).catch(() => 0)).toBe(1);
  await expect.poll(() => received).toEqual(["back"]);
  const address = await redis.pool.use(
    async (connection) => {
      expect(String(await connection.call(["GET", key]))).toBe("v");
      return connection.address;
    },
    { key },
  );
  expect(address).toBe(new URL(primary.url).host);
});
