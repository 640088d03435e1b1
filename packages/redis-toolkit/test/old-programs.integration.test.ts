// A program of other code is alive on the same keys: it is the Python of RouteMQ and Magnetiq2, by the commands that
// redis-py sends.

import { randomPrefix } from "@hotset/test-servers";
import type { Redis } from "@hotset/redis-toolkit";
import { leaderboard } from "@hotset/redis-toolkit/leaderboard";
import { locks } from "@hotset/redis-toolkit/lock";
import { presence } from "@hotset/redis-toolkit/presence";
import { fixedWindow, rateLimit, slidingLog } from "@hotset/redis-toolkit/rate-limit";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startServers } from "./servers.ts";

const servers = startServers();

describe.each(["one server", "a cluster"] as const)("next to another program over %s", (where) => {
  let redis: Redis;
  let p: string;
  beforeAll(async () => {
    redis = await servers.open(where);
  });
  beforeEach(() => {
    p = randomPrefix();
  });
  /** As the other program sends it. */
  const old = (...args: readonly (string | number)[]): Promise<unknown> => {
    const isScript = args[0] === "EVAL";
    return redis.commands.send(args.map(String), { key: String(args[isScript ? 3 : 1]) });
  };
  const RELEASE = `if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) else return 0 end`;

  it("R2-12 R4-05: a lock that one of them holds is not taken by the other", async () => {
    const own = locks(redis, { key: (name) => `lock:${name}` });
    const name = `${p}report`;
    expect(await old("SET", `lock:${name}`, "uuid of old", "EX", 30, "NX")).toBe("OK");
    expect(await own.tryAcquire(name)).toBe(undefined);
    // It is woken by nothing, and tries again.
    const waiting = own.acquire(name, { wait: "30s" });
    expect(await old("EVAL", RELEASE, 1, `lock:${name}`, "uuid of old")).toBe(1);
    const lease = await waiting;
    expect(await old("SET", `lock:${name}`, "uuid of old", "EX", 30, "NX")).toBe(null);
    expect(await old("EVAL", RELEASE, 1, `lock:${name}`, "uuid of old")).toBe(0);
    expect(await old("GET", `lock:${name}`)).toBe(lease.token);
    await lease.release();
    expect(await old("SET", `lock:${name}`, "uuid of old", "EX", 30, "NX")).toBe("OK");
    expect(await locks(redis.tenant(p), { key: () => "lock" }).tryAcquire("x")).toMatchObject({ resources: ["x"] });
    expect(await redis.commands.get(`${p}:lock`)).not.toBe(undefined);
    await expect(own.acquire("")).rejects.toThrow("lock: the name must be text");
    await expect(locks(redis, { key: () => "one" }).acquire(["a", "b"])).rejects.toThrow("one key for several");
    await expect(locks(redis, { key: () => 5 as never }).acquire("a")).rejects.toThrow(
      "the key that key(name) returns",
    );
  });

  it("R4-05: both count in one fixed window, and another kind of count is no number", async () => {
    const limit = rateLimit(redis, {
      name: "api",
      rules: [fixedWindow({ limit: 5, window: "1h" })],
      key: (user) => `rate_limit:${p}${user}`,
    });
    const key = `rate_limit:${p}7`;
    // is_rate_limited(): GET, SETEX for the first call, INCR for others.
    await old("SETEX", key, 3_600, 1);
    for (let call = 2; call <= 3; call += 1) await old("INCR", key);
    expect(await limit.consume(7)).toMatchObject({ allowed: true, remaining: 1 });
    expect(await old("GET", key)).toBe("4");
    await old("INCR", key);
    expect(await limit.consume(7)).toMatchObject({ allowed: false });
    await limit.reset(7);
    expect(await limit.consume(7, 2)).toMatchObject({ allowed: true });
    expect([await old("GET", key), Number(await old("TTL", key)) > 3_500]).toEqual(["2", true]);
    await limit.block(7, "1m");
    expect(await limit.consume(7)).toMatchObject({ allowed: false, reason: "blocked" });
    // The sorted set of RouteMQ is another count.
    await old("ZADD", `rate_limit:${p}8`, 1_700_000_000, "1700000000");
    await expect(limit.consume(8)).rejects.toMatchObject({ code: "WRONG_TYPE" });
    const rules = [fixedWindow(), slidingLog()];
    expect(() => rateLimit(redis, { name: "x", rules, key: (id) => id })).toThrow("key is the key of one rule");
  });

  it("R4-04: a sorted set of a hundred rows is the leaderboard, and both change it", async () => {
    const board = leaderboard(redis, `${p}user_scores`, { key: (name) => name });
    for (let user = 1; user <= 100; user += 1) await old("ZADD", `${p}user_scores`, user * 10, user);
    expect(await board.top(2)).toEqual([
      { member: "100", score: 1_000, rank: 1 },
      { member: "99", score: 990, rank: 2 },
    ]);
    expect(await board.incr(7, 1_000)).toBe(1_070);
    expect(await old("ZREVRANGE", `${p}user_scores`, 0, 0, "WITHSCORES")).toEqual(
      expect.arrayContaining([expect.anything()]),
    );
    await old("ZADD", `${p}user_scores`, 2_000, 8);
    expect(await board.rank(8)).toEqual({ member: "8", score: 2_000, rank: 1 });
    expect([await board.size(), await board.remove(8, 7), await board.size()]).toEqual([100, 2, 98]);
    for (const options of [{ window: "daily" }, { ranks: "dense" }, { ties: "first-reached" }] as const)
      expect(() => leaderboard(redis, "x", { ...options, key: (name) => name })).toThrow("with key other programs");
  });

  it("R4-04: presence has the key that it is given, and integer ids", async () => {
    const active = presence(redis, `${p}active_users`, { key: (name) => name });
    expect(await active.seen(1, "2", 3n)).toBe(3);
    expect([await active.isActive(2), await active.count(), await active.gone(3)]).toEqual([true, 3, 1]);
    expect(await old("ZCARD", `${p}active_users`)).toBe(2);
    await expect(active.seen(1.5)).rejects.toThrow("a member must be text or a whole number up to 2^53, got 1.5");
    // A plain set of Magnetiq2 says of nobody when.
    await old("SADD", `${p}set`, 1);
    await expect(presence(redis, `${p}set`, { key: (name) => name }).count()).rejects.toMatchObject({
      code: "WRONG_TYPE",
    });
  });
});
