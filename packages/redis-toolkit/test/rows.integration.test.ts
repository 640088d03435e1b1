// Rows of docs/requirements.md that no other test holds on its own.
import { createRedis } from "@hotset/redis-toolkit";
import { describe, expect, it } from "vitest";
import { startOwnRedis } from "@hotset/test-servers";
import { ALONE } from "./servers.ts";

describe("settings", () => {
  it("R0-02: a value without a ttl of its own has the default one, and so have hashes and counters", async () => {
    await using own = await startOwnRedis();
    await using redis = createRedis({ ...ALONE, url: own.url, defaultTtl: "5m", defaultHashTtl: "15m" });
    const { commands } = redis;
    await commands.set("value", "v");
    await commands.hset("hash", { a: 1 });
    await commands.incr("counter");
    const seconds = await Promise.all(
      ["value", "hash", "counter"].map(async (key) => Math.ceil(Number(await commands.ttl(key)) / 1_000)),
    );
    expect(seconds).toEqual([300, 900, 300]);
  });

  it("R0-40: over RESP2 replies are the same", async () => {
    await using own = await startOwnRedis();
    await using redis = createRedis({ ...ALONE, url: own.url, protocol: 2 });
    await redis.commands.hset("hash", { a: 1, b: 2 });
    expect(await redis.commands.hgetAll("hash")).toEqual(
      new Map([
        ["a", "1"],
        ["b", "2"],
      ]),
    );
    expect(String(await own.command("CLIENT", "LIST"))).toMatch(/name=hotset .*resp=2/);
  });
});
