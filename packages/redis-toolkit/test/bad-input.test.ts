import { InvalidArgumentError } from "@hotset/core";
import { createRedis } from "@hotset/redis-toolkit";
import { activeUsers, uniques } from "@hotset/redis-toolkit/counters";
import { health } from "@hotset/redis-toolkit/health";
import { leaderboard } from "@hotset/redis-toolkit/leaderboard";
import { locks } from "@hotset/redis-toolkit/lock";
import { presence } from "@hotset/redis-toolkit/presence";
import { pubsub } from "@hotset/redis-toolkit/pubsub";
import { queue, simpleQueue } from "@hotset/redis-toolkit/queue";
import {
  concurrency,
  expressRateLimit,
  expressRateLimitStore,
  fixedWindow,
  gcra,
  rateLimit,
  slidingCounter,
  tokenBucket,
} from "@hotset/redis-toolkit/rate-limit";
import { defineScript } from "@hotset/redis-toolkit/scripts";
import { sessions } from "@hotset/redis-toolkit/sessions";
import { SessionStore } from "@hotset/redis-toolkit/sessions/express-session";
import { fastifySessions } from "@hotset/redis-toolkit/sessions/fastify";
import { honoSessions } from "@hotset/redis-toolkit/sessions/hono";
import { consumer, streams } from "@hotset/redis-toolkit/streams";
import { afterAll, describe, expect, it } from "vitest";

/** No server is there: a call that is not refused would fail otherwise. */
const redis = createRedis({ host: "nowhere.invalid", env: false, envFile: false });
afterAll(() => redis.disconnect());

type Row = readonly [message: string, use: () => unknown];

/** The message, whether it throws or rejects, as its kind of function does. */
async function refusalOf(use: () => unknown): Promise<string> {
  try {
    await use();
  } catch (error) {
    return error instanceof InvalidArgumentError ? error.message : `another error: ${String(error)}`;
  }
  return "accepted";
}

const NOTHING_SENT = { inFlight: 0, pool: { size: 0 } };

const bad = (value: unknown): never => value as never;
const limit = rateLimit(redis, { name: "n" });
const jobs = queue(redis, "jobs");
const board = leaderboard(redis, "board");
const orders = streams(redis).stream("orders");
const group = orders.group("g");
const news = pubsub(redis).channel("news");
const DURATION = 'as a number or like "5m", got';
const FLAG = "must be true or false, got";
const SIGNAL = "must be an AbortSignal, got";
const SCHEMA = "must be a Standard Schema (https://standardschema.dev), got";

describe("null is not the default", () => {
  const none = bad(null);
  const counting = "must be a whole number from";

  it.each<Row>([
    ["rateLimit: rules must be a list of 1 to 8 rules", () => rateLimit(redis, { name: "n", rules: none })],
    [
      "rateLimit: prefix must be text of 1 to 512 characters, got null",
      () => rateLimit(redis, { name: "n", prefix: none }),
    ],
    [
      'rateLimit: whenAway must be "open" or "closed" or "memory", got null',
      () => rateLimit(redis, { name: "n", whenAway: none }),
    ],
    [`rateLimit: processes ${counting} 1 to 1000000, got null`, () => rateLimit(redis, { name: "n", processes: none })],
    [
      `rateLimit: deadline must be from 1 to 60000 ms, ${DURATION} null`,
      () => rateLimit(redis, { name: "n", deadline: none }),
    ],
    [`rateLimit: maxKeys ${counting} 1 to 10000000, got null`, () => rateLimit(redis, { name: "n", maxKeys: none })],
    [
      'rateLimit: headers must be "draft-8" or "draft-6" or "none", got null',
      () => rateLimit(redis, { name: "n", headers: none }),
    ],
    [`fixedWindow: limit ${counting} 1 to 1000000000, got null`, () => fixedWindow({ limit: none })],
    [`fixedWindow: window must be from 1 to 31622400000 ms, ${DURATION} null`, () => fixedWindow({ window: none })],
    [`slidingCounter: slices ${counting} 2 to 100, got null`, () => slidingCounter({ slices: none })],
    [`tokenBucket: refill must be from 1 to 31622400000 ms, ${DURATION} null`, () => tokenBucket({ refill: none })],
    [`tokenBucket: burst ${counting} 1 to 1000000000, got null`, () => tokenBucket({ burst: none })],
    [`gcra: burst ${counting} 1 to 1000000000, got null`, () => gcra({ burst: none })],
    [`concurrency: limit ${counting} 1 to 10000, got null`, () => concurrency({ limit: none })],
    [`concurrency: hold must be from 1 to 31622400000 ms, ${DURATION} null`, () => concurrency({ hold: none })],
    [
      "rateLimit: prefix must be text of 1 to 512 characters, got null",
      () => expressRateLimitStore(redis, { prefix: none }),
    ],
    [
      `expressRateLimitStore: deadline must be from 1 to 60000 ms, ${DURATION} null`,
      () => expressRateLimitStore(redis, { deadline: none }),
    ],
    [`locks(): requireNoEviction ${FLAG} null`, () => locks(redis, { requireNoEviction: none })],
    [`queue: requireNoEviction ${FLAG} null`, () => queue(redis, "q", { requireNoEviction: none })],
    [`queue: schema ${SCHEMA} null`, () => queue(redis, "q", { schema: none })],
    [
      `keep.failed.count ${counting} 0 to 1000000, got null`,
      () => queue(redis, "q", { keep: { failed: { count: none } } }),
    ],
    [
      `backoff.max must be from 0 to 31622400000 ms, ${DURATION} null`,
      () => queue(redis, "q", { backoff: { type: "exponential", base: 1, max: none } }),
    ],
    [`drain: delayed ${FLAG} null`, () => jobs.drain({ delayed: none })],
    [`obliterate: force ${FLAG} null`, () => jobs.obliterate({ force: none })],
    ["the data of a session must be an object, got null", () => sessions(redis).create({ data: none })],
    [
      'append: trim must be "approximate" or "exact", got null',
      () => orders.append({ a: "1" }, { maxLen: 1, trim: none }),
    ],
    ["read: count must be a whole number from 1 to 10000, got null", () => orders.read({ count: none })],
    [`channel(name, options): schema ${SCHEMA} null`, () => pubsub(redis).channel("n", { schema: none })],
    [
      `presence(redis, name, options): ttl must be from 1 to 2^52 ms, ${DURATION} null`,
      () => presence(redis, "n", { ttl: none }),
    ],
    [
      `presence(redis, name, options): throttle must be from 0 to 2^52 ms, ${DURATION} null`,
      () => presence(redis, "n", { throttle: none }),
    ],
    [
      `activeUsers(redis, name, options): window must be "hourly" or "daily" or "weekly" or "monthly", got null`,
      () => activeUsers(redis, "n", { window: none }),
    ],
    [
      `activeUsers(redis, name, options): keep ${counting} 0 to 999, got null`,
      () => activeUsers(redis, "n", { keep: none }),
    ],
    [
      `activeUsers(redis, name, options): maxId ${counting} 0 to 4294967295, got null`,
      () => activeUsers(redis, "n", { maxId: none }),
    ],
    [
      `isActive(id, options): back ${counting} 0 to 1, got null`,
      () => activeUsers(redis, "n").isActive(1, { back: none }),
    ],
    ["count(options): with must be a list, got null", () => uniques(redis, "n").count({ with: none })],
    [`page(page, options): size ${counting} 1 to 10000, got null`, () => board.page(1, { size: none })],
    [`health: deadline must be from 1 to 2^52 ms, ${DURATION} null`, () => health(redis, { deadline: none })],
    ["bigKeys: top must be a whole number of at least 1, got null", () => health(redis).bigKeys({ top: none })],
    [
      "incr: by must be a whole number, got null; incrByFloat adds others",
      () => redis.commands.incr("k", { by: none }),
    ],
    ["scan: match must be a glob, got null", () => redis.commands.scan({ match: none }).next()],
  ])("%s", async (message, use) => {
    expect(await refusalOf(use)).toBe(message);
    expect(redis.stats()).toMatchObject(NOTHING_SENT);
  });
});

describe("an option is of its type, and has a name that exists", () => {
  it.each<Row>([
    [`obliterate: force ${FLAG} "yes"`, () => jobs.obliterate({ force: bad("yes") })],
    [`drain: delayed ${FLAG} "false"`, () => jobs.drain({ delayed: bad("false") })],
    [`append: ifExists ${FLAG} "no"`, () => orders.append({ a: "1" }, { ifExists: bad("no") })],
    [`set: keepTtl ${FLAG} "yes"`, () => redis.commands.set("k", "v", { keepTtl: bad("yes") })],
    [
      `leaderboard(redis, name, options): requireNoEviction ${FLAG} "no"`,
      () => leaderboard(redis, "n", { requireNoEviction: bad("no") }),
    ],
    [`disableTouch ${FLAG} "no"`, () => new SessionStore(redis, { disableTouch: bad("no") })],
    [
      `defineScript: readOnly ${FLAG} "no"`,
      () => defineScript({ lua: "return 1", keys: 0, reply: "integer", readOnly: bad("no") }),
    ],
    [
      `deleteConsumer: ifPending must be "drop" or "keep", got "kepp"`,
      () => group.deleteConsumer("c", { ifPending: bad("kepp") }),
    ],
    [
      'backoff.max is for type: "exponential"; leave it out',
      () => queue(redis, "q", { backoff: bad({ type: "fixed", base: 1, max: 5 }) }),
    ],
    [
      "repeat: cron and timeZone must be text, and timeZone not empty",
      () => jobs.repeat("k", { cron: "* * * * *", timeZone: "" }, 1),
    ],
    [
      'update(id, changes, options): ifVersion must be a whole number of at least 0, got ""',
      () => sessions(redis).update("x".repeat(43), { a: 1 }, { ifVersion: bad("") }),
    ],
    [
      "rate limit of requests: message must be text, an object or a function of the request, got 5",
      () => expressRateLimit(limit, { key: () => "k", message: bad(5) }),
    ],
    ["userOf must be a function, got a number", () => new SessionStore(redis, { userOf: bad(5) })],
    ["expireAt: at must be a Date after 1970, got an invalid one", () => redis.commands.expireAt("k", new Date(NaN))],
    ['expireAt: at must be a Date after 1970, got "10"', () => redis.commands.expireAt("k", bad("10"))],
    [
      "expireAt: at must be a Date after 1970, got 1785000000: redis clients count a bare number in seconds",
      () => redis.commands.expireAt("k", bad(1_785_000_000)),
    ],
    ["expireAt: at must be a Date after 1970, got an earlier one", () => redis.commands.expireAt("k", new Date(-1))],
    [
      'expire: ttl must have a unit, such as "60s" or "60ms", got 60: redis clients count a bare number in seconds',
      () => redis.commands.expire("k", bad(60)),
    ],
    [
      'expire: ttl must have a unit, such as "60s" or "60ms", got 60: redis clients count a bare number in seconds',
      () => redis.lenient.expire("k", bad(60)),
    ],
    [
      "getJSON is not a command of node-redis; did you mean getJson?; send(args) sends any command",
      () => (redis.commands as unknown as Record<string, (key: string) => unknown>)["getJSON"]!("k"),
    ],
    [
      "zrevrange is not a command of node-redis; use zRange(key, start, stop, { REV: true }); send(args) sends any command",
      () => (redis.commands as unknown as Record<string, (key: string) => unknown>)["zrevrange"]!("k"),
    ],
    ["sAdd: argument 2 must not be an empty list", () => redis.commands.sAdd("k", [])],
    ["rPush: argument 2 must not be an empty list", () => redis.commands.rPush("k", [])],
    ["zAdd: argument 2 must not be an empty list", () => redis.commands.zAdd("k", [])],
    ["mGet: argument 1 must not be an empty list", () => redis.commands.mGet([])],
    ["scan: match must be a glob, got 5", () => redis.commands.scan({ match: bad(5) }).next()],
    [
      `scan: type must be "string" or "list" or "set" or "zset" or "hash" or "stream", got "hsh"`,
      () => redis.commands.scan({ type: bad("hsh") }).next(),
    ],
    [
      "set: options must be an object, got null; accepted: ttl, keepTtl, if",
      () => redis.commands.set("k", "v", bad(null)),
    ],
    [
      'set: unknown option "tll"; did you mean ttl?; accepted: ttl, keepTtl, if',
      () => redis.commands.set("k", "v", bad({ tll: 5 })),
    ],
    [
      'expire: unknown option "ifs"; did you mean if?; accepted: if',
      () => redis.commands.expire("k", "5ms", bad({ ifs: "none" })),
    ],
    [
      'incr: unknown option "buy"; did you mean by?; accepted: by, ttl',
      () => redis.commands.incr("k", bad({ buy: 5 })),
    ],
    [
      'hset: unknown option "tt"; did you mean ttl?; accepted: ttl',
      () => redis.commands.hset("k", { a: 1 }, bad({ tt: 5 })),
    ],
    [
      'setJson: unknown option "compress"; accepted: ttl, keepTtl, if, compressAbove',
      () => redis.commands.setJson("k", 1, bad({ compress: 5 })),
    ],
    [
      "setJson: compressAbove must be a whole number of at least 0, got NaN",
      () => redis.commands.setJson("k", 1, { compressAbove: NaN }),
    ],
    [
      'transaction(options, describe): unknown option "wacth"; did you mean watch?; accepted: watch',
      () => redis.transaction(bad({ wacth: ["k"] }), () => []),
    ],
    [
      'pool.use(task, options): unknown option "wait"; accepted: key, signal',
      () => redis.pool.use(async () => 1, bad({ wait: 5 })),
    ],
    [
      'subscribe(options): unknown option "sginal"; did you mean signal?; accepted: signal',
      () => news.subscribe(bad({ sginal: 1 })),
    ],
    [
      'finished(id, options): unknown option "timeuot"; did you mean timeout?; accepted: timeout, signal',
      () => jobs.finished("1", bad({ timeuot: 5 })),
    ],
    [
      'pop(options): unknown option "timeot"; did you mean timeout?; accepted: timeout, signal',
      () => simpleQueue(redis, "q").pop(bad({ timeot: 5 })),
    ],
    [
      'defineScript: unknown option "readonly"; did you mean readOnly?; accepted: lua, keys, args, rest, reply, readOnly',
      () => defineScript(bad({ lua: "return 1", keys: 0, reply: "integer", readonly: true })),
    ],
    [
      `defineScript: each of args must be "text" or "integer" or "number" or "bytes", got "string"`,
      () => defineScript({ lua: "return 1", keys: 0, reply: "integer", args: [bad("string")] }),
    ],
  ])("%s", async (message, use) => {
    expect(await refusalOf(use)).toBe(message);
    expect(redis.stats()).toMatchObject(NOTHING_SENT);
  });
});

describe("an argument that cannot work is refused before anything is sent", () => {
  const VIEW = "give createRedis(...), or a tenant of it, got";
  const away = bad(undefined);
  const sessionsOf = "the sessions of requests: touch of sessions(redis) must be a function, got undefined";

  it.each<Row>([
    [`locks(redis): ${VIEW} undefined`, () => locks(away)],
    [`rateLimit(redis, options): ${VIEW} null`, () => rateLimit(bad(null), { name: "n" })],
    [`expressRateLimitStore(redis, options): ${VIEW} undefined`, () => expressRateLimitStore(away)],
    [`queue(redis, name): ${VIEW} undefined`, () => queue(away, "n")],
    [`simpleQueue(redis, key): ${VIEW} undefined`, () => simpleQueue(away, "n")],
    [`sessions(redis, options): ${VIEW} undefined`, () => sessions(away)],
    [`new SessionStore(redis, options): ${VIEW} undefined`, () => new SessionStore(away)],
    [`streams(redis): ${VIEW} undefined`, () => streams(away)],
    [`pubsub(redis): ${VIEW} an object`, () => pubsub(bad({}))],
    [`leaderboard(redis, name, options): ${VIEW} "redis"`, () => leaderboard(bad("redis"), "n")],
    [`presence(redis, name, options): ${VIEW} undefined`, () => presence(away, "n")],
    [`activeUsers(redis, name, options): ${VIEW} undefined`, () => activeUsers(away, "n")],
    [`uniques(redis, name, options): ${VIEW} undefined`, () => uniques(away, "n")],
    [`health(redis, options): ${VIEW} undefined`, () => health(away)],
    [sessionsOf, () => fastifySessions(bad({}))],
    [sessionsOf, () => honoSessions(bad(null))],
    [
      "consumer(stream, group, options, handler): give a stream, as streams(redis) makes it",
      () => consumer(bad(null), "g", {}, () => undefined),
    ],
    [
      "rate limit of requests: consume of the limit must be a function, got undefined",
      () => expressRateLimit(bad({}), { key: () => "k" }),
    ],
    [`subscribe: signal ${SIGNAL} an object`, () => news.subscribe({ signal: bad({}) })],
    [`finished: signal ${SIGNAL} an object`, () => jobs.finished("1", { signal: bad({}) })],
    [`pop: signal ${SIGNAL} an object`, () => simpleQueue(redis, "q").pop({ signal: bad({}) })],
    [`reader: signal ${SIGNAL} an object`, () => orders.reader({ signal: bad({}) })],
    [`pool.use: signal ${SIGNAL} null`, () => redis.pool.use(async () => 1, { signal: bad(null) })],
    ["pool.use(task, options): task must be a function, got null", () => redis.pool.use(bad(null))],
    [
      "monitor(listener, options): listener must be a function, got null",
      () => health(redis).monitor(bad(null), { iKnowItHalvesThroughput: true }),
    ],
    ["pipeline(describe): describe must be a function, got null", () => redis.pipeline(bad(null))],
    [
      "pipeline(describe): describe must return a list of commands, such as p => [p.get(key)]",
      () => redis.pipeline(() => [bad({})]),
    ],
    ["transaction(options, describe): describe must be a function, got a number", () => redis.transaction({}, bad(5))],
    [
      "transaction(describe): describe must return a list of commands, such as [queue.incr(key)], or discard()",
      () => redis.transaction({}, () => bad([,])),
    ],
    ['transaction: watch: give a list of keys, got "k"', () => redis.transaction({ watch: bad("k") }, () => [])],
    ["getMany: give a list of keys, got null", () => redis.commands.getMany(bad(null))],
    [
      "getMany: a key must be text or a Buffer that is not empty, got undefined",
      () => redis.commands.getMany(bad(["a", ,])),
    ],
    [
      "delete: a key must be text or a Buffer that is not empty, got undefined",
      () => redis.commands.delete(bad(["a", ,])),
    ],
    ['incrMany: give a list of keys, got "k"', () => redis.commands.incrMany(bad("k"))],
    [
      "setManyIfAbsent: entries must be pairs of a key and a value, got null",
      () => redis.commands.setManyIfAbsent(bad([["a", "1"], null])),
    ],
    ['hset: fields must be an object or a Map, got "abc"', () => redis.commands.hset("k", bad("abc"))],
    [`getJson(key, schema): schema ${SCHEMA} an object`, () => redis.commands.getJson("k", bad({}))],
    ['send(args): args must be a list of text and Buffers, got "GET k"', () => redis.commands.send(bad("GET k"))],
    ["addMany(jobs): a job must be { data, options }, got undefined", () => jobs.addMany(bad([,]))],
    ["addMany(jobs): the data must not be undefined", () => jobs.addMany(bad([{}]))],
    ["addFlow(parent, children): the parent must be { data, options }, got null", () => jobs.addFlow(bad(null), [])],
    [
      "addFlow(parent, children): a child must be { data, options }, got undefined",
      () => jobs.addFlow(bad({ data: 1 }), bad([undefined])),
    ],
    [
      "addFlow(parent, children): the data must not be undefined",
      () => jobs.addFlow(bad({ data: 1 }), bad([{ options: {} }])),
    ],
    [
      "repeat(key, schedule, data): the data must not be undefined",
      () => jobs.repeat("key", { every: "1s" }, bad(undefined)),
    ],
    ['claim: ids must be a list of ids, got "1-1"', () => group.claim({ consumer: "c", minIdle: 1, ids: bad("1-1") })],
    [
      "group.read: options must be an object, got null; accepted: consumer, after, count, block",
      () => group.read(bad(undefined)),
    ],
    ['read(after): after must be an object of ids by stream, got "orders"', () => streams(redis).read(bad("orders"))],
    [
      "setMany(scores): scores must be pairs of a member and a score, got null",
      () => board.setMany(bad([["a", 1], null])),
    ],
    ["setMany(scores): scores must be pairs of a member and a score, got null", () => board.setMany(bad(null))],
    [
      "locks(): each of quorum: give createRedis(...), or a tenant of it, got undefined",
      () => locks(redis, { quorum: bad([, ,]) }),
    ],
    [
      "expressRateLimitStore: the key must be text, got null",
      () => {
        const store = expressRateLimitStore(redis);
        store.init({ windowMs: 1_000 });
        return store.increment(bad(null));
      },
    ],
    ["the id of a session must be text, got a number", () => new SessionStore(redis).get(bad(5))],
    [
      "this script takes a list of keys and a list of arguments, got null and an array",
      () => defineScript({ lua: "return 1", keys: 1, reply: "integer" })(redis, bad(null), []),
    ],
    [`a script: ${VIEW} null`, () => defineScript({ lua: "return 1", keys: 0, reply: "integer" })(bad(null), [], [])],
  ])("%s", async (message, use) => {
    expect(await refusalOf(use)).toBe(message);
    expect(redis.stats()).toMatchObject(NOTHING_SENT);
  });

  it.each<Row>([
    ["tenant(id): the id must be well-formed text, got half of a surrogate pair", () => redis.tenant("a\ud800")],
    ["lock: the name must be well-formed text, got half of a surrogate pair", () => locks(redis).acquire("a\ud800")],
    ["the key of a limit must be well-formed text, got half of a surrogate pair", () => limit.consume("a\ud800")],
    ["userId must be well-formed text, got half of a surrogate pair", () => sessions(redis).list("\udc00")],
  ])("two names are never one: %s", async (message, use) => {
    expect(await refusalOf(use)).toBe(message);
    expect(redis.stats()).toMatchObject(NOTHING_SENT);
  });

  it("what cannot be written as text is described, and does not fail in its own error", async () => {
    const odd: readonly unknown[] = [Object.create(null), Symbol("s"), 5n, [null], () => 1];
    for (const given of odd) {
      await expect((async () => activeUsers(redis, "n").mark(bad(given)))()).rejects.toThrow(InvalidArgumentError);
      expect(() => leaderboard(redis, "n", { order: bad(given) })).toThrow(InvalidArgumentError);
      expect(() => redis.on(bad(given), () => undefined)).toThrow(InvalidArgumentError);
      expect(() => locks(redis, { replicas: bad(given) })).toThrow(InvalidArgumentError);
    }
  });
});
