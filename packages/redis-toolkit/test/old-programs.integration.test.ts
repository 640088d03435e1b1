// A program of other code is alive on the same keys: it is the Python of RouteMQ and Magnetiq2, by the commands that
// redis-py sends.

import type { Redis } from "@hotset/redis-toolkit";
import { leaderboard } from "@hotset/redis-toolkit/leaderboard";
import { locks } from "@hotset/redis-toolkit/lock";
import { presence } from "@hotset/redis-toolkit/presence";
import { fixedWindow, rateLimit, slidingLog } from "@hotset/redis-toolkit/rate-limit";
import { sessions } from "@hotset/redis-toolkit/sessions";
import { randomPrefix } from "@hotset/test-servers";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startServers } from "./servers.ts";

const servers = startServers();

describe.each(["one server", "one server over RESP2", "a cluster", "sentinels"] as const)(
  "next to another program over %s",
  (where) => {
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

    it("R2-13 R4-03: a session as JSON text is read, touched and written as JSON text", async () => {
      interface Data {
        readonly user_id: number;
        readonly last_activity: string;
        readonly cart: readonly number[];
        readonly empty: readonly number[];
      }
      const auth = sessions<Data>(redis, {
        store: "json",
        key: (id) => `session:${p}${id}`,
        userId: (data) => data.user_id,
      });
      const key = (id: string): string => `session:${p}${id}`;
      const id = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";
      await old("SETEX", key(id), 86_400, '{"user_id": 7, "empty": [], "last_activity": "t0"}');
      const read = await auth.read(id);
      expect(read).toMatchObject({ id, userId: "7", data: { user_id: 7, empty: [], last_activity: "t0" }, version: 0 });
      expect(Date.parse(read!.expiresAt) - Date.parse(read!.lastActivity)).toBe(86_400_000);
      expect(await old("TYPE", key(id))).toBe("string");
      // Not renewed: it was active just now. Later it is.
      expect(await auth.touch(id)).toMatchObject({ isRenewed: false });
      await old("EXPIRE", key(id), 3_600);
      expect(await auth.touch(id)).toMatchObject({ isRenewed: true });
      expect(Number(await old("TTL", key(id)))).toBeGreaterThan(86_000);
      expect(await auth.update(id, { cart: [1], last_activity: undefined })).toMatchObject({ data: { cart: [1] } });
      expect(JSON.parse(String(await old("GET", key(id))))).toEqual({ user_id: 7, empty: [], cart: [1] });
      const made = await auth.create({ data: { user_id: 7, cart: [] } });
      expect([await old("GET", key(made.id)), await old("TTL", key(made.id))]).toEqual([
        '{"user_id":7,"cart":[]}',
        86_400,
      ]);
      expect((await auth.list(7)).map(({ handle }) => handle).toSorted()).toEqual([id, made.id].toSorted());
      const moved = await auth.regenerate(id);
      expect([await old("EXISTS", key(id)), moved!.data]).toEqual([0, { user_id: 7, empty: [], cart: [1] }]);
      // The old program ends a session by DEL, and each of both sees it.
      await old("DEL", key(moved!.id));
      expect([await auth.read(moved!.id), await auth.touch(moved!.id), await auth.update(moved!.id, {})]).toEqual([
        undefined,
        undefined,
        undefined,
      ]);
      expect([await auth.destroyAll(7), await old("EXISTS", key(made.id))]).toEqual([1, 0]);
      expect([await auth.destroy(made.id), await auth.list(7)]).toEqual([false, []]);
      await expect(auth.create({ userId: 7 })).rejects.toThrow("have their user in the data");
      await expect(auth.update(id, {}, { ifVersion: 1 })).rejects.toThrow("have no version");
      await old("HSET", key("hash"), "a", "1");
      await expect(auth.read("hash")).rejects.toMatchObject({ code: "WRONG_TYPE" });
      await old("SET", key("text"), "no json");
      await expect(auth.read("text")).rejects.toMatchObject({ code: "DECODE_FAILED" });
      expect(() => sessions(redis, { store: "text" as never })).toThrow('sessions: store must be "json"');
      await expect(sessions(redis, { store: "json" }).list(7)).rejects.toThrow("give userId: (data) =>");
    });

    it("R4-03: the end of all sessions of a user leaves one that another user has taken over", async () => {
      const auth = sessions<{ readonly user: string }>(redis, {
        store: "json",
        key: (id) => p + id,
        userId: ({ user }) => user,
      });
      const { id } = await auth.create({ data: { user: `${p}a` } });
      const own = await auth.create({ data: { user: `${p}a` } });
      await auth.update(id, { user: `${p}b` });
      expect(await auth.destroyAll(`${p}a`)).toBe(1);
      expect([(await auth.read(id))?.userId, await auth.read(own.id)]).toEqual([`${p}b`, undefined]);
      expect((await auth.list(`${p}b`)).map(({ handle }) => handle)).toEqual([id]);
      // The other program may write anything: what names no user is not of another one.
      await old("SET", p + id, "no json");
      expect(await auth.destroyAll(`${p}b`)).toBe(1);
      expect(await old("EXISTS", p + id)).toBe(0);
    });

    it("R4-03: a change of the other program between the read and the write of an update is kept", async () => {
      const auth = sessions<{ readonly n: number; readonly own: number }>(redis, {
        store: "json",
        key: (id) => p + id,
      });
      const { id } = await auth.create({ data: { n: 0 } });
      const both = await Promise.all(Array.from({ length: 5 }, (_, i) => auth.update(id, { [`f${i}`]: i })));
      expect(both.every((session) => session !== undefined)).toBe(true);
      expect(JSON.parse(String(await old("GET", p + id)))).toEqual({ n: 0, f0: 0, f1: 1, f2: 2, f3: 3, f4: 4 });
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
  },
);
