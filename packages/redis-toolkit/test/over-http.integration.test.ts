/** The toolkit over HTTP: what arrives late, what fails, what is refused, and what a call costs. */
import { setTimeout as sleep } from "node:timers/promises";
import { createRedis, type Redis, type RedisOptions } from "@hotset/redis-toolkit";
import { openConnection } from "@hotset/redis-toolkit/connection";
import { health } from "@hotset/redis-toolkit/health";
import { locks, LockUnavailableError } from "@hotset/redis-toolkit/lock";
import { pubsub } from "@hotset/redis-toolkit/pubsub";
import { queue, simpleQueue } from "@hotset/redis-toolkit/queue";
import { fixedWindow, rateLimit, type RateLimit, type RateLimitOptions } from "@hotset/redis-toolkit/rate-limit";
import { defineScript } from "@hotset/redis-toolkit/scripts";
import { sessions } from "@hotset/redis-toolkit/sessions";
import { SessionStore } from "@hotset/redis-toolkit/sessions/express-session";
import { streams } from "@hotset/redis-toolkit/streams";
import { http } from "@hotset/redis/http";
import { forkScript, randomPrefix, startRestProxy, type RestFault, type RestProxy } from "@hotset/test-servers";
import { TestClock } from "@hotset/testing";
import type { SessionData } from "express-session";
import { afterAll, beforeAll, beforeEach, expect, inject, it } from "vitest";
import type { OverHttp } from "./processes/over-http.ts";

let proxy: RestProxy;
let name: string;
const opened: Redis[] = [];
beforeAll(async () => {
  proxy = await startRestProxy({ redisPort: Number(new URL(inject("redisUrl")).port) });
});
beforeEach(() => {
  name = randomPrefix().replaceAll(/[^A-Za-z0-9]/g, "");
  proxy.fault = "passes";
  proxy.reset();
});
afterAll(async () => {
  await Promise.all(opened.map((redis) => redis.disconnect()));
  await proxy.close();
});

/** A process of its own, as far as Redis can tell. */
function open(options: RedisOptions = {}): Redis {
  const connection = http({ url: proxy.url, token: proxy.token });
  const redis = createRedis({ connection, commandTimeout: "20s", ...options });
  opened.push(redis);
  return redis;
}

/** One that has been answered before, so that it knows the time of the server, and the server its scripts. */
async function warm(use: (redis: Redis) => Promise<unknown>, options?: RedisOptions): Promise<Redis> {
  const redis = open(options);
  await use(redis);
  proxy.reset();
  return redis;
}

const limitOf = (redis: Redis, options: Partial<RateLimitOptions> = {}): RateLimit =>
  rateLimit(redis, { name, rules: [fixedWindow({ limit: 100 })], deadline: "20s", whenAway: "closed", ...options });

/** Requests and commands of a call. */
async function cost(call: () => Promise<unknown>): Promise<string> {
  proxy.reset();
  await call();
  return `${proxy.counts.requests} / ${proxy.counts.commands}`;
}

const SHORT = { commandTimeout: "1s", readRetries: 0 } as const;

it("C749: a limit whose call was given up does not count it when the request arrives", async () => {
  const limit = limitOf(await warm((redis) => limitOf(redis).consume("u")), { deadline: "500ms" });
  proxy.fault = "keeps";
  expect(await limit.consume("u", 10)).toMatchObject({ allowed: false, degraded: true, reason: "away" });
  proxy.fault = "passes";
  await proxy.release();
  expect(await limitOf(open()).peek("u")).toMatchObject({ remaining: 99, degraded: false });
});

it("C749: a session that a late request stores again stays ended, and so does one that a late request touches", async () => {
  const session = { cookie: { originalMaxAge: null }, user: "ada" } as unknown as SessionData;
  const storeOf = (redis: Redis): SessionStore => new SessionStore(redis, { prefix: name });
  const redis = await warm((one) => storeOf(one).set("warm", session), SHORT);
  const auth = sessions(redis, { prefix: `own${name}` });
  const { id } = await auth.create({ userId: "ada" });
  await auth.update(id, { seen: 1 });
  proxy.fault = "keeps";
  const failures = await Promise.allSettled([storeOf(redis).set("sid", session), auth.update(id, { seen: 2 })]);
  expect(failures).toMatchObject(
    Array.from(failures, () => ({ reason: { code: "BACKEND_UNAVAILABLE", maybeExecuted: true } })),
  );
  proxy.fault = "passes";
  const other = open();
  await storeOf(other).destroy("sid");
  expect(await sessions(other, { prefix: `own${name}` }).destroyAll("ada")).toBe(1);
  await proxy.release();
  expect(await storeOf(other).get("sid")).toBe(null);
  expect(await sessions(other, { prefix: `own${name}` }).read(id)).toBe(undefined);
});

it("C749: a late acquisition takes nothing, and a late extension and release leave the lock to its next holder", async () => {
  const use = (redis: Redis): Promise<unknown> => locks(redis).using(`warm ${name}`, () => undefined);
  const redis = await warm(use, SHORT);
  // The second attempt has the lock, and releases it; then the first one arrives.
  proxy.fault = "keeps";
  const acquiring = locks(redis).acquire(name, { ttl: "20s" });
  await expect.poll(() => proxy.counts.requests).toBe(1);
  proxy.fault = "passes";
  expect(await (await acquiring).release()).toBe("released");
  await proxy.release();
  expect(await redis.commands.exists(`lock:{${name}}`)).toBe(false);

  const lost = await locks(redis).acquire(name, { ttl: "20s" });
  proxy.fault = "keeps";
  const late = Promise.allSettled([lost.extend("60s"), lost.release()]);
  await expect.poll(() => proxy.counts.requests).toBeGreaterThan(2);
  proxy.fault = "passes";
  const other = open();
  await other.commands.delete(`lock:{${name}}`);
  const next = await locks(other).acquire(name, { ttl: "20s" });
  await proxy.release();
  await late;
  expect(await other.commands.get(`lock:{${name}}`)).toBe(next.token);
  expect(next.remainingMs).toBeLessThanOrEqual(20_000);
  expect(await next.release()).toBe("released");
});

it("C749: a call that is given up while others are answered is not sent at all", async () => {
  const redis = await warm((one) => limitOf(one).consume("u"));
  proxy.fault = "keeps";
  const first = limitOf(redis).consume("u");
  await expect.poll(() => proxy.counts.requests).toBe(1);
  proxy.fault = "passes";
  expect(await limitOf(redis, { deadline: 50 }).consume("u", 10)).toMatchObject({ degraded: true });
  await proxy.release();
  expect(await first).toMatchObject({ remaining: 98 });
  expect(await limitOf(open()).peek("u")).toMatchObject({ remaining: 98 });
});

it.for<[string, (redis: Redis) => Promise<unknown>]>([
  ["a command", (redis) => redis.commands.incr(name)],
  ["a pipeline", (redis) => redis.pipeline((c) => [c.incr(name)])],
  ["a limit with a deadline", (redis) => limitOf(redis, { deadline: "1s" }).consume("u")],
])("C749: a call that waited for room is not executed after it was given up: %s", async ([, call]) => {
  const clock = new TestClock();
  const redis = await warm(call, { ...SHORT, clock, maxInFlight: 1 });
  const other = open();
  const made = async (): Promise<unknown> => [
    await other.commands.get(name),
    (await limitOf(other).peek("u")).remaining,
  ];
  const before = await made();
  proxy.reset();
  proxy.fault = "keeps";
  const first = redis.commands.get(name);
  const second = Promise.allSettled([call(redis)]);
  await expect.poll(() => proxy.counts.requests).toBe(1);
  clock.advance(999);
  await proxy.release();
  await first;
  await expect.poll(() => proxy.counts.requests).toBe(2);
  clock.advance(1);
  await second;
  // The clock of Redis cannot be moved.
  await sleep(10);
  proxy.fault = "passes";
  await proxy.release();
  expect(await made()).toEqual(before);
});

it("C749: after a freeze, in which the clock of the process stood still, a call is carried out, once", async () => {
  const clock = new TestClock();
  const redis = await warm((one) => one.commands.incr(name), { clock, commandTimeout: "200ms" });
  await sleep(300);
  expect(await redis.commands.incr(name)).toBe(2);
  // Refused as too late, then the time, then again.
  expect(proxy.counts.requests).toBe(3);
});

it.for<[RestFault, object]>([
  ["cuts answer", { code: "BACKEND_UNAVAILABLE", maybeExecuted: true }],
  ["cuts body", { code: "BACKEND_UNAVAILABLE", maybeExecuted: true }],
  [503, { code: "BACKEND_UNAVAILABLE", maybeExecuted: true }],
  [429, { code: "BACKEND_UNAVAILABLE", maybeExecuted: false, retryable: true }],
])("C749: nothing is sent twice, and errors are those of TCP: %s", async ([fault, details]) => {
  const redis = await warm((one) => limitOf(one).consume("u"));
  const auth = sessions(redis, { prefix: name });
  const { id } = await auth.create();
  const limit = limitOf(redis, { whenAway: "memory" });
  await auth.update(id, { seen: 1 });
  proxy.reset();
  proxy.fault = fault;
  const error = await auth.update(id, { seen: 2 }).catch((reason: unknown) => reason);
  expect(error).toMatchObject(details);
  expect(String(error)).not.toMatch(/secret|<html>/);
  expect(proxy.counts.requests).toBe(1);
  proxy.reset();
  expect(await limit.consume("u")).toMatchObject({ allowed: true, degraded: true, remaining: 99 });
  // One more asks whether Redis is back.
  expect(proxy.counts.names["EVALSHA"] ?? 0).toBeLessThanOrEqual(1);
  proxy.fault = "passes";
  await expect.poll(async () => (await limit.peek("u")).degraded).toBe(false);
});

it("C749: a call that was not sent, since the request for the time before it failed, says so, and waits with patience", async () => {
  const redis = open();
  const patient = open({ patience: "10s" });
  proxy.fault = "cuts answer";
  await expect(redis.commands.incr(name)).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE", maybeExecuted: false });
  expect(proxy.counts.requests).toBe(1);
  const increased = patient.commands.incr(name);
  await expect.poll(() => proxy.counts.requests).toBeGreaterThan(1);
  proxy.fault = "passes";
  expect(await increased).toBe(1);
});

it("C749: a read is not repeated after 429, and a token that is refused is an error that says so", async () => {
  const redis = await warm((one) => one.commands.get(name));
  proxy.fault = 429;
  await expect(redis.commands.get(name)).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE", maybeExecuted: false });
  expect(proxy.counts.requests).toBe(1);
  proxy.fault = "passes";
  const stranger = open({ connection: http({ url: proxy.url, token: "another" }) });
  await expect(stranger.commands.get(name)).rejects.toMatchObject({ retryable: false, maybeExecuted: false });
});

it("C749: a caller that waits for a lock looks again until it is free, or its wait has ended", async () => {
  const [redis, other] = [await warm((one) => locks(one).using(`warm ${name}`, () => undefined)), open()];
  const held = await locks(other).acquire(name);
  await expect(locks(redis).acquire(name, { wait: "300ms" })).rejects.toBeInstanceOf(LockUnavailableError);
  proxy.reset();
  const waiting = locks(redis).acquire(name, { wait: "20s" });
  await sleep(1_000);
  await held.release();
  const next = await waiting;
  expect(next.fence).toBeGreaterThan(held.fence);
  expect(proxy.counts.names["SUBSCRIBE"]).toBe(undefined);
  await next.release();
});

it("C749: two processes share limits and locks", { timeout: 120_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const processes = Array.from({ length: 2 }, () =>
    stack.use(
      forkScript<OverHttp>(new URL("processes/over-http.ts", import.meta.url), { env: { PROXY_URL: proxy.url } }),
    ),
  );
  const allowed = await Promise.all(processes.map((each) => each.call("consume", name, 80)));
  expect(allowed[0]! + allowed[1]!).toBe(100);
  const holdings = (await Promise.all(processes.map((each) => each.call("contend", name, 5)))).flat();
  const inOrder = holdings.toSorted((a, b) => a.fence - b.fence);
  expect(inOrder).toHaveLength(10);
  expect(inOrder.every((one, i) => i === 0 || inOrder[i - 1]!.to <= one.from)).toBe(true);
  await Promise.all(processes.map((each) => each.call("close")));
});

it("C749: what needs a connection is refused where it is made, and names what was given", async () => {
  const redis = open();
  const refused: Readonly<Record<string, () => unknown>> = {
    "queue(redis, name)": () => queue(redis, "mail"),
    "simpleQueue(redis, key)": () => simpleQueue(redis, "mail"),
    "streams(redis)": () => streams(redis),
    "pubsub(redis)": () => pubsub(redis),
    "health(redis, options)": () => health(redis),
    "locks({ replicas })": () => locks(redis, { replicas: 1 }),
    "transaction(options, describe)": () => redis.transaction({}, (t) => [t.queue.incr("a")]),
    "pool.use(task)": () => redis.pool.use(async () => undefined),
    "redis: a command that waits, or changes a connection,": () => redis.commands.blPop("a", 1),
  };
  const given = Object.entries(refused);
  const errors = await Promise.all(given.map(([, call]) => (async () => call())().catch((error: unknown) => error)));
  expect(errors).toMatchObject(
    given.map(([what]) => ({
      code: "INVALID_CONFIGURATION",
      message: `${what} needs a connection to itself, and Redis over HTTP has none; connect over TCP, with a redis: or rediss: URL`,
    })),
  );
  expect(proxy.counts.requests).toBe(0);
});

it("commands, pipelines and scripts reply as over TCP: text, bytes, numbers, pairs, and what is absent", async () => {
  const redis = open();
  const { commands, bytes } = redis;
  expect(await commands.set(name, Buffer.from([0, 255]))).toBe("set");
  expect(await commands.getBytes(name)).toEqual(Buffer.from([0, 255]));
  expect(await bytes.get(name)).toEqual(Buffer.from([0, 255]));
  expect(await commands.get(`${name} absent`)).toBe(undefined);
  expect(await commands.hset(`${name} h`, { a: "1", b: "é" })).toBe(2);
  expect(await commands.hGetAll(`${name} h`)).toEqual(new Map([["a", "1"], ["b", "é"]])); // prettier-ignore
  await commands.zAdd(`${name} z`, { score: 1.5, value: "a" });
  expect(await commands.zRangeWithScores(`${name} z`, 0, -1)).toEqual([{ value: "a", score: 1.5 }]);
  expect(await redis.pipeline((c) => [c.set(name, "1"), c.incr(name), c.get(name)])).toEqual([
    { ok: true, value: "set" },
    { ok: true, value: 2 },
    { ok: true, value: "2" },
  ]);
  await expect(commands.lPush(`${name} h`, "x")).rejects.toMatchObject({ code: "WRONG_TYPE" });
  const keys: string[] = [];
  for await (const key of commands.scan({ match: `${name}*` })) keys.push(key);
  expect(keys.toSorted()).toEqual([name, `${name} h`, `${name} z`]);
});

it("scripts and functions that only read work by their text, their hash and their name, and may not write", async () => {
  await using redis = openConnection(http({ url: proxy.url, token: proxy.token }), { responseTimeoutMs: 20_000 });
  const text = "return redis.call('GET', KEYS[1])";
  const write = "return redis.call('SET', KEYS[1], ARGV[1])";
  const library = `#!lua name=${name}
redis.register_function{ function_name = '${name}', flags = { 'no-writes' }, callback = function(keys)
  return redis.call('GET', keys[1])
end }`;
  await redis.call(["SET", name, "é"]);
  const sha = await redis.call(["SCRIPT", "LOAD", text]);
  await redis.call(["FUNCTION", "LOAD", library]);
  try {
    const replies = await Promise.all([
      redis.call(["EVAL_RO", text, "1", name]),
      redis.call(["EVALSHA_RO", String(sha), "1", name]),
      redis.call(["FCALL_RO", name, "1", name]),
    ]);
    expect(replies.map(String)).toEqual(["é", "é", "é"]);
  } finally {
    await redis.call(["FUNCTION", "DELETE", name]);
  }
  await expect(redis.call(["EVAL_RO", write, "1", name, "new"])).rejects.toThrow("Write commands are not allowed");
});

it("C749: what each call costs, in requests and commands, after the first of its process", async () => {
  const redis = await warm(async (one) => {
    await limitOf(one).consume("warm");
    await limitOf(one).peek("warm");
    await limitOf(one).reset("warm");
    const lease = await locks(one).acquire(`warm ${name}`);
    await lease.extend();
    await lease.release();
    const auth = sessions(one, { prefix: name });
    const { id } = await auth.create({ userId: "warm" });
    await auth.update(id, { a: 1 });
    await auth.touch(id);
    const moved = await auth.regenerate(id, { userId: "warm" });
    await auth.destroy(moved!.id);
    await auth.destroyAll("warm");
  });
  const limit = limitOf(redis);
  const auth = sessions(redis, { prefix: name });
  const anonymous = await auth.create();
  const ada = await auth.create({ userId: "ada" });
  let lease = await locks(redis).acquire(name);
  await lease.release();
  expect({
    "consume, peek": [await cost(() => limit.consume("u")), await cost(() => limit.peek("u"))],
    reset: await cost(() => limit.reset("u")),
    "20 calls at the same time": await cost(() =>
      Promise.all(Array.from({ length: 20 }, (_, i) => limit.consume(`u${i}`))),
    ),
    acquire: await cost(async () => (lease = await locks(redis).acquire(name))),
    "extend, release": [await cost(() => lease.extend()), await cost(() => lease.release())],
    using: await cost(() => locks(redis).using(name, () => undefined)),
    "create, create with a user": [await cost(() => auth.create()), await cost(() => auth.create({ userId: "ada" }))],
    "touch, of a user": [await cost(() => auth.touch(anonymous.id)), await cost(() => auth.touch(ada.id))],
    "read, of a user": [await cost(() => auth.read(anonymous.id)), await cost(() => auth.read(ada.id))],
    "update, of a user": [
      await cost(() => auth.update(anonymous.id, { a: 1 })),
      await cost(() => auth.update(ada.id, { a: 1 })),
    ],
    "regenerate as a login": await cost(() => auth.regenerate(anonymous.id, { userId: "ada" })),
    "destroy of a user, destroyAll of two": [
      await cost(() => auth.destroy(ada.id)),
      await cost(() => auth.destroyAll("ada")),
    ],
    idle: await cost(() => sleep(300)),
  }).toEqual({
    "consume, peek": ["1 / 1", "1 / 1"],
    reset: "1 / 1",
    "20 calls at the same time": "1 / 20",
    acquire: "1 / 1",
    "extend, release": ["1 / 1", "1 / 1"],
    using: "2 / 2",
    "create, create with a user": ["1 / 1", "2 / 2"],
    "touch, of a user": ["1 / 1", "2 / 2"],
    "read, of a user": ["1 / 1", "2 / 2"],
    "update, of a user": ["1 / 1", "2 / 2"],
    "regenerate as a login": "4 / 4",
    "destroy of a user, destroyAll of two": ["2 / 2", "2 / 3"],
    idle: "0 / 0",
  });
  // The first call of a process asks for the time of the server.
  expect(await cost(() => limitOf(open()).consume("u"))).toBe("2 / 2");
});

it("C743 commands of one turn that are too large together are divided, each within the bound of a request", async () => {
  await using small = await startRestProxy({
    redisPort: Number(new URL(inject("redisUrl")).port),
    maxRequestBytes: 200_000,
  });
  const redis = createRedis({
    connection: http({ url: small.url, token: small.token, maxRequestBytes: 200_000 }),
    commandTimeout: "20s",
  });
  opened.push(redis);
  const texts = Array.from({ length: 12 }, (_, i) => String.fromCharCode(97 + i).repeat(50_000));
  const stored = texts.map((text, i) => redis.commands.set(`${name}:${i}`, text));
  const tooLarge = redis.commands.set(`${name}:large`, "x".repeat(200_000));
  await expect(tooLarge).rejects.toThrow("larger than maxRequestBytes, 200000");
  await Promise.all(stored);
  expect(await Promise.all(texts.map((_, i) => redis.commands.get(`${name}:${i}`)))).toEqual(texts);
  expect(small.counts.largestBytes).toBeLessThanOrEqual(200_000);
});

it("C743 a key that is bytes is the same one for a script as for a command", async () => {
  const redis = open();
  const key = Buffer.concat([Buffer.from(name), Buffer.of(0xff, 0x00, 0xc3)]);
  const other = Buffer.concat([Buffer.from(name), Buffer.of(0xfe, 0x00, 0xc3)]);
  const append = defineScript({
    lua: "return redis.call('APPEND', KEYS[2], ARGV[1])",
    keys: 2,
    args: ["bytes"],
    reply: "integer",
  });
  await redis.commands.set(key, "a");
  expect(await append(redis, [`${name}é`, key], [Buffer.of(0xff)])).toBe(2);
  expect(await redis.commands.getBytes(key)).toEqual(Buffer.of(97, 0xff));
  expect([await redis.commands.exists(other), await redis.commands.exists(`${name}é`)]).toEqual([false, false]);
  // Over HTTP it is a script.
  expect(await redis.commands.incr(other, { by: 2n })).toBe(2n);
  expect(await redis.commands.get(other)).toBe("2");
});

it("C743 a command of more arguments than Lua takes is refused alone, before it is sent", async () => {
  const redis = open();
  const members = (count: number): string[] => Array.from({ length: count }, (_, i) => `${i}`);
  const [before, large, after] = await Promise.allSettled([
    redis.commands.sAdd(`${name}:a`, ["x"]),
    redis.commands.sAdd(`${name}:b`, members(10_000)),
    redis.commands.sAdd(`${name}:a`, ["y"]),
  ]);
  expect([before, after]).toEqual([
    { status: "fulfilled", value: 1 },
    { status: "fulfilled", value: 1 },
  ]);
  expect(large).toMatchObject({
    status: "rejected",
    reason: { code: "REFUSED", message: expect.stringContaining("10002 arguments are more than the 7900") },
  });
  expect(await redis.commands.sAdd(`${name}:b`, members(7_898))).toBe(7_898);
});
