/** Sockets beside the shared one serve other calls later, or listen for all: they live in the context of none. */
import { AsyncLocalStorage } from "node:async_hooks";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { sentinel, single } from "@hotset/redis";
import { openConnection } from "@hotset/redis-toolkit/connection";
import { startOwnRedis, startSentinel } from "@hotset/test-servers";
import { expect, it } from "vitest";

it("a socket of the pool does not keep the request in memory that opened it", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  await using server = await startOwnRedis();
  await using redis = openConnection(single(server.url));
  const request = new AsyncLocalStorage<object>();
  const serve = async (): Promise<WeakRef<object>> => {
    const first = { id: "first" };
    await request.run(first, () => redis.pool.use((socket) => socket.call(["PING"])));
    return new WeakRef(first);
  };
  const first = await serve();
  await redis.pool.use((socket) => socket.call(["PING"]));
  await expect
    .poll(() => {
      collect();
      return first.deref();
    })
    .toBe(undefined);
  expect(redis.pool.status.size).toBe(1);
});

it("behind sentinels, what they announce to all is looked at in the async context of no call", async () => {
  await using group = await startSentinel({ downAfterMs: 30_000 });
  const request = new AsyncLocalStorage<string>();
  const namedIn: unknown[] = [];
  await using redis = openConnection(
    sentinel(
      group.sentinels.map(({ url }) => url),
      {
        primaryName: group.name,
        resolveAddress(address) {
          namedIn.push(request.getStore());
          return address;
        },
      },
    ),
  );
  await using socket = await request.run("first", () => redis.open({ role: "exclusive" }));
  await socket.call(["PING"]);
  namedIn.length = 0;
  await group.failover();
  await expect.poll(() => socket.isOpen).toBe(false);
  expect(new Set(namedIn)).toEqual(new Set([undefined]));
});
