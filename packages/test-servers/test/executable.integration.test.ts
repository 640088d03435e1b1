import { expect, inject, it, onTestFinished, vi } from "vitest";
import { memcachedExecutable } from "../src/executable.ts";
import { temporaryDirectory } from "../src/server-process.ts";
import { requestedTarget, RespClient, serverExecutable, type ServerTarget } from "../src/index.ts";

it("says of each program how to get it, where there is none and no apt-get", async () => {
  const empty = await temporaryDirectory("empty");
  for (const name of ["PATH", "XDG_CACHE_HOME"]) vi.stubEnv(name, empty);
  onTestFinished(() => void vi.unstubAllEnvs());
  const start = (program: string): string =>
    `${program} is not on PATH, and apt-get is missing, which could download it.`;
  await expect(serverExecutable("redis8")).rejects.toThrow(
    `${start("redis-server")} Install Redis (macOS: brew install redis), or set REDIS_URL to a server, or start a Docker engine.`,
  );
  await expect(serverExecutable("valkey8")).rejects.toThrow(
    `${start("valkey-server")} Install Valkey (macOS: brew install valkey), or set REDIS_URL to a server.`,
  );
  await expect(memcachedExecutable()).rejects.toThrow(
    `${start("memcached")} Install memcached (macOS: brew install memcached), or set MEMCACHED_URL to a server.`,
  );
});

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
