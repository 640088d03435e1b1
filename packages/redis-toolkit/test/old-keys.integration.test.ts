// The key-value calls of the five systems, each next to the raw commands of a program of theirs on the same key.

import { createCache, json } from "@hotset/core";
import { redis as redisTier } from "@hotset/redis";
import type { Redis, RedisView } from "@hotset/redis-toolkit";
import { randomPrefix } from "@hotset/test-servers";
import { beforeAll, describe, expect, it } from "vitest";
import { startServers } from "./servers.ts";

const servers = startServers();

type Raw = readonly [command: string, ...args: (string | number)[]];
type Commands = RedisView["commands"];

/** The other program's commands on a key, a call of ours, and what the other program reads then. */
type Row = readonly [
  name: string,
  before: readonly Raw[],
  call: (commands: Commands, key: string) => Promise<unknown>,
  answer: unknown,
  after: Raw,
  reply: unknown,
];

const rows: readonly Row[] = [
  ["text is read", [["SET", "ä ☃"]], (c, k) => c.get(k), "ä ☃", ["TYPE"], "string"],
  ["a missing key is undefined", [], (c, k) => c.get(k), undefined, ["EXISTS"], 0],
  ["text is written", [], (c, k) => c.set(k, "a"), "set", ["GET"], "a"],
  [
    "JSON of Python is read",
    [["SET", '{"a": [1, null]}']],
    (c, k) => c.getJson(k),
    { a: [1, null] },
    ["TYPE"],
    "string",
  ],
  ["JSON is written as text", [], (c, k) => c.setJson(k, { a: [1] }), "set", ["GET"], '{"a":[1]}'],
  ["a life in seconds has a unit", [], (c, k) => c.set(k, "a", { ttl: "1h" }), "set", ["TTL"], 3_600],
  ["SETEX is ended", [["SETEX", 60, "a"]], (c, k) => c.persist(k), true, ["TTL"], -1],
  ["a key is there once", [["SET", "a"]], (c, k) => c.setIfAbsent(k, "b"), "exists", ["GET"], "a"],
  ["a key that is missing is set", [], (c, k) => c.setIfAbsent(k, "b"), "set", ["GET"], "b"],
  ["a key is deleted", [["SET", "a"]], (c, k) => c.del(k), 1, ["EXISTS"], 0],
  ["one counter", [["INCR"], ["INCRBY", 4]], (c, k) => c.incr(k), 6, ["INCR"], 7],
  ["one counter, down", [["SET", 5]], (c, k) => c.decr(k), 4, ["GET"], "4"],
  ["a counter is a number", [["INCR"]], (c, k) => c.getNumber(k), 1, ["GET"], "1"],
  ["text is appended", [["SET", "a"]], (c, k) => c.append(k, "b"), 2, ["GET"], "ab"],
  [
    "a hash is read",
    [["HSET", "a", 1, "b", 2]],
    (c, k) => c.hgetAll(k),
    new Map(Object.entries({ a: "1", b: "2" })),
    ["HLEN"],
    2,
  ],
  ["a field is read", [["HSET", "a", 1]], (c, k) => c.hget(k, "a"), "1", ["HLEN"], 1],
  ["a hash is written", [["HSET", "a", 1]], (c, k) => c.hset(k, { b: 2 }), 1, ["HGET", "b"], "2"],
  ["a field is there once", [["HSETNX", "a", 1]], (c, k) => c.hsetIfAbsent(k, "a", "2"), "exists", ["HGET", "a"], "1"],
  ["one counter in a hash", [["HINCRBY", "n", 2]], (c, k) => c.hIncrBy(k, "n", 3), 5, ["HGET", "n"], "5"],
  ["a list, first in first out", [["RPUSH", "a", "b"]], (c, k) => c.lPop(k), "a", ["LLEN"], 1],
  ["a list is filled", [["RPUSH", "a"]], (c, k) => c.rPush(k, ["b", "c"]), 3, ["LRANGE", 0, -1], ["a", "b", "c"]],
  ["a list is read", [["LPUSH", "a", "b"]], (c, k) => c.lRange(k, 0, -1), ["b", "a"], ["LLEN"], 2],
  ["a set is filled", [["SADD", "a"]], (c, k) => c.sAdd(k, ["a", "b"]), 1, ["SCARD"], 2],
  ["a member of a set", [["SADD", "a"]], (c, k) => c.sIsMember(k, "a"), 1, ["SCARD"], 1],
  ["a sorted set is filled", [["ZADD", 1, "a"]], (c, k) => c.zAdd(k, [{ value: "b", score: 2 }]), 1, ["ZRANK", "b"], 1],
  [
    "a sorted set, from the top",
    [["ZADD", 1, "a", 2, "b"]],
    (c, k) => c.zRange(k, 0, 0, { REV: true }),
    ["b"],
    ["ZCARD"],
    2,
  ],
  ["a sorted set is cut", [["ZADD", 1, "a", 9, "b"]], (c, k) => c.zRemRangeByScore(k, 0, 5), 1, ["ZCARD"], 1],
  ["an entry of a stream is counted", [["XADD", "*", "f", "v"]], (c, k) => c.xLen(k), 1, ["TYPE"], "stream"],
  [
    "another kind of key is refused",
    [["RPUSH", "a"]],
    (c, k) => c.get(k).catch((error: { code: string }) => error.code),
    "WRONG_TYPE",
    ["LLEN"],
    1,
  ],
  [
    "text that is no number is refused",
    [["SET", "a"]],
    (c, k) => c.incr(k).catch((error: { code: string }) => error.code),
    "NOT_A_NUMBER",
    ["GET"],
    "a",
  ],
];

describe.each(["one server", "one server over RESP2", "a cluster", "sentinels", "a tenant"] as const)(
  "R0-03 keys of another program over %s",
  (where) => {
    let redis: Redis;
    beforeAll(async () => {
      redis = await servers.open(where === "a tenant" ? "one server" : where);
    });

    it.each(rows)("%s", async (_name, before, call, answer, after, reply) => {
      const [tenant, key] = [randomPrefix(), randomPrefix()];
      const isTenant = where === "a tenant";
      const raw = ([command, ...args]: Raw): Promise<unknown> => {
        const theirs = isTenant ? `${tenant}:${key}` : key;
        return redis.commands.send([command, theirs, ...args.map(String)], { key: theirs });
      };
      for (const command of before) await raw(command);
      const view: RedisView = isTenant ? redis.tenant(tenant) : redis;
      expect(await call(view.commands, key)).toEqual(answer);
      expect(await raw(after)).toEqual(reply);
    });
  },
);

describe("a cache without a name, a prefix and meta", () => {
  it("R1-01 reads and writes the hashes of another program, stale or not, and leaves its text alone", async () => {
    const redis = await servers.open("one server");
    const tier = redisTier(servers.single.url).layout("plain").keyPrefix("").coherence("none").valueFormat(json());
    await using cache = createCache({ name: "" })
      .tier(tier.build())
      .defaults({ ttl: "1m", staleWhileRevalidate: "1m" })
      .build();
    const key = randomPrefix();
    const send = (...args: readonly string[]): Promise<unknown> => redis.commands.send(args, { key });
    const never = (): never => {
      throw new Error("it is there");
    };
    await send("HSET", key, "d", '{"id":1}', "s", String(Date.now() + 60_000));
    await send("PEXPIRE", key, "120000");
    expect(await cache.getOrSet(key, never)).toEqual({ id: 1 });
    await send("HSET", key, "s", String(Date.now() - 1_000));
    expect(await cache.get(key, { allowStale: true })).toEqual({ id: 1 });
    await cache.set(key, { id: 2 });
    expect([await send("HGET", key, "d"), await send("TYPE", key)]).toEqual(['{"id":2}', "hash"]);
    expect(await cache.delete(key)).toEqual({ status: "deleted" });
    await send("SETEX", key, "60", '{"id":3}');
    expect(await cache.get(key)).toBe(undefined);
    expect([(await cache.set(key, { id: 4 })).status, await send("GET", key)]).toEqual(["pending", '{"id":3}']);
    expect(await redis.commands.getJson(key)).toEqual({ id: 3 });
  });
});
