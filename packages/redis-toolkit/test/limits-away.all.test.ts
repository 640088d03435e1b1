import type { AddressInfo } from "node:net";
import { setImmediate } from "node:timers/promises";
import { createRedis, type Redis, type RedisOptions } from "@hotset/redis-toolkit";
import { hashSlot } from "@hotset/redis-toolkit/connection";
import {
  concurrency,
  expressRateLimit,
  expressRateLimitStore,
  fixedWindow,
  gcra,
  rateLimit,
  slidingCounter,
  slidingLog,
  tokenBucket,
  type RateLimit,
  type RateLimitOptions,
  type RateLimitResult,
} from "@hotset/redis-toolkit/rate-limit";
import { startCluster, startOwnRedis, type TestCluster } from "@hotset/test-servers";
import { outcome } from "@hotset/testing";
import express from "express";
import { rateLimit as rateLimit8 } from "express-rate-limit";
import { rateLimit as rateLimit7 } from "express-rate-limit-7";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ALONE } from "./servers.ts";

const server = await startOwnRedis();
afterAll(() => server.stop());

let redis: Redis;
afterEach(() => redis.disconnect());

const open = (options: Partial<RateLimitOptions> = {}, redisOptions: RedisOptions = {}): RateLimit => {
  redis = createRedis({ ...ALONE, url: server.url, ...redisOptions });
  return rateLimit(redis, {
    name: `n${Math.random()}`,
    rules: [fixedWindow({ limit: 100 })],
    deadline: "5s",
    ...options,
  });
};

/** Calls one after another, and how many waited for something. */
async function consume(limit: RateLimit, count: number, key = "u"): Promise<[readonly RateLimitResult[], number]> {
  const results: RateLimitResult[] = [];
  let waited = 0;
  for (let i = 0; i < count; i += 1) {
    const call = limit.consume(key);
    if ((await outcome(call)).status === "pending") waited += 1;
    results.push(await call);
  }
  return [results, waited];
}

const allowedOf = (results: readonly RateLimitResult[]): number => results.filter(({ allowed }) => allowed).length;
const healed = async (limit: RateLimit): Promise<void> => {
  await expect.poll(async () => (await limit.peek("u")).degraded, { interval: 20 }).toBe(false);
};

describe.each([
  ["stands still", () => server.pause(), () => server.resume()],
  ["was killed", () => server.kill(), () => server.start()],
] as const)("Redis %s", (_, stop, goOn) => {
  it.each([
    ["open", 300, { allowed: true, remaining: 100, degraded: true, retryAfterMs: 0, reason: undefined }],
    ["closed", 0, { allowed: false, remaining: 0, degraded: true, retryAfterMs: 1_000, reason: "away" }],
    ["memory", 25, { allowed: false, limit: 100, remaining: 0, degraded: true, reason: "limit" }],
  ] as const)("A76: %s decides at once, and nothing of it is counted later", async (whenAway, allowed, last) => {
    const limit = open({ whenAway, processes: 4, deadline: "2s" }, { commandTimeout: "2s" });
    await healed(limit);
    expect(await limit.consume("u")).toMatchObject({ degraded: false, remaining: 99 });
    await stop();
    try {
      expect(await limit.consume("found")).toMatchObject({ degraded: true, allowed: whenAway !== "closed" });
      const [results, waited] = await consume(limit, 300);
      expect(waited).toBe(0);
      expect(allowedOf(results)).toBe(allowed);
      expect(results.at(-1)).toMatchObject(last);
      await expect(limit.reset("u")).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
    } finally {
      await goOn();
    }
    await healed(limit);
    // The one call that was sent before Redis was known to be away may count, and no other.
    expect((await limit.peek("u")).remaining).toBeGreaterThanOrEqual(99);
    expect((await limit.peek("found")).remaining).toBeGreaterThanOrEqual(99);
    const [after] = await consume(limit, 100);
    expect(after.every(({ degraded }) => !degraded)).toBe(true);
    expect(allowedOf(after)).toBeGreaterThanOrEqual(99);
  });
});

it("A76: while Redis is away no command of a limit waits to be sent", async () => {
  const limit = open({ whenAway: "open" });
  await limit.consume("u");
  await server.kill();
  await consume(limit, 1_000);
  await server.start();
  await healed(limit);
  // Redis was restarted without its data: only the calls since then are there.
  expect((await limit.peek("u")).remaining).toBe(100);
  const scripts = await server.info("commandstats");
  expect(scripts["cmdstat_ping"]).toBeDefined();
  expect(Object.keys(scripts).filter((name) => name.startsWith("cmdstat_incr"))).toEqual([]);
});

it("A76: slots of this process' share are given back in memory too", async () => {
  const limit = open({ rules: [concurrency({ limit: 4, hold: "1m" })], processes: 2 }, { enabled: false });
  const [one, two, three] = [await limit.consume("u"), await limit.consume("u"), await limit.consume("u")];
  expect([one, two, three].map(({ allowed, degraded }) => [allowed, degraded])).toEqual([
    [true, true],
    [true, true],
    [false, true],
  ]);
  expect(await limit.release("u", one.lease!)).toBe(true);
  expect((await limit.consume("u")).allowed).toBe(true);
});

it.each(["memory", "closed"] as const)(
  "A76: a call that is decided by %s keeps no slot that Redis gives after its deadline",
  async (whenAway) => {
    const limit = open({ rules: [concurrency({ limit: 4, hold: "1h" })], whenAway, deadline: "1s" });
    await healed(limit);
    await limit.consume("u");
    server.pause();
    const { allowed, degraded, lease } = await limit.consume("u").finally(() => server.resume());
    expect([allowed, degraded]).toEqual([whenAway === "memory", true]);
    await healed(limit);
    if (lease !== undefined) expect(await limit.release("u", lease)).toBe(true);
    await expect.poll(async () => (await limit.peek("u")).remaining).toBe(3);
  },
);

it("A76: an open limit names slots that Redis may have given, so that they can be released", async () => {
  const limit = open({ rules: [concurrency({ limit: 4, hold: "1m" })], whenAway: "open", deadline: "1s" });
  await healed(limit);
  await limit.consume("u");
  server.pause();
  const { allowed, degraded, lease } = await limit.consume("u").finally(() => server.resume());
  expect([allowed, degraded]).toEqual([true, true]);
  await healed(limit);
  const { remaining } = await limit.peek("u");
  expect(await limit.release("u", lease!)).toBe(remaining === 2);
  expect((await limit.peek("u")).remaining).toBe(3);
});

it("A76: a disabled or read-only Redis leaves it to the policy; a missing right is an error", async () => {
  const disabled = open({ whenAway: "closed" }, { enabled: false });
  expect(await disabled.consume("u")).toMatchObject({ allowed: false, degraded: true, reason: "away" });
  await expect(disabled.block("u", "1m")).resolves.toBeUndefined();
  await redis.disconnect();
  const limit = open({ whenAway: "open", rules: [slidingLog()] });
  await limit.consume("u");
  await server.command("CONFIG", "SET", "maxmemory", "1");
  try {
    expect(await limit.consume("u")).toMatchObject({ allowed: true, degraded: true });
    expect(await limit.peek("u")).toMatchObject({ remaining: 99, degraded: false });
    await limit.reset("u");
  } finally {
    await server.command("CONFIG", "SET", "maxmemory", "0");
  }
  expect(await limit.consume("u")).toMatchObject({ remaining: 99, degraded: false });
  await server.command("ACL", "SETUSER", "reader", "on", "nopass", "~*", "+@read", "+ping");
  await redis.disconnect();
  const barred = open({ whenAway: "open" }, { username: "reader", password: "x" });
  await expect(barred.consume("u")).rejects.toMatchObject({ code: "NO_PERMISSION" });
});

it.each([
  ["is a replica", ["REPLICAOF", "localhost", "1"], ["REPLICAOF", "NO", "ONE"]],
  [
    "has too few replicas",
    ["CONFIG", "SET", "min-replicas-to-write", "1"],
    ["CONFIG", "SET", "min-replicas-to-write", "0"],
  ],
])("A76: a server that %s leaves it to the policy, each time, and is asked again", async (_, spoil, mend) => {
  const limit = open({ whenAway: "closed", rules: [tokenBucket(), slidingCounter()] });
  expect(await limit.consume("u")).toMatchObject({ allowed: true, degraded: false });
  await server.command(...spoil);
  try {
    for (let i = 0; i < 3; i += 1) {
      const result = await limit.consume("u");
      expect(result).toMatchObject({ allowed: false, degraded: true, reason: "away" });
    }
  } finally {
    await server.command(...mend);
  }
  expect(await limit.consume("u")).toMatchObject({ allowed: true, remaining: 98, degraded: false });
});

it("A76: a pause of this process is no outage", async () => {
  const limit = open({ whenAway: "closed", deadline: "1s" });
  await healed(limit);
  await limit.consume("u");
  const decision = limit.consume("u");
  const endAt = performance.now() + 2_000;
  while (performance.now() < endAt);
  expect(await decision).toMatchObject({ allowed: true, remaining: 98, degraded: false });
});

it("A70: of 10,000 calls in a tick a limit of 100 allows 100, and none hangs", async () => {
  const limit = open({ rules: [slidingLog(), gcra()], deadline: "1m", rememberRefusals: 0 });
  const results = await Promise.all(Array.from({ length: 10_000 }, () => limit.consume("u")));
  expect(allowedOf(results)).toBe(100);
  expect(results.every(({ degraded }) => !degraded)).toBe(true);
  await redis.disconnect();
  const impatient = open({ deadline: 1, whenAway: "closed" });
  const settled = await Promise.all(Array.from({ length: 2_000 }, () => impatient.consume("u")));
  expect(settled.some(({ degraded }) => degraded)).toBe(true);
  expect(settled.filter(({ allowed, degraded }) => allowed && degraded)).toEqual([]);
});

describe("a cluster", () => {
  let nodes: TestCluster;
  beforeAll(async () => {
    nodes = await startCluster({ replicas: 0, nodeTimeoutMs: 30_000 });
  });
  afterAll(() => nodes.stop());

  it("A76: keys of the shards that answer are counted on while one is away", async () => {
    redis = createRedis({ ...ALONE, cluster: nodes.urls });
    const limit = rateLimit(redis, {
      name: "api",
      rules: [fixedWindow({ limit: 100 })],
      deadline: "3s",
      whenAway: "open",
    });
    const node = nodes.nodes[0]!;
    // The last slot of the first node is 5,460. Its range of 256 is shared with the second one.
    const isShared = (key: string): boolean => hashSlot(key) >= 5_376 && hashSlot(key) <= 5_631;
    const isDead = (key: string): boolean => hashSlot(key) < 5_376;
    const keys = Array.from({ length: 100 }, (_, i) => `user:${i}`).filter((key) => !isShared(key));
    for (const key of keys) await limit.consume(key);
    node.pause();
    try {
      await Promise.all(keys.filter(isDead).map((key) => limit.consume(key)));
      for (const key of keys) {
        const call = limit.consume(key);
        if (isDead(key)) expect([key, (await outcome(call)).status]).toEqual([key, "fulfilled"]);
        expect([key, (await call).degraded]).toEqual([key, isDead(key)]);
      }
    } finally {
      node.resume();
    }
    for (const key of keys) await expect.poll(async () => (await limit.peek(key)).degraded).toBe(false);
  });
});

describe("refusals in memory", () => {
  const scripts = async (): Promise<number> => {
    const stats = await server.info("commandstats");
    return ["evalsha", "eval"].reduce(
      (sum, name) => sum + Number(/calls=(\d+)/.exec(stats[`cmdstat_${name}`] ?? "")?.[1] ?? 0),
      0,
    );
  };

  it("A77: a key over its limit is refused without asking Redis until it fits, and others are asked for", async () => {
    const limit = open({
      rules: [slidingLog({ limit: 2, window: "5s" })],
      rememberRefusals: Infinity,
      deadline: "2s",
    });
    await consume(limit, 2);
    const before = await scripts();
    const [results] = await consume(limit, 50);
    const isRefused = results.every(({ allowed, degraded, retryAfterMs }) => !allowed && !degraded && retryAfterMs > 0);
    expect(isRefused).toBe(true);
    expect((await scripts()) - before).toBe(1);
    expect((await limit.consume("other")).allowed).toBe(true);
    const { retryAfterMs } = await limit.consume("u");
    // A timer of Node's may fire a millisecond before its time.
    await new Promise((resolve) => setTimeout(resolve, retryAfterMs + 2));
    expect((await limit.consume("u")).allowed).toBe(true);
  });

  it("A77: a smaller call is asked for; a reset, a reward and a block of this process count at once", async () => {
    const limit = open({ rules: [fixedWindow({ limit: 10 })], rememberRefusals: Infinity, deadline: "2s" });
    await limit.consume("u", 6);
    expect((await limit.consume("u", 5)).allowed).toBe(false);
    expect((await limit.consume("u", 4)).allowed).toBe(true);
    expect((await limit.consume("u", 1)).allowed).toBe(false);
    await limit.reward("u", 1);
    expect((await limit.consume("u", 1)).allowed).toBe(true);
    expect((await limit.consume("u", 1)).allowed).toBe(false);
    await limit.block("u", "1m");
    expect((await limit.consume("u", 1)).reason).toBe("blocked");
    await limit.reset("u");
    expect((await limit.consume("u", 1)).remaining).toBe(9);
  });

  it("A77: at most maxKeys are remembered, and none where it is switched off", async () => {
    const rules = [fixedWindow({ limit: 1, window: "1h" })];
    // One key: which of several goes is drawn by lot.
    const limit = open({ rules, maxKeys: 1, rememberRefusals: "1m", deadline: "2s" });
    for (const key of ["a", "b"]) await consume(limit, 2, key);
    let before = await scripts();
    await consume(limit, 2, "b");
    expect((await scripts()) - before).toBe(0);
    await limit.consume("a");
    expect((await scripts()) - before).toBe(1);
    await redis.disconnect();
    const asking = open({ rules, rememberRefusals: 0, deadline: "2s" });
    before = await scripts();
    await consume(asking, 5);
    expect((await scripts()) - before).toBe(5);
  });
});

it("A75: keys that are always allowed or refused are compared as a whole, and Redis is not asked", async () => {
  const lists = { allow: ["10.0.0.1", "both"], deny: new Set(["evil", "both"]), whenAway: "closed" } as const;
  const limit = open(lists, { url: "redis://localhost:1" });
  expect(await limit.consume("10.0.0.1")).toMatchObject({ allowed: true, remaining: 100, degraded: false });
  const denied = await limit.consume("evil");
  expect(denied).toMatchObject({ allowed: false, remaining: 0, retryAfterMs: Infinity, reason: "denied" });
  expect(denied.headers).not.toHaveProperty("Retry-After");
  expect(await limit.peek("both")).toMatchObject({ reason: "denied" });
  for (const key of ["10.0.0.10", "110.0.0.1", "10.0.0.1 ", "EVIL", "evi"])
    expect(await limit.consume(key)).toMatchObject({ allowed: false, reason: "away", degraded: true });
});

describe("Redis that is away when a request ends is a line of the logger", () => {
  /** Kills Redis during one request. @returns its status, what was logged, and unhandled rejections */
  async function killedDuring(
    limiter: (redis: Redis) => unknown,
    status: number,
  ): Promise<[number, readonly string[], readonly unknown[]]> {
    const lines: string[] = [];
    const warn = (line: string): void => void lines.push(line.split(":").slice(0, 3).join(":"));
    redis = createRedis({ ...ALONE, url: server.url, logger: { error: warn, warn, info: () => undefined } });
    const unhandled: unknown[] = [];
    const remember = (reason: unknown): void => void unhandled.push(reason);
    const app = express();
    app.use(limiter(redis) as express.RequestHandler);
    app.get("/", (_request, response, next) => {
      server.kill().then(() => response.status(status).send("served"), next);
    });
    process.on("unhandledRejection", remember);
    const listening = app.listen(0);
    try {
      const { port } = listening.address() as AddressInfo;
      const response = await fetch(`http://localhost:${port}/`);
      await expect.poll(() => [lines.length, unhandled.length]).not.toEqual([0, 0]);
      await setImmediate();
      return [response.status, [...new Set(lines)], unhandled];
    } finally {
      process.off("unhandledRejection", remember);
      listening.close().closeAllConnections();
      await server.start();
    }
  }

  it("where slots are given back", async () => {
    const rules = [concurrency({ limit: 1 })];
    const limiter = (over: Redis): unknown =>
      expressRateLimit(rateLimit(over, { name: `n${Math.random()}`, rules, deadline: "5s" }), { key: () => "u" });
    expect(await killedDuring(limiter, 200)).toEqual([200, ["hotset: redis: rate limit"], []]);
  });

  it.each([
    ["7", rateLimit7],
    ["8", rateLimit8 as unknown as typeof rateLimit7],
  ])("where express-rate-limit %s takes a hit back, and no rejection is unhandled", async (_, limiter) => {
    const store = (over: Redis): unknown =>
      limiter({
        windowMs: 60_000,
        limit: 2,
        skipFailedRequests: true,
        store: expressRateLimitStore(over, { prefix: `n${Math.random()}`, deadline: "5s" }),
      });
    expect(await killedDuring(store, 500)).toEqual([500, ["hotset: redis: rate limit"], []]);
  });

  it("a store that was not begun refuses to take back all the same", async () => {
    redis = createRedis({ ...ALONE, url: server.url });
    await expect(expressRateLimitStore(redis).decrement("u")).rejects.toThrow(
      "init({ windowMs }) must be called first",
    );
  });
});
