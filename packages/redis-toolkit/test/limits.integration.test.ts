import type { Redis } from "@hotset/redis-toolkit";
import {
  concurrency,
  CostAboveLimitError,
  expressRateLimitStore,
  fixedWindow,
  gcra,
  rateLimit,
  slidingCounter,
  slidingLog,
  tokenBucket,
  type ExpressStore,
  type RateLimit,
  type RateLimitOptions,
  type Rule,
} from "@hotset/redis-toolkit/rate-limit";
import { randomPrefix } from "@hotset/test-servers";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ALSO_OVER_HTTP, secondsLeft, startServers } from "./servers.ts";

const servers = startServers({ user: "limits", keys: "any" });

const KINDS: readonly (readonly [string, Rule])[] = [
  ["fixedWindow", fixedWindow({ limit: 100 })],
  ["slidingLog", slidingLog({ limit: 100 })],
  ["slidingCounter", slidingCounter({ limit: 100 })],
  ["tokenBucket", tokenBucket({ limit: 100 })],
  ["gcra", gcra({ limit: 100 })],
  ["concurrency", concurrency({ limit: 100, hold: "1h" })],
];

describe.each(ALSO_OVER_HTTP)("limits over %s", (where) => {
  let redis: Redis;
  let name: string;
  beforeAll(async () => {
    redis = await servers.open(where);
  });
  beforeEach(() => {
    name = randomPrefix();
  });
  const limitOf = (options: Omit<RateLimitOptions, "name">) =>
    rateLimit(redis, { name, deadline: "1m", whenAway: "closed", ...options });

  it.each(KINDS)("A71: 500 calls at the same time get 100 of %s", async (_, rule) => {
    const limit = limitOf({ rules: [rule], rememberRefusals: 0 });
    const results = await Promise.all(Array.from({ length: 500 }, () => limit.consume("user:{1}")));
    expect(results.filter(({ allowed }) => allowed)).toHaveLength(100);
    expect(results.every(({ degraded }) => !degraded)).toBe(true);
    const refused = results.find(({ allowed }) => !allowed)!;
    expect(refused).toMatchObject({ limit: 100, remaining: 0, reason: "limit" });
    expect(refused.retryAfterMs).toBeGreaterThan(0);
    expect(refused.retryAfterMs).toBeLessThanOrEqual(3_600_000 * 1.1);
    expect(refused.headers["Retry-After"]).toBe(String(Math.ceil(refused.retryAfterMs / 1_000)));
  });

  it.each(KINDS)("A75: %s: cost, peek, penalty, reward, reset; what is refused is not counted", async (kind, rule) => {
    const limit = limitOf({ rules: [rule] });
    const peeked = await limit.peek("u", 100);
    expect(peeked).toMatchObject({ allowed: true, limit: 100, remaining: 100, retryAfterMs: 0, degraded: false });
    expect(await limit.consume("u", 60)).toMatchObject({ allowed: true, remaining: 40 });
    expect(await limit.consume("u", 41)).toMatchObject({ allowed: false, remaining: 40, reason: "limit" });
    expect(await limit.consume("u", 40)).toMatchObject({ allowed: true, remaining: 0 });
    expect(await limit.peek("u")).toMatchObject({ allowed: false, remaining: 0 });
    // Slots belong to calls that were allowed.
    const isSlots = kind === "concurrency";
    expect(await limit.reward("u", 10)).toMatchObject(isSlots ? { remaining: 0 } : { allowed: true, remaining: 10 });
    expect(await limit.penalty("u", 7)).toMatchObject({ remaining: isSlots ? 0 : 3 });
    expect(await limit.penalty("u", 7)).toMatchObject({ allowed: false, remaining: 0 });
    await limit.reset("u");
    expect(await limit.peek("u")).toMatchObject({ allowed: true, remaining: 100 });
    expect(await limit.reward("u", 5)).toMatchObject({ remaining: 100 });
  });

  it.each(KINDS)("A104: a reward of %s gives back the units of its call", async (kind, rule) => {
    const limit = limitOf({ rules: [rule] });
    const { units } = await limit.consume("u", 60);
    await limit.consume("u", 30);
    const isSlots = kind === "concurrency";
    expect(await limit.reward("u", units)).toMatchObject({ remaining: isSlots ? 10 : 70 });
    await limit.penalty("u", 100);
    await limit.reset("u");
    expect(await limit.reward("u", units)).toMatchObject({ remaining: 100 });
  });

  it("A75: of several rules all count a call, or none does, and the one that counts is shown", async () => {
    const rules = [slidingLog({ limit: 3, window: "1m" }), tokenBucket({ limit: 10, refill: "1h", burst: 5 })];
    const limit = limitOf({ rules, rememberRefusals: 0 });
    const startedAt = performance.now();
    expect(await limit.consume("u", 2)).toMatchObject({ allowed: true, limit: 3, remaining: 1 });
    // Refused by the log: the bucket keeps its 3.
    expect(await limit.consume("u", 2)).toMatchObject({ allowed: false, limit: 3, remaining: 1 });
    const { headers } = await limit.peek("u");
    expect(headers["RateLimit-Policy"]).toBe(`"${name}-1";q=3;w=60, "${name}-2";q=5;w=1800`);
    const shown = secondsLeft(60, startedAt).flatMap((log) =>
      secondsLeft(720, startedAt).map((bucket) => `"${name}-1";r=1;t=${log}, "${name}-2";r=3;t=${bucket}`),
    );
    expect(shown).toContain(headers["RateLimit"]);
    await limit.consume("u");
    expect((await limit.peek("u")).headers["RateLimit"]).toContain(`"${name}-2";r=2`);
    // Refused by the bucket: the log keeps its 2.
    const turned = limitOf({ name: `${name}:2`, rules: [rules[0]!, tokenBucket({ limit: 1 })] } as never);
    expect((await turned.consume("u")).allowed).toBe(true);
    expect(await turned.consume("u")).toMatchObject({ allowed: false, limit: 1 });
    expect((await turned.peek("u")).headers["RateLimit"]).toContain(`"${name}:2-1";r=2;`);
    await expect(limit.consume("u", 4)).rejects.toMatchObject({ code: "COST_ABOVE_LIMIT", cost: 4, limit: 3 });
    await expect(limit.peek("u", 4)).rejects.toBeInstanceOf(CostAboveLimitError);
    expect((await limit.peek("u")).headers["RateLimit"]).toContain(`"${name}-2";r=2`);
  });

  it("A75: a block refuses for its time in all limiters of the name, and a reset ends it", async () => {
    const [one, other] = [limitOf({ rules: KINDS.slice(0, 1).map(([, rule]) => rule) }), limitOf({})];
    const startedAt = performance.now();
    await one.block("u", "1m");
    const blocked = await other.consume("u");
    expect(blocked).toMatchObject({ allowed: false, remaining: 0, reason: "blocked" });
    expect(blocked.retryAfterMs).toBeGreaterThan(50_000);
    expect(blocked.retryAfterMs).toBeLessThanOrEqual(60_000);
    const shown = secondsLeft(60, startedAt).map((left) => [`${left}`, `"${name}";r=0;t=${left}`]);
    expect(shown).toContainEqual([blocked.headers["Retry-After"], blocked.headers["RateLimit"]]);
    await other.reset("u");
    expect(await other.consume("u")).toMatchObject({ allowed: true, remaining: 99 });
    const strict = limitOf({ rules: [fixedWindow({ limit: 1 })], blockFor: "2h" });
    await strict.consume("v");
    const refused = await strict.consume("v");
    expect(refused.reason).toBe("blocked");
    expect(refused.retryAfterMs).toBeGreaterThan(7_100_000);
    expect(await strict.reward("v")).toMatchObject({ allowed: false, reason: "blocked" });
  });

  it("A75: refused calls count where they are to", async () => {
    for (const [kind, rule] of KINDS.filter(([each]) => each !== "concurrency")) {
      const limit = limitOf({ name: `${name}-${kind}`, rules: [rule], countRefused: true } as never);
      await limit.consume("u", 60);
      expect(await limit.consume("u", 50)).toMatchObject({ allowed: false, remaining: 0 });
      expect(await limit.consume("u", 50)).toMatchObject({ allowed: false, remaining: 0 });
      expect((await limit.reward("u", 15)).remaining).toBe(kind === "slidingLog" ? 15 : 0);
    }
  });

  it("A69: slots are given back once, or end by themselves", async () => {
    const limit = limitOf({ rules: [concurrency({ limit: 2, hold: "1h" })] });
    const [one, two, three] = [await limit.consume("u"), await limit.consume("u"), await limit.consume("u")];
    expect([one.allowed, two.allowed, three.allowed]).toEqual([true, true, false]);
    expect(three.lease).toBeUndefined();
    expect(three.retryAfterMs).toBeGreaterThan(3_500_000);
    expect(three.retryAfterMs).toBeLessThanOrEqual(3_600_000);
    expect([await limit.release("u", one.lease!), await limit.release("u", one.lease!)]).toEqual([true, false]);
    const both = [await limit.consume("u"), await limit.peek("u")];
    expect(both.map(({ remaining }) => remaining)).toEqual([0, 0]);
    expect([await limit.release("u", two.lease!), await limit.release("u", both[0]!.lease!)]).toEqual([true, true]);
    expect((await limit.peek("u", 2)).allowed).toBe(true);
    const pair = await limit.consume("u", 2);
    expect(await limit.release("u", pair.lease!)).toBe(true);
    expect((await limit.peek("u", 2)).allowed).toBe(true);
    // Each ends by itself, also while another one is held.
    const brief = limitOf({ rules: [concurrency({ limit: 2, hold: 150 })] });
    expect((await brief.consume("u")).allowed).toBe(true);
    const lasting = await limit.consume("u");
    await expect.poll(async () => (await limit.peek("u")).remaining).toBe(1);
    expect(await limit.release("u", lasting.lease!)).toBe(true);
    expect((await limit.peek("u", 2)).allowed).toBe(true);
    await expect(limit.release("u", "*")).rejects.toThrow("lease must be that of a result of consume");
  });

  it("A69: slots that are renewed are held for their whole time again", async () => {
    const [long, brief] = (["1h", "1m"] as const).map((hold) => limitOf({ rules: [concurrency({ limit: 4, hold })] }));
    const { lease } = await brief!.consume("u", 2);
    expect(await long!.renew("u", lease!)).toBe(true);
    const { resetAt } = await long!.peek("u");
    expect(resetAt).toBeGreaterThan(Date.now() + 3_000_000);
    expect(await redis.commands.ttlMs(`rate_limit:${name}:{u}:concurrency`)).toBeGreaterThan(3_000_000);
    // Those of another call have a longer life.
    const other = await brief!.consume("u");
    expect(await brief!.renew("u", other.lease!)).toBe(true);
    expect(await redis.commands.ttlMs(`rate_limit:${name}:{u}:concurrency`)).toBeGreaterThan(3_000_000);
    expect([await long!.release("u", lease!), await long!.renew("u", lease!)]).toEqual([true, false]);
    expect((await long!.peek("u")).remaining).toBe(3);
  });

  it("a slot that has ended is not held any more, also while Redis still has it", async () => {
    const [long, brief] = (["1h", 150] as const).map((hold) =>
      limitOf({ rules: [concurrency({ limit: 4, hold })] }),
    ) as [RateLimit, RateLimit];
    // Its slot keeps the key in Redis.
    const held = await long.consume("u");
    const ended = await brief.consume("u", 2);
    await expect.poll(async () => (await brief.peek("u")).remaining, { interval: 20 }).toBe(3);
    const key = `rate_limit:${name}:{u}:concurrency`;
    expect(await redis.commands.zCard(key)).toBe(3);
    expect(await brief.release("u", ended.lease!)).toBe(false);
    expect(await redis.commands.zCard(key)).toBe(1);
    expect(await long.release("u", held.lease!)).toBe(true);
  });

  it("A35: all keys of a limit lie in one slot, below its tenant, also for keys with braces", async () => {
    const tenant = redis.tenant(`${name}{x}`);
    const limit = rateLimit(tenant, { name: "api", rules: KINDS.map(([, rule]) => rule), deadline: "1m" });
    await limit.consume("a{b}:*");
    await limit.block("a{b}:*", "1m");
    const keys: string[] = [];
    for await (const key of tenant.commands.scan()) keys.push(key);
    expect(keys.toSorted()).toEqual(
      [
        "block",
        "concurrency",
        "fixed-window:3600000",
        "gcra:3600000",
        "sliding-counter:3600000:360000",
        "sliding-log:3600000",
        "token-bucket:3600000",
      ].map((end) => `rate_limit:api:{${name}%7Bx%7D:a%7Bb%7D:*}:${end}`),
    );
    for (const key of keys) expect(await tenant.commands.ttlMs(key)).toBeGreaterThan(0);
    await limit.reset("a{b}:*");
    expect(await tenant.purge()).toBe(0);
  });

  it("A36: a tenant that falls back changes no limit outside of it", async () => {
    const outside = limitOf({ rules: [fixedWindow(), concurrency()] });
    const { lease } = await outside.consume("u", 7);
    const inside = rateLimit(redis.tenant(name, { fallback: "read" }), {
      name,
      rules: [fixedWindow(), concurrency()],
      deadline: "1m",
    });
    await inside.block("u", "1m");
    expect(await inside.release("u", lease!)).toBe(false);
    await inside.reset("u");
    expect((await inside.peek("u")).remaining).toBe(100);
    expect((await outside.peek("u")).remaining).toBe(93);
    const [store, other] = [redis.tenant(name, { fallback: "read" }), redis].map((view) =>
      expressRateLimitStore(view, { prefix: name, deadline: "1m" }),
    ) as [ExpressStore, ExpressStore];
    for (const each of [store, other]) each.init({ windowMs: 60_000 });
    await other.increment("u");
    await store.increment("u");
    await store.resetKey("u");
    await store.resetAll();
    expect([await store.get("u"), (await other.get("u"))?.totalHits]).toEqual([undefined, 1]);
  });

  it("a key of another type is an error, and no other rule has counted", async () => {
    const limit = limitOf({ rules: [fixedWindow({ limit: 5 }), slidingLog({ limit: 5 })] });
    await redis.commands.set(`rate_limit:${name}:{u}:sliding-log:3600000`, "x");
    await expect(limit.consume("u")).rejects.toMatchObject({ code: "WRONG_TYPE" });
    expect(await redis.commands.exists(`rate_limit:${name}:{u}:fixed-window:3600000`)).toBe(false);
  });
});
