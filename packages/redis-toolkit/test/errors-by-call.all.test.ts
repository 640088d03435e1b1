// Each call that Redis refuses rejects with an error that names the call.
import { CacheError } from "@hotset/core";
import { CommandError, createRedis, type Redis } from "@hotset/redis-toolkit";
import { activeUsers, uniques } from "@hotset/redis-toolkit/counters";
import { health } from "@hotset/redis-toolkit/health";
import { leaderboard } from "@hotset/redis-toolkit/leaderboard";
import { locks } from "@hotset/redis-toolkit/lock";
import { presence, userPresence } from "@hotset/redis-toolkit/presence";
import { pubsub } from "@hotset/redis-toolkit/pubsub";
import { queue } from "@hotset/redis-toolkit/queue";
import { expressRateLimitStore, fixedWindow, rateLimit } from "@hotset/redis-toolkit/rate-limit";
import { defineScript } from "@hotset/redis-toolkit/scripts";
import { sessions } from "@hotset/redis-toolkit/sessions";
import { streams } from "@hotset/redis-toolkit/streams";
import { startOwnRedis, startProxy, type OwnRedis } from "@hotset/test-servers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ALONE } from "./servers.ts";

describe("an error", () => {
  let own: OwnRedis;
  let redis: Redis;
  /** A user who may connect, and nothing else. */
  let guest: Redis;
  beforeAll(async () => {
    own = await startOwnRedis();
    await own.command("ACL", "SETUSER", "guest", "on", ">pw", "~*", "&none", "-@all", "+@connection", "+info");
    redis = createRedis({ ...ALONE, url: own.url });
    guest = createRedis({ ...ALONE, url: own.url, username: "guest", password: "pw" });
  });
  afterAll(async () => {
    await Promise.all([redis.disconnect(), guest.disconnect()]);
    await own.stop();
  });

  const stream = () => streams(guest).stream("events");
  it.each([
    ["R0-92: set", "SET", () => guest.commands.set("k", "v")],
    ["R0-93: set with a life", "SET", () => guest.commands.set("k", "v", { ttl: "1m" })],
    ["R0-94: expire", "PEXPIRE", () => guest.commands.expire("k", "1m")],
    ["R0-95: get", "GET", () => guest.commands.get("k")],
    ["R0-96: delete", "UNLINK", () => guest.commands.delete("k")],
    ["R0-97: append", "XADD", () => stream().append({ a: 1 })],
    ["R0-98: read", "XREAD", () => stream().read()],
    ["R0-100: len", "XLEN", () => stream().len()],
    ["R0-101: delete entries", "XDEL", () => stream().delete("1-1")],
    ["R0-102: trim", "XTRIM", () => stream().trim({ maxLen: 1 })],
    ["R0-103: ack", "XACK", () => stream().group("g").ack("1-1")],
    ["R0-104: ensure", "XGROUP", () => stream().group("g").ensure("0")],
    ["R0-105: destroy", "XGROUP", () => stream().group("g").destroy()],
    ["R0-106: deleteConsumer", "XGROUP", () => stream().group("g").deleteConsumer("c")],
    ["R0-107: setId", "XGROUP", () => stream().group("g").setId("0")],
    [
      "R0-108: claim",
      "XCLAIM",
      () =>
        stream()
          .group("g")
          .claim({ consumer: "c", minIdle: 1, ids: ["1-1"] }),
    ],
    ["R0-111: hset", "HSET", () => guest.commands.hset("h", { a: 1 })],
    ["R0-112: hSetNX", "HSETNX", () => guest.commands.hSetNX("h", "a", "1")],
    ["R0-92: setIfAbsentAndGet", "SET", () => guest.commands.setIfAbsentAndGet("k", "v")],
    ["R0-92: setManyIfAbsent", "MSETNX", () => guest.commands.setManyIfAbsent([["k", "v"]])],
    ["R0-111: hset with a life", "HSET", () => guest.commands.hset("h", { a: 1 }, { ttl: "1m" })],
    ["R0-112: hsetIfAbsent", "HSETNX", () => guest.commands.hsetIfAbsent("h", "a", "1")],
    ["R0-115: hincrMany", "HINCRBY", () => guest.commands.hincrMany("h", { a: 1 })],
    ["R0-115: incr with a life", "INCRBY", () => guest.commands.incr("k", { ttl: "1m" })],
    ["R0-113: sAdd", "SADD", () => guest.commands.sAdd("s", "a")],
    ["R0-114: hget", "HGET", () => guest.commands.hget("h", "a")],
    ["R0-115: hIncrBy", "HINCRBY", () => guest.commands.hIncrBy("h", "a", 1)],
    ["R0-116: rPush", "RPUSH", () => guest.commands.rPush("l", "a")],
    ["R0-117: lRange", "LRANGE", () => guest.commands.lRange("l", 0, -1)],
    ["R0-118: lLen", "LLEN", () => guest.commands.lLen("l")],
    ["R0-119: lPop", "LPOP", () => guest.commands.lPop("l")],
    ["R0-124: publish", "PUBLISH", () => pubsub(guest).channel("c").publish(1)],
  ] as readonly (readonly [string, string, () => Promise<unknown>])[])("%s names %s", async (_what, command, call) => {
    await expect(call()).rejects.toMatchObject({
      name: "CommandError",
      code: "NO_PERMISSION",
      operation: expect.stringMatching(new RegExp(`^${command}\\b`)) as string,
      retryable: false,
      maybeExecuted: false,
    });
  });

  it("R0-111 R0-112 R0-115: of a step that a script carries out names the command, and nothing was written", async () => {
    const { commands } = redis;
    await commands.set("text", "v");
    await commands.hset("hash", { a: 1, b: "x" });
    await commands.set("one", 1);
    const refused = (operation: string, code: string): unknown =>
      expect.objectContaining({
        operation,
        code,
        maybeExecuted: false,
        message: expect.not.stringMatching(/EVALSHA|user_script/),
      });
    const error = (call: Promise<unknown>): Promise<unknown> => call.catch((thrown: unknown) => thrown);
    expect(await error(commands.hset("text", { a: 1 }, { ttl: "1m" }))).toEqual(refused("HSET", "WRONG_TYPE"));
    expect(await error(commands.hsetIfAbsent("text", "a", 1))).toEqual(refused("HSETNX", "WRONG_TYPE"));
    expect(await error(commands.hincrMany("hash", { a: 1, b: 1 }))).toEqual(refused("HINCRBY", "NOT_A_NUMBER"));
    expect(await error(commands.incr("text", { ttl: "1m" }))).toEqual(refused("INCRBY", "NOT_A_NUMBER"));
    expect(await error(commands.incrMany(["one", "text"]))).toEqual(refused("INCRBY", "NOT_A_NUMBER"));
    expect(await error(commands.setIfAbsentAndGet("hash", "v"))).toEqual(refused("SET", "WRONG_TYPE"));
    const [inPipeline] = await redis.pipeline((all) => [all.hsetIfAbsent("text", "a", 1)]);
    expect(inPipeline).toMatchObject({ ok: false, error: refused("HSETNX", "WRONG_TYPE") });
    const { results } = (await redis.transaction({}, ({ queue }) => [queue.hsetIfAbsent("text", "a", 1)])) as {
      readonly results: readonly unknown[];
    };
    expect(results[0]).toMatchObject({ ok: false, error: refused("HSETNX", "WRONG_TYPE") });
    expect([await commands.get("one"), await commands.hget("hash", "a"), await commands.ttlMs("text")]).toEqual([
      "1",
      "1",
      "none",
    ]);
    const away = createRedis({ ...ALONE, url: "redis://127.0.0.1:1" });
    expect(await error(away.commands.hsetIfAbsent("h", "a", 1))).toMatchObject({
      operation: "HSETNX",
      maybeExecuted: false,
    });
    await away.disconnect();
  });

  /** Each call of a module that is a script. */
  const calls: Readonly<Record<string, (by: Redis) => Promise<unknown>>> = {
    "locks.acquire": (by) => locks(by).acquire("l", { ttl: "1m" }),
    "sessions.create": (by) => sessions(by).create({ userId: "ada" }),
    "sessions.touch": (by) => sessions(by).touch(ID),
    "sessions.update": (by) => sessions(by).update(ID, { a: 1 }),
    "sessions.regenerate": (by) => sessions(by).regenerate(ID, { userId: "ada" }),
    "sessions.destroy": (by) => sessions(by).destroy(ID),
    "sessions.destroyAll": (by) => sessions(by).destroyAll("ada"),
    "sessions.list": (by) => sessions(by).list("ada"),
    "sessions.read": (by) => sessions(by, { store: "json", key: (id) => `text:${id}` }).read(ID),
    "queue.add": (by) => queue(by, "q").add(1),
    "queue.addFlow": (by) => queue(by, "q").addFlow({ data: 1 }, [{ data: 2 }]),
    "queue.children": (by) => queue(by, "q").children("1-1"),
    "queue.pause": (by) => queue(by, "q").pause(),
    "queue.resume": (by) => queue(by, "q").resume(),
    "queue.counts": (by) => queue(by, "q").counts(),
    "queue.get": (by) => queue(by, "q").get("1-1"),
    "queue.list": (by) => queue(by, "q").list("waiting"),
    "queue.change": (by) => queue(by, "q").change("1-1", { data: 1 }),
    "queue.remove": (by) => queue(by, "q").remove("1-1"),
    "queue.freeDedupId": (by) => queue(by, "q").freeDedupId("d"),
    "queue.obliterate": (by) => queue(by, "q").obliterate(),
    "queue.deadLetters.replay": (by) => queue(by, "q").deadLetters().replay("1-1"),
    "queue.removeRepeat": (by) => queue(by, "q").removeRepeat("r"),
    "queue.repeats": (by) => queue(by, "q").repeats(),
    "leaderboard.set": (by) => leaderboard(by, "b").set("ada", 1),
    "leaderboard.setMany": (by) => leaderboard(by, "b").setMany([["ada", 1]]),
    "leaderboard.best": (by) => leaderboard(by, "b").best("ada", 1),
    "leaderboard.incr": (by) => leaderboard(by, "b").incr("ada"),
    "leaderboard.remove": (by) => leaderboard(by, "b").remove("ada"),
    "leaderboard.clear": (by) => leaderboard(by, "b").clear(),
    "leaderboard.top": (by) => leaderboard(by, "b").top(),
    "leaderboard.page": (by) => leaderboard(by, "b").page(1),
    "leaderboard.rank": (by) => leaderboard(by, "b", { window: "daily" }).rank("ada"),
    "leaderboard.around": (by) => leaderboard(by, "b").around("ada"),
    "leaderboard.size": (by) => leaderboard(by, "b").size(),
    "leaderboard.union.top": (by) => leaderboard(by, "b", { window: "daily" }).union({ windows: 2 }).top(),
    "presence.seen": (by) => presence(by, "p").seen("ada"),
    "presence.gone": (by) => presence(by, "p").gone("ada"),
    "presence.isActive": (by) => presence(by, "p").isActive("ada"),
    "presence.count": (by) => presence(by, "p").count(),
    "presence.list": (by) => presence(by, "p").list(),
    "userPresence.seen": (by) => userPresence(by, "p").seen("ada", "tab"),
    "userPresence.gone": (by) => userPresence(by, "p").gone("ada", "tab"),
    "userPresence.goneUser": (by) => userPresence(by, "p").goneUser("ada"),
    "userPresence.connections": (by) => userPresence(by, "p").connections("ada"),
    "activeUsers.mark": (by) => activeUsers(by, "a", { window: "daily" }).mark(1),
    "activeUsers.isActive": (by) => activeUsers(by, "a", { window: "daily" }).isActive(1),
    "activeUsers.count": (by) => activeUsers(by, "a", { window: "daily" }).count({ windows: 2 }),
    "activeUsers.counts": (by) => activeUsers(by, "a", { window: "daily" }).counts(),
    "uniques.add": (by) => uniques(by, "u").add("ada"),
    "uniques.count": (by) => uniques(by, "u").count(),
    "rateLimit.consume": (by) => limitOver(by).consume("ada"),
    "rateLimit.peek": (by) => limitOver(by).peek("ada"),
    "rateLimit.penalty": (by) => limitOver(by).penalty("ada"),
    "rateLimit.reward": (by) => limitOver(by).reward("ada"),
    "expressRateLimitStore.increment": (by) => {
      const store = expressRateLimitStore(by);
      store.init({ windowMs: 1_000 });
      return store.increment("ada");
    },
    "group.deleteConsumer": (by) => streams(by).stream("s").group("g").deleteConsumer("c", { ifPending: "keep" }),
    // A script of the caller.
    EVALSHA: (by) =>
      defineScript({ keys: 1, reply: "maybe text", lua: "return redis.call('GET', KEYS[1])" })(by, ["k"], []),
  };
  const ID = "A".repeat(43);
  const limitOver = (by: Redis) => rateLimit(by, { name: "api", rules: [fixedWindow({ limit: 1, window: "1h" })] });
  it.each(Object.entries(calls))("F10: names %s, where the call is a script", async (operation, call) => {
    await expect(call(guest)).rejects.toMatchObject({
      name: "CommandError",
      code: "NO_PERMISSION",
      operation,
      maybeExecuted: false,
      message: expect.stringContaining(`${operation} was refused by Redis: NOPERM`) as string,
    });
    const away = createRedis({ ...ALONE, url: "redis://127.0.0.1:1", readRetries: 0 });
    const failed = await call(away).catch((error: unknown) => error);
    if (failed instanceof CacheError)
      expect([failed.code, failed.operation]).toEqual(["BACKEND_UNAVAILABLE", operation]);
    await away.disconnect();
  });

  it("F10: of a script of a module that stopped on its way says so, without its text", async () => {
    for (const key of ["leaderboard:{stopped}:scores", "presence:{stopped}:until"])
      await redis.commands.set(key, "text");
    for (const [operation, call] of [
      ["leaderboard.incr", () => leaderboard(redis, "stopped").incr("ada")],
      ["presence.seen", () => presence(redis, "stopped").seen("ada")],
    ] as const)
      await expect(call()).rejects.toMatchObject({
        ...{ code: "WRONG_TYPE", operation, maybeExecuted: true },
        message: expect.not.stringMatching(/EVALSHA|user_script/) as string,
      });
  });

  it("R0-91: of a setting that can never work is a ConfigurationError", () => {
    expect(() => createRedis({ ...ALONE, port: 0 })).toThrow(
      expect.objectContaining({ code: "INVALID_CONFIGURATION" }),
    );
  });

  it("R0-99: is not the answer of a stream without entries, or without itself", async () => {
    const { read } = streams(redis);
    expect([await streams(redis).stream("none").read(), await read({ none: "0" })]).toEqual([[], {}]);
  });

  it("R0-109: of a value that JSON cannot carry is an EncodeError", async () => {
    for (const value of [1n, undefined, Number.NaN])
      await expect(redis.commands.setJson("k", value)).rejects.toMatchObject({ code: "ENCODE_FAILED" });
  });

  it("R0-110: of a value that is not JSON is CORRUPT_VALUE, and does not show it", async () => {
    await redis.commands.set("broken", "{secret");
    await expect(redis.commands.getJson("broken")).rejects.toMatchObject({
      code: "CORRUPT_VALUE",
      message: expect.not.stringContaining("secret") as string,
    });
  });

  it("R0-120: is not the answer for a key that is absent", async () => {
    const { commands } = redis;
    const found = [await commands.get("none"), await commands.getJson("none"), await commands.hget("none", "a")];
    expect(found).toEqual([undefined, undefined, undefined]);
  });

  it("R0-121: of an id that no entry can have is an InvalidArgumentError", async () => {
    for (const id of ["*", ">", "1", "1-x"])
      await expect(
        streams(redis)
          .stream("events")
          .delete(id as never),
      ).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
      });
  });

  it("R0-122: of a server that is away is a BackendUnavailableError", async () => {
    await using away = createRedis({ ...ALONE, url: "redis://127.0.0.1:1", readRetries: 0 });
    await expect(away.commands.get("k")).rejects.toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      retryable: true,
      maybeExecuted: false,
    });
  });

  it("R0-123: of a subscription that Redis refuses names it", async () => {
    await expect(pubsub(guest).channel("c").subscribe()).rejects.toMatchObject({
      name: "CommandError",
      code: "NO_PERMISSION",
      operation: "SUBSCRIBE",
    });
  });

  /** Calls that send over a connection of their own, or to each server. */
  const apart: readonly (readonly [string, string, (by: Redis) => Promise<unknown>])[] = [
    ["a subscription", "SUBSCRIBE", (by) => pubsub(by).channel("c").subscribe()],
    ["events of a queue", "SSUBSCRIBE", (by) => queue(by, "q").listen(() => undefined)],
    ["the end of a job", "SSUBSCRIBE", (by) => queue(by, "q").finished("1-1")],
    ["a command that waits", "BLPOP", (by) => by.commands.blPop("l", 0.1)],
    ["a read that waits", "XREAD", (by) => streams(by).stream("s").read({ block: 100 })],
    ["a connection of the pool", "GET", (by) => by.pool.use((own) => own.get("k"))],
    ["a transaction", "WATCH", (by) => by.transaction({ watch: ["k"] }, () => [])],
    ["the slow log", "SLOWLOG", (by) => health(by).slowlog()],
    ["latencies", "LATENCY", (by) => health(by).latency(1)],
    ["statistics", "INFO", (by) => health(by).stats()],
    [
      "MONITOR",
      "MONITOR",
      (by) => health(by).monitor(() => undefined, { iKnowItHalvesThroughput: true, duration: 100 }),
    ],
    ["a scan", "SCAN", async (by) => (await by.commands.scan()[Symbol.asyncIterator]().next()).value],
    ["a lock", "locks.acquire", (by) => locks(by).acquire("l", { ttl: "1s", wait: 100 })],
  ];
  it.each(apart)("C216: of %s that Redis refuses is a CommandError", async (_what, operation, call) => {
    await own.command("ACL", "SETUSER", "mute", "on", ">pw", "~*", "&none", "-@all", "+@connection");
    await using mute = createRedis({ ...ALONE, url: own.url, username: "mute", password: "pw" });
    const error = await call(mute).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CommandError);
    expect(error).toMatchObject({
      code: "NO_PERMISSION",
      operation: expect.stringMatching(`^${operation}\\b`) as string,
    });
  });

  it.each(apart)(
    "C216: of %s is a CacheError where the server is unreachable, or resets connections",
    async (_what, _operation, call) => {
      await using proxy = await startProxy(own.port);
      await proxy.refuse("reset");
      for (const url of ["redis://127.0.0.1:1", proxy.url]) {
        await using away = createRedis({ ...ALONE, url, readRetries: 0, commandTimeout: "300ms" });
        expect(await call(away).catch((thrown: unknown) => thrown)).toBeInstanceOf(CacheError);
      }
    },
  );
});
