import { EventEmitter } from "node:events";
import { createRedis } from "@hotset/redis-toolkit";
import { TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import { moduleOf } from "../module/module.ts";
import {
  concurrency,
  expressRateLimit,
  fixedWindow,
  rateLimit,
  slidingLog,
  tokenBucket,
  type RateLimitOptions,
} from "./rate-limit.ts";

// Redis is disabled: only what one process decides by itself.
const clock = new TestClock();
const redis = createRedis({ env: false, enabled: false, clock });
const limitOf = (options: Partial<RateLimitOptions> = {}) => rateLimit(redis, { name: "api", ...options });

it.each([
  [() => limitOf().consume(""), 'the key of a limit must be text of 1 to 512 characters, got ""'],
  [() => limitOf().consume(7.5), "the key of a limit must be text or a whole number up to 2^53, got 7.5"],
  [() => limitOf().consume("u", 0), "cost must be a whole number from 1"],
  [() => limitOf().consume("u", -1), "cost must be a whole number from 1"],
  [() => limitOf().consume("u", 1.5), "cost must be a whole number from 1"],
  [() => limitOf().consume("u", "2" as never), 'got "2"'],
  [() => limitOf().consume("u", 101), 'rateLimit "api": a call that costs 101 never fits into a limit of 100'],
  [() => limitOf().penalty("u", Number.NaN), "penalty(key, cost): cost must be a whole number"],
  [() => limitOf().reward("", 1), "the key of a limit must be text"],
  [() => limitOf().block("u", 0), "block(key, duration): duration must be from 1 to 2^52 ms"],
  [() => limitOf().block("u", Infinity), "block(key, duration): duration must be from 1 to 2^52 ms"],
  [() => limitOf().release("u", undefined as never), "lease must be that of a result of consume"],
  [
    () => limitOf().reset("x".repeat(513)),
    "the key of a limit must be text of 1 to 512 characters, got text of 513 characters",
  ],
])("a call that can never work is refused, and nothing is sent: %#", async (call, message) => {
  await expect(call()).rejects.toThrow(message);
});

it("A76: in memory every rule counts this process' share, at least one unit", async () => {
  const rules = [slidingLog({ limit: 10, window: "1m" }), tokenBucket({ limit: 1, refill: "10s", burst: 3 })];
  const limit = limitOf({ rules, processes: 2 });
  // Shares of 5 in a minute, and of 1 that comes back in 20 s.
  expect((await limit.consume("u")).allowed).toBe(true);
  const refused = await limit.consume("u");
  expect(refused).toMatchObject({ allowed: false, limit: 3, remaining: 0, retryAfterMs: 20_000, degraded: true });
  expect(refused.resetAt).toBe(clock.epochMs() + 20_000);
  clock.advance("19s");
  expect((await limit.consume("u")).retryAfterMs).toBe(1_000);
  clock.advance("1s");
  expect((await limit.consume("u")).allowed).toBe(true);
  await limit.penalty("u", 9);
  expect(await limit.peek("u")).toMatchObject({ allowed: false, limit: 10, remaining: 0 });
  await limit.reward("u", 11);
  expect((await limit.consume("u")).allowed).toBe(true);
});

it("A104: in memory a reward gives back the units of its call, and of Redis' units none", async () => {
  const limit = limitOf({ rules: [fixedWindow({ limit: 3, window: "1m" })] });
  const { units } = await limit.consume("u", 2);
  expect((await limit.consume("u")).allowed).toBe(true);
  expect(await limit.reward("u", "redis:2:60000-0")).toMatchObject({ remaining: 0 });
  expect(await limit.reward("u", units)).toMatchObject({ remaining: 2 });
  clock.advance("1m");
  await limit.consume("u", 3);
  expect(await limit.reward("u", units)).toMatchObject({ remaining: 0 });
  expect((await limit.peek("u")).units).toBeUndefined();
  expect((await limit.consume("u")).units).toBeUndefined();
  const rules = [fixedWindow(), slidingLog()];
  for (const wrong of [
    "",
    "2",
    "redis:2",
    "redis:2:1-0:1-0:1-0",
    "memory:0.5:1-0:1-0",
    "else:1:1-0:1-0",
    "redis:1:1:1",
  ])
    await expect(limitOf({ rules }).reward("u", wrong)).rejects.toThrow(
      "reward(key, units): units must be a number, or the units of a result of consume",
    );
});

it("A69: a slot can be renewed, and is while a response is under way", async () => {
  const limit = limitOf({ rules: [concurrency({ limit: 1, hold: "9s" })] });
  const lease = (await limit.consume("u")).lease!;
  clock.advance("8s");
  expect(await limit.renew("u", lease)).toBe(true);
  clock.advance("8s");
  expect((await limit.peek("u")).allowed).toBe(false);
  clock.advance("1s");
  expect(await limit.renew("u", lease)).toBe(false);
  await expect(limit.renew("u", "*")).rejects.toThrow("renew(key, lease): lease must be that of a result of consume");

  const response = Object.assign(new EventEmitter(), { destroyed: false, setHeader: () => undefined });
  const next = new Promise((resolve) => {
    expressRateLimit(limit, { key: () => "u" })({}, response as never, resolve);
  });
  expect(await next).toBeUndefined();
  for (let seconds = 0; seconds < 60; seconds += 1) {
    clock.advance("1s");
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect((await limit.peek("u")).allowed).toBe(false);
  response.emit("close");
  await expect.poll(async () => (await limit.peek("u")).allowed).toBe(true);
});

it("in memory too a slot that has ended is not held any more", async () => {
  const limit = limitOf({ rules: [concurrency({ limit: 2, hold: "10s" })] });
  const lease = (await limit.consume("u", 2)).lease!;
  clock.advance(9_999);
  const refused = await limit.consume("u");
  expect([refused.allowed, refused.retryAfterMs]).toEqual([false, 1]);
  clock.advance(1);
  expect(await limit.release("u", lease)).toBe(false);
  expect((await limit.consume("u", 2)).allowed).toBe(true);
});

it("A76: without Redis by choice, reset, block and release act in memory", async () => {
  for (const whenAway of ["memory", "open"] as const) {
    const rules = [fixedWindow({ limit: 2, window: "1m" }), concurrency({ limit: 2, hold: "1m" })];
    const limit = limitOf({ name: whenAway, rules, whenAway, maxKeys: 2, rememberRefusals: 0 });
    const { lease } = await limit.consume("u", 2);
    expect((await limit.consume("u")).allowed).toBe(whenAway === "open");
    if (whenAway === "memory") expect(await limit.release("u", lease!)).toBe(true);
    expect(await limit.reset("u")).toBeUndefined();
    expect((await limit.consume("u", 2)).allowed).toBe(true);

    await limit.block("v", "10s");
    const refused = await limit.consume("v");
    expect(refused).toMatchObject({ allowed: false, reason: "blocked", remaining: 0, retryAfterMs: 10_000 });
    expect(refused.lease).toBeUndefined();
    await limit.reset("v");
    expect((await limit.consume("v")).allowed).toBe(true);
    await limit.block("v", "10s");
    clock.advance("9999ms");
    expect((await limit.peek("v")).allowed).toBe(false);
    clock.advance(1);
    expect((await limit.peek("v")).allowed).toBe(true);

    // The oldest block is forgotten beyond maxKeys.
    for (const key of ["a", "b", "c"]) await limit.block(key, "10s");
    const allowed = await Promise.all(["a", "b", "c"].map(async (key) => (await limit.peek(key)).allowed));
    expect(allowed).toEqual([true, false, false]);
  }
});

it("A76: in memory at most maxKeys are counted: the one that was new first is forgotten", async () => {
  const limit = limitOf({ rules: [fixedWindow({ limit: 1 })], maxKeys: 2 });
  for (const key of ["a", "b"]) expect((await limit.consume(key)).allowed).toBe(true);
  expect((await limit.consume("a")).allowed).toBe(false);
  expect((await limit.consume("c")).allowed).toBe(true);
  expect((await limit.consume("b")).allowed).toBe(false);
  expect((await limit.consume("a")).allowed).toBe(true);
});

it("A69: header fields of draft 8, of draft 6, and none", async () => {
  const rules = [fixedWindow({ limit: 5, window: 1_500 })];
  const of = async (options: Partial<RateLimitOptions>) => {
    const limit = limitOf({ rules, name: 'a"b\\é', ...options });
    return [(await limit.consume("u", 4)).headers, (await limit.consume("u", 2)).headers];
  };
  const name = String.raw`"a\"b\\?"`;
  expect(await of({})).toEqual([
    { "RateLimit-Policy": `${name};q=5;w=2`, RateLimit: `${name};r=1;t=2` },
    { "RateLimit-Policy": `${name};q=5;w=2`, RateLimit: `${name};r=1;t=2`, "Retry-After": "2" },
  ]);
  const fields = {
    "RateLimit-Policy": "5;w=2",
    "RateLimit-Limit": "5",
    "RateLimit-Remaining": "1",
    "RateLimit-Reset": "2",
  };
  expect(await of({ headers: "draft-6" })).toEqual([fields, { ...fields, "Retry-After": "2" }]);
  expect(await of({ headers: "none" })).toEqual([{}, {}]);
});

it("decisions are counted by limit, those of one name together", async () => {
  const own = createRedis({ env: false, enabled: false, clock });
  const limit = (name: string) => rateLimit(own.tenant("a:"), { name, rules: [fixedWindow({ limit: 1 })] });
  for (const name of ["login", "login", "search"]) {
    const one = limit(name);
    for (let i = 0; i < 3; i += 1) await one.consume("u");
  }
  expect(Object.fromEntries(moduleOf(own).limits)).toEqual({
    login: { allowed: 2, refused: 4 },
    search: { allowed: 1, refused: 2 },
  });
});
