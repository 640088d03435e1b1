// Each row is a group of calls of one of the five systems: what their client sends (fred, redis-rs, redis-py), and what
// a service that has moved calls, on the same keys, both alive.

import type { RedisView } from "@hotset/redis-toolkit";
import { pubsub } from "@hotset/redis-toolkit/pubsub";
import { simpleQueue } from "@hotset/redis-toolkit/queue";
import { streams } from "@hotset/redis-toolkit/streams";
import { randomPrefix } from "@hotset/test-servers";
import { beforeAll, describe, expect, it } from "vitest";
import { startServers } from "./servers.ts";

const servers = startServers();

interface Sides {
  /** As the old program sends it: with the names that the keys have in Redis. */
  old(...args: readonly (string | number)[]): Promise<unknown>;
  readonly redis: RedisView;
  /** What the name of the new side is in Redis. */
  at(name: string): string;
  /** A name that no other test has. */
  name(what: string): string;
}

type Row = readonly [system: string, group: string, calls: (sides: Sides) => Promise<unknown>, expected: unknown];

const ROWS: readonly Row[] = [
  // fred of Hyperswitch
  [
    "Hyperswitch",
    "set_key, get_key",
    async ({ old, redis, at, name }) => {
      await old("SET", at(name("k")), "v");
      await redis.commands.set(name("l"), "w");
      return [await redis.commands.get(name("k")), await old("GET", at(name("l")))];
    },
    ["v", "w"],
  ],
  [
    "Hyperswitch",
    "serialize_and_set_key",
    async ({ old, redis, at, name }) => {
      await old("SET", at(name("k")), '{"id":"pay_1","amount":100}');
      await redis.commands.setJson(name("l"), { id: "pay_2" });
      return [await redis.commands.getJson(name("k")), await old("GET", at(name("l")))];
    },
    [{ id: "pay_1", amount: 100 }, '{"id":"pay_2"}'],
  ],
  [
    "Hyperswitch",
    "set_key_with_expiry",
    async ({ old, redis, at, name }) => {
      await old("SET", at(name("k")), "v", "EX", 900);
      await redis.commands.set(name("l"), "v", { ttl: "900s" });
      return [Number(await redis.commands.ttlMs(name("k"))) > 890_000, await old("TTL", at(name("l")))];
    },
    [true, 900],
  ],
  [
    "Hyperswitch",
    "set_key_if_not_exists_with_expiry",
    async ({ old, redis, at, name }) => {
      const first = await old("SET", at(name("k")), "old", "EX", 900, "NX");
      const second = await redis.commands.setIfAbsent(name("k"), "new", { ttl: "900s" });
      return [
        first,
        second,
        await redis.commands.setIfAbsent(name("l"), "new"),
        await old("SET", at(name("l")), "old", "NX"),
      ];
    },
    ["OK", "exists", "set", null],
  ],
  [
    "Hyperswitch",
    "set_multiple_keys_if_not_exist",
    async ({ old, redis, name, at }) => {
      const [one, two] = [`{${name("m")}}1`, `{${name("m")}}2`];
      const made = await redis.commands.setManyIfAbsent([
        [one, "1"],
        [two, "2"],
      ]);
      return [made, await old("GET", at(one)), await old("MSETNX", at(one), "x", at(two), "y")];
    },
    ["set", "1", 0],
  ],
  [
    "Hyperswitch",
    "delete_key, exists",
    async ({ old, redis, at, name }) => {
      await old("SET", at(name("k")), "v");
      return [
        await redis.commands.exists(name("k")),
        await redis.commands.delete(name("k")),
        await old("EXISTS", at(name("k"))),
      ];
    },
    [true, 1, 0],
  ],
  [
    "Hyperswitch",
    "set_expiry, get_ttl",
    async ({ old, redis, at, name }) => {
      await old("SET", at(name("k")), "v");
      const before = await redis.commands.ttlMs(name("k"));
      await redis.commands.expire(name("k"), "60s");
      return [before, await old("TTL", at(name("k"))), await redis.commands.ttlMs(name("none"))];
    },
    ["none", 60, "missing"],
  ],
  [
    "Hyperswitch",
    "set_expire_at",
    async ({ old, redis, at, name }) => {
      await old("SET", at(name("k")), "v");
      await redis.commands.expireAt(name("k"), new Date(4_102_444_800_000));
      return old("EXPIRETIME", at(name("k")));
    },
    4_102_444_800,
  ],
  [
    "Hyperswitch",
    "set_hash_fields",
    async ({ old, redis, at, name }) => {
      await old("HSET", at(name("h")), "status", "new", "amount", 1);
      await redis.commands.hset(name("h"), { amount: 2, currency: "EUR" }, { ttl: "900s" });
      return [Object.fromEntries(await redis.commands.hgetAll(name("h"))), await old("TTL", at(name("h")))];
    },
    [{ status: "new", amount: "2", currency: "EUR" }, 900],
  ],
  [
    "Hyperswitch",
    "set_hash_field_if_not_exist",
    async ({ old, redis, at, name }) => {
      const first = await old("HSETNX", at(name("h")), "f", "old");
      return [
        first,
        await redis.commands.hsetIfAbsent(name("h"), "f", "new"),
        await redis.commands.hget(name("h"), "f"),
      ];
    },
    [1, "exists", "old"],
  ],
  [
    "Hyperswitch",
    "increment_fields_in_hash",
    async ({ old, redis, at, name }) => {
      await old("HINCRBY", at(name("h")), "n", 2);
      const sums = await redis.commands.hincrMany(name("h"), { n: 3, m: 1 });
      return [Object.fromEntries(sums), await old("HGET", at(name("h")), "n")];
    },
    [{ n: 5, m: 1 }, "5"],
  ],
  [
    "Hyperswitch",
    "hscan",
    async ({ old, redis, at, name }) => {
      await old("HSET", at(name("h")), "pay_1", "a", "pay_2", "b", "ref_1", "c");
      const found = [];
      for await (const field of redis.commands.hscan(name("h"), { match: "pay_*" })) found.push(field);
      return found.toSorted();
    },
    [
      ["pay_1", "a"],
      ["pay_2", "b"],
    ],
  ],
  [
    "Hyperswitch",
    "scan",
    async ({ old, redis, at, name }) => {
      for (const i of [1, 2]) await old("SET", at(name(`s${i}`)), i);
      const found = [];
      for await (const key of redis.commands.scan({ match: `${name("s")}*` })) found.push(key);
      return found.toSorted().map((key) => key.slice(-2));
    },
    ["s1", "s2"],
  ],
  [
    "Hyperswitch",
    "sadd",
    async ({ old, redis, at, name }) => {
      const first = await old("SADD", at(name("s")), "a", "b");
      return [first, await redis.commands.sAdd(name("s"), ["b", "c"]), await old("SCARD", at(name("s")))];
    },
    [2, 1, 3],
  ],
  [
    "Hyperswitch",
    "append_elements_to_list, get_list_elements, lpop",
    async ({ old, redis, at, name }) => {
      await old("RPUSH", at(name("l")), "a", "b");
      await redis.commands.rPush(name("l"), ["c"]);
      return [
        await redis.commands.lRange(name("l"), 0, -1),
        await old("LPOP", at(name("l"))),
        await redis.commands.lLen(name("l")),
      ];
    },
    [["a", "b", "c"], "a", 2],
  ],
  [
    "Hyperswitch",
    "stream_append_entry, stream_read_entries",
    async ({ old, redis, at, name }) => {
      await old("XADD", at(name("x")), "*", "event", "created");
      await streams(redis).stream(name("x")).append({ event: "paid" });
      const read = await streams(redis).stream(name("x")).range();
      return [read.map(({ fields }) => fields), await old("XLEN", at(name("x")))];
    },
    [[{ event: "created" }, { event: "paid" }], 2],
  ],
  [
    "Hyperswitch",
    "consumer groups: both are of one group",
    async ({ old, redis, at, name }) => {
      await old("XGROUP", "CREATE", at(name("x")), "g", 0, "MKSTREAM");
      await old("XADD", at(name("x")), "*", "n", 1);
      await old("XADD", at(name("x")), "*", "n", 2);
      const theirs = await old("XREADGROUP", "GROUP", "g", "old", "COUNT", 1, "STREAMS", at(name("x")), ">");
      const ours = await streams(redis).stream(name("x")).group("g").read({ consumer: "new" });
      return [theirs !== null, ours.map(({ fields }) => fields)];
    },
    [true, [{ n: "2" }]],
  ],
  // redis-rs of hitbox
  [
    "hitbox",
    "HSET d, s and EXPIRE; HMGET and PTTL",
    async ({ old, redis, at, name }) => {
      await old("HSET", at(name("k")), "d", '{"name":"Ada"}', "s", 4_102_444_800_000);
      await old("EXPIRE", at(name("k")), 60);
      const reply = await redis.pipeline((all) => [all.hmGet(name("k"), ["d", "s"]), all.pTTL(name("k"))]);
      return reply
        .map((result) => (result.ok ? [result.value].flat()[0] : result.error))
        .map((value) => (typeof value === "number" ? value > 50_000 : value));
    },
    ['{"name":"Ada"}', true],
  ],
  // redis-py of RouteMQ
  [
    "RouteMQ",
    "set(ex, nx, xx)",
    async ({ old, redis, at, name }) => {
      const absent = await redis.commands.set(name("k"), "v", { if: "present" });
      await old("SET", at(name("k")), "v", "PX", 60_000);
      return [
        absent,
        await redis.commands.set(name("k"), "w", { if: "present", keepTtl: true }),
        await old("TTL", at(name("k"))),
      ];
    },
    ["unchanged", "set", 60],
  ],
  [
    "RouteMQ",
    "delete(*keys)",
    async ({ old, redis, at, name }) => {
      for (const i of [1, 2, 3]) await old("SET", at(`{${name("d")}}${i}`), i);
      return redis.commands.delete(...[1, 2, 3, 4].map((i) => `{${name("d")}}${i}`));
    },
    3,
  ],
  [
    "RouteMQ",
    "incr(key, amount)",
    async ({ old, redis, at, name }) => {
      const first = await old("INCRBY", at(name("n")), 5);
      return [
        first,
        await redis.commands.incr(name("n")),
        await redis.commands.incr(name("n"), { by: 4 }),
        await old("GET", at(name("n"))),
      ];
    },
    [5, 6, 10, "10"],
  ],
  [
    "RouteMQ",
    "incr beyond 2^53",
    async ({ old, redis, at, name }) => {
      await old("SET", at(name("n")), "9007199254740993");
      const refused = await redis.commands.incr(name("n")).catch((error: { code: string }) => error.code);
      return [refused, String(await redis.commands.getBigInt(name("n"))), await old("GET", at(name("n")))];
    },
    ["NOT_A_NUMBER", "9007199254740994", "9007199254740994"],
  ],
  [
    "RouteMQ",
    "hset(mapping), hget",
    async ({ old, redis, at, name }) => {
      await old("HSET", at(name("h")), "name", "John Doe", "age", 30);
      await redis.commands.hset(name("h"), { age: 31 });
      return [await redis.commands.hget(name("h"), "name"), await old("HGET", at(name("h")), "age")];
    },
    ["John Doe", "31"],
  ],
  [
    "RouteMQ",
    "set_json, get_json",
    async ({ old, redis, at, name }) => {
      await old("SET", at(name("j")), '{"user_id": 123, "tags": ["a", "\\u00fc"]}', "EX", 60);
      await redis.commands.setJson(name("i"), { tags: ["ü"] }, { ttl: "60s" });
      return [await redis.commands.getJson(name("j")), await old("GET", at(name("i")))];
    },
    [{ user_id: 123, tags: ["a", "ü"] }, '{"tags":["ü"]}'],
  ],
  [
    "RouteMQ",
    "a list as a queue of jobs",
    async ({ old, redis, at, name }) => {
      await old("RPUSH", at(name("q")), '{"job":1}');
      await redis.commands.rPush(name("q"), '{"job":2}');
      return [await old("BLPOP", at(name("q")), 1), await redis.commands.lPop(name("q"))].flat().slice(-2);
    },
    ['{"job":1}', '{"job":2}'],
  ],
  [
    "RouteMQ",
    "get_client(): any command",
    async ({ old, redis, at, name }) => {
      await old("SETBIT", at(name("b")), 7, 1);
      return [await redis.commands.getBit(name("b"), 7), await redis.commands.bitCount(name("b"))];
    },
    [1, 1],
  ],
  [
    "RouteMQ",
    "an expiry in the past removes",
    async ({ old, redis, at, name }) => {
      await old("SET", at(name("k")), "v");
      await redis.commands.expireAt(name("k"), new Date(1_000));
      return old("EXISTS", at(name("k")));
    },
    0,
  ],
  // redis-rs of the trading platform
  [
    "RedisUtils",
    "SETEX of a price",
    async ({ old, redis, at, name }) => {
      await old("SETEX", at(name("p")), 60, "101.25");
      return [await redis.commands.getNumber(name("p")), await redis.commands.ttlMs(name("none"))];
    },
    [101.25, "missing"],
  ],
  [
    "RedisUtils",
    "HSET of a portfolio, HGETALL",
    async ({ old, redis, at, name }) => {
      await redis.commands.hset(name("h"), { AAPL: 10, MSFT: 5.5 });
      await old("HINCRBYFLOAT", at(name("h")), "MSFT", "0.5");
      return Object.fromEntries(await redis.commands.hgetAll(name("h")));
    },
    { AAPL: "10", MSFT: "6" },
  ],
  [
    "RedisUtils",
    "bytes are the same on both sides",
    async ({ old, redis, at, name }) => {
      await redis.commands.set(name("b"), Buffer.from([0, 255, 128, 10]));
      return [await old("STRLEN", at(name("b"))), [...((await redis.bytes.get(name("b"))) ?? [])]];
    },
    [4, [0, 255, 128, 10]],
  ],
  [
    "RedisUtils",
    "MULTI of a transfer",
    async ({ old, redis, at, name }) => {
      const [from, to] = [`{${name("a")}}from`, `{${name("a")}}to`];
      await old("SET", at(from), 100);
      const { status } = await redis.transaction({}, ({ queue }) => [queue.decrBy(from, 30), queue.incrBy(to, 30)]);
      return [status, await old("GET", at(from)), await old("GET", at(to))];
    },
    ["committed", "70", "30"],
  ],
  // redis-py of Magnetiq2
  [
    "Magnetiq2",
    "setex of a profile as JSON",
    async ({ old, redis, at, name }) => {
      await old("SETEX", at(name("u")), 3_600, '{"id": 1, "theme": null}');
      return redis.commands.getJson(name("u"));
    },
    { id: 1, theme: null },
  ],
  [
    "Magnetiq2",
    "lpush and rpop of tasks",
    async ({ old, redis, at, name }) => {
      await old("LPUSH", at(name("t")), '{"task":1}');
      await simpleQueue(redis, name("t")).push({ task: 2 });
      const [first, second] = [await old("RPOP", at(name("t"))), await simpleQueue(redis, name("t")).pop()];
      return [first, second];
    },
    ['{"task":1}', { task: 2 }],
  ],
  [
    "Magnetiq2",
    "sadd, sismember, smembers",
    async ({ old, redis, at, name }) => {
      await old("SADD", at(name("s")), "7", "8");
      return [await redis.commands.sIsMember(name("s"), "7"), (await redis.commands.sMembers(name("s"))).length];
    },
    [1, 2],
  ],
  [
    "Magnetiq2",
    "zadd, zincrby, zrevrange",
    async ({ old, redis, at, name }) => {
      await old("ZADD", at(name("z")), 10, "ann", 20, "bob");
      await redis.commands.zIncrBy(name("z"), 15, "ann");
      return [
        await redis.commands.zRange(name("z"), 0, 0, { REV: true }),
        await old("ZSCORE", at(name("z")), "ann"),
      ].map(String);
    },
    ["ann", "25"],
  ],
  [
    "Magnetiq2",
    "a counter with its window",
    async ({ old, redis, at, name }) => {
      const first = await redis.commands.incr(name("n"), { ttl: "60s" });
      return [
        first,
        await old("INCR", at(name("n"))),
        await redis.commands.incr(name("n"), { ttl: "1h" }),
        await old("TTL", at(name("n"))),
      ];
    },
    [1, 2, 3, 60],
  ],
  [
    "Magnetiq2",
    "publish",
    async ({ old, redis, at, name }) => {
      const controller = new AbortController();
      const events = await pubsub(redis).channel(name("c")).subscribe({ signal: controller.signal });
      await old("PUBLISH", at(name("c")), '{"type":"update"}');
      const found: unknown[] = [];
      for await (const event of events) {
        if (event.kind === "message") found.push(event.message);
        if (found.length === 2) break;
        // Two nodes of a cluster have no order between them.
        await pubsub(redis).channel(name("c")).publish({ type: "own" });
      }
      controller.abort();
      return found;
    },
    [{ type: "update" }, { type: "own" }],
  ],
];

describe("R0 to R4: both sides alive", () => {
  it("are at least 36 groups of all five systems", () => {
    expect(ROWS.length).toBeGreaterThanOrEqual(36);
    expect(new Set(ROWS.map(([system]) => system)).size).toBe(5);
  });

  describe.each(["one server", "one server over RESP2", "a cluster", "sentinels", "a tenant"] as const)(
    "%s",
    (where) => {
      let sides: Pick<Sides, "old" | "redis" | "at">;
      beforeAll(async () => {
        const redis = await servers.open(where === "a tenant" ? "one server" : where);
        const id = randomPrefix().replace(/:$/, "");
        const old: Sides["old"] = (...args) => {
          const at = { XGROUP: 2, XREADGROUP: args.length - 2, EVAL: 3 }[String(args[0])] ?? 1;
          return redis.commands.send(args.map(String), { key: String(args[at]) });
        };
        sides =
          where === "a tenant"
            ? { old, redis: redis.tenant(id), at: (name) => `${id}:${name}` }
            : { old, redis, at: (name) => name };
      });

      it.each(ROWS)("%s: %s", async (_system, _group, calls, expected) => {
        const prefix = randomPrefix();
        expect(await calls({ ...sides, name: (what) => prefix + what })).toEqual(expected);
      });
    },
  );
});
