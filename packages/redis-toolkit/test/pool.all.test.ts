import { createRedis } from "@hotset/redis-toolkit";
import { freePort, isNightly, startOwnRedis } from "@hotset/test-servers";
import { expect, it } from "vitest";
import { ALONE } from "./servers.ts";

const OPERATIONS = isNightly ? 50_000 : 10_000;

it.each([10, 100, 500])(
  `A24: %d exclusive connections complete ${OPERATIONS} mixed commands without an error`,
  async (max) => {
    await using own = await startOwnRedis();
    await using redis = createRedis({
      ...ALONE,
      url: own.url,
      commandTimeout: "20s",
      connectTimeout: "30s",
      pool: { max, wait: "20s" },
    });
    let most = 0;
    const borrowed = Array.from({ length: max }, (_, i) =>
      redis.pool.use(async (commands) => {
        const key = `k${i}`;
        for (let done = 0; done < OPERATIONS / max; done += 5)
          await Promise.all([
            commands.set(key, done),
            commands.get(key),
            commands.hset(`${key}h`, { field: done }),
            commands.rPush(`${key}l`, "x"),
            commands.lPop(`${key}l`),
          ]);
        most = Math.max(most, redis.pool.status.size);
      }),
    );
    await Promise.all(borrowed);
    expect(most).toBe(max);
    expect(redis.pool.status).toMatchObject({ size: max, idle: max, inUse: 0, waiting: 0 });
    expect(await redis.commands.getNumber("k0")).toBe(Math.ceil(OPERATIONS / max / 5) * 5 - 5);
  },
);

it("A24: more connections than the server accepts are a typed error, and not a hang", async () => {
  await using own = await startOwnRedis({ config: ["maxclients 5"] });
  await using redis = createRedis({ ...ALONE, url: own.url, pool: { max: 20, wait: "2s" }, readRetries: 0 });
  await redis.commands.ping();
  const outcomes = await Promise.all(
    Array.from({ length: 20 }, () =>
      redis.pool
        .use(async (commands) => {
          await commands.ping();
          await new Promise((resolve) => setTimeout(resolve, 200));
        })
        .then(
          () => "done",
          (error: unknown) => (error as { code?: string }).code,
        ),
    ),
  );
  expect(new Set(outcomes)).toEqual(new Set(["done", "BACKEND_UNAVAILABLE"]));
  expect(await redis.commands.ping()).toBe("PONG");
});

it("A23: connections that died with the server are replaced, and the next use succeeds", async () => {
  await using own = await startOwnRedis();
  await using redis = createRedis({ ...ALONE, url: own.url });
  const use = (): Promise<readonly unknown[]> =>
    Promise.all(Array.from({ length: 5 }, () => redis.pool.use((commands) => commands.ping())));
  await use();
  expect(redis.pool.status.idle).toBeGreaterThan(0);
  await own.restart();
  await expect.poll(() => use().catch(() => undefined)).toEqual(Array.from({ length: 5 }, () => "PONG"));
  expect(redis.pool.status.inUse).toBe(0);
});

it("A23: closing while a connection is being made does not hang", async () => {
  const redis = createRedis({ ...ALONE, port: await freePort(), connectTimeout: "30s" });
  const using = redis.pool.use((commands) => commands.ping()).catch((error: { code?: string }) => error.code);
  await redis.disconnect();
  expect(await using).toBe("BACKEND_UNAVAILABLE");
});
