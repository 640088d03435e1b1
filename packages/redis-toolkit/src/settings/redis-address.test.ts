import { json } from "@hotset/core";
import { redis } from "@hotset/redis";
import { expect, it } from "vitest";
import type { RedisOptions } from "./options.ts";
import { redisAddress } from "./redis-address.ts";

it("the address for a cache is that of createRedis, with the credentials apart", () => {
  const env = { REDIS_URL: "redis://app:hunter2@cache.internal:6379/2" };
  const { connection, username, password } = redisAddress({ env, envFile: false });
  expect([username, password]).toEqual(["app", "hunter2"]);
  expect(JSON.stringify(connection)).not.toContain("hunter2");
  expect(redisAddress({ env: {}, envFile: false })).toMatchObject({ username: undefined, password: undefined });
  expect(() => redisAddress({ env: { REDIS_PORT: "0" }, envFile: false })).toThrow("REDIS_PORT must be");
});

it.each<
  [given: RedisOptions & { readonly client?: undefined; readonly connection?: undefined }, database: number | undefined]
>([
  [{ env: {} }, 5],
  [{ env: { REDIS_URL: "redis://user:secret@r:6379/1" } }, 5],
  [{ url: "redis://r:6379", database: 2 }, 5],
  [{ url: "unix:///run/redis.sock?db=1" }, 5],
  [{ sentinels: ["r:26379"], sentinelName: "main", database: 2 }, 5],
  [{ cluster: ["redis://r:6379"] }, undefined],
])("names another database of the same server: %j", (given, database) => {
  const connection = redisAddress({ envFile: false, env: {}, ...given }).inDatabase(5);
  const backend = connection && redis(connection).valueFormat(json()).build();
  expect(backend?.database).toBe(database);
});
