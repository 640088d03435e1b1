import { expect, it } from "vitest";
import { redisAddress } from "./redis-address.ts";

it("the address for a cache is that of createRedis, with the credentials apart", () => {
  const env = { REDIS_URL: "redis://app:hunter2@cache.internal:6379/2" };
  const { connection, username, password } = redisAddress({ env, envFile: false });
  expect([username, password]).toEqual(["app", "hunter2"]);
  expect(JSON.stringify(connection)).not.toContain("hunter2");
  expect(redisAddress({ env: {}, envFile: false })).toMatchObject({ username: undefined, password: undefined });
  expect(() => redisAddress({ env: { REDIS_PORT: "0" }, envFile: false })).toThrow("REDIS_PORT must be");
});
