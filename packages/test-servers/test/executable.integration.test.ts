import { expect, inject, it } from "vitest";
import { requestedTarget, RespClient, serverExecutable, type ServerTarget } from "../src/index.ts";

it("is of the kind that HOTSET_TEST_SERVER names, in the Redis of the run too", async () => {
  const kinds: Readonly<Record<ServerTarget | "any", RegExp>> = {
    redis7: /^redis 7\./,
    redis8: /^redis 8\./,
    valkey8: /^valkey 8\./,
    any: /^(redis|valkey) ([7-9]|\d\d)\./,
  };
  const client = RespClient.fromUrl(inject("redisUrl"));
  const info = String(await client.command("INFO", "server"));
  client.close();
  const version = /valkey_version:(\S+)/.exec(info)?.[1];
  const name = version === undefined ? `redis ${/redis_version:(\S+)/.exec(info)?.[1] ?? ""}` : `valkey ${version}`;
  expect(name).toMatch(kinds[requestedTarget() ?? "any"]);
});

it("is found once per process", async () => {
  expect(serverExecutable()).toBe(serverExecutable());
  expect((await serverExecutable()).version).toMatch(/v=\d+\.\d+/);
});
