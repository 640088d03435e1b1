import { createRedis } from "@hotset/redis-toolkit";
import {
  heldLock,
  lockPlace,
  lockPlaces,
  releaseLock,
  serverNow,
  sessionsOfUser,
  usedUnits,
  userOfSessions,
} from "@hotset/redis-toolkit/inspect";
import { locks } from "@hotset/redis-toolkit/lock";
import {
  concurrency,
  fixedWindow,
  rateLimit,
  slidingCounter,
  slidingLog,
  tokenBucket,
  type Rule,
} from "@hotset/redis-toolkit/rate-limit";
import { sessions } from "@hotset/redis-toolkit/sessions";
import { startOwnRedis } from "@hotset/test-servers";
import { afterAll, afterEach, describe, expect, it } from "vitest";

const server = await startOwnRedis();
const redis = createRedis({ url: server.url, env: false, commandTimeout: "15s", connectTimeout: "15s" });
afterAll(async () => {
  await redis.disconnect();
  await server.stop();
});
afterEach(() => server.command("FLUSHALL"));

describe.each([
  ["outside of tenants", redis, ""],
  ["of a tenant", redis.tenant("acme"), "acme:"],
  ["of a tenant of a tenant", redis.tenant("acme").tenant("eu"), "acme:eu:"],
])("locks %s", (_, view, prefix) => {
  it("are found by their names, in each form, with their holders", async () => {
    const { token, fence } = await locks(view).acquire("de{ploy}", { ttl: "1m" });
    await locks(view).semaphore("de{ploy}", 3).acquire({ ttl: "1m" });
    await locks(view).readWrite("de{ploy}").read.acquire({ ttl: "1m" });
    const places = lockPlaces(view, "de{ploy}");
    expect(places.map(({ kind, name, key }) => [kind, name, key])).toEqual([
      ["lock", "de{ploy}", `${prefix}lock:{${prefix}de%7Bploy%7D}`],
      ["permits", "de{ploy}", `${prefix}lock:permits:{${prefix}de%7Bploy%7D}`],
      ["writer", "de{ploy}", `${prefix}lock:writer:{${prefix}de%7Bploy%7D}`],
      ["readers", "de{ploy}", `${prefix}lock:readers:{${prefix}de%7Bploy%7D}`],
    ]);
    const held = await Promise.all(places.map((place) => heldLock(view, place)));
    expect(held.map((one) => one?.holder)).toEqual([`${token.slice(0, 6)}…`, 1, undefined, 1]);
    expect(held[0]).toMatchObject({ fence: String(fence) });
    expect(held[0]!.lifeMs).toBeGreaterThan(30_000);
    expect([await releaseLock(view, "de{ploy}"), await releaseLock(view, "de{ploy}")]).toEqual([true, false]);
    expect(await heldLock(view, places[0]!)).toBeUndefined();
  });

  it("a holder whose lease has ended is not counted", async () => {
    await locks(view).semaphore("exports", 3).acquire({ ttl: "1m" });
    const place = lockPlaces(view, "exports")[1]!;
    await server.command("ZADD", place.key, 1, "crashed");
    expect(await heldLock(view, place)).toMatchObject({ kind: "permits", holder: 1 });
    await server.command("ZREMRANGEBYSCORE", place.key, 2, "+inf");
    expect(await heldLock(view, place)).toBeUndefined();
  });

  it("the key of a fence is no place", () =>
    expect(lockPlace(`${prefix}lock:fence:{${prefix}deploy}`)).toBeUndefined());

  it("a lock without an end has an infinite life", async () => {
    const [place] = lockPlaces(view, "{a}:b");
    await server.command("SET", place!.key, "token-of-another");
    expect(await heldLock(view, place!)).toMatchObject({ holder: "token-…", lifeMs: Infinity, fence: undefined });
  });
});

describe("units of a limit", () => {
  const WINDOW_MS = 3_600_000;
  const consumed = async (rule: Rule): Promise<string> => {
    await rateLimit(redis, { name: "api", rules: [rule], deadline: "15s" }).consume("ada", 3);
    return `rate_limit:api:{ada}:${rule.id}`;
  };

  it.each([
    ["fixed-window", fixedWindow({ limit: 9 })],
    ["sliding-log", slidingLog({ limit: 9 })],
    ["sliding-counter", slidingCounter({ limit: 9 })],
    ["concurrency", concurrency({ limit: 9 })],
  ])("%s: those that a call took", async (_, rule) => {
    const key = await consumed(rule);
    expect(await usedUnits(redis, key)).toBe(3);
    expect(await usedUnits(redis, key.replace("ada", "bob"))).toBe(0);
  });

  it("those that have left the window are not counted", async () => {
    const now = await serverNow(redis);
    const log = await consumed(slidingLog({ limit: 9 }));
    await server.command("LPUSH", log, now - WINDOW_MS - 1, now - WINDOW_MS - 2);
    expect(await usedUnits(redis, log)).toBe(3);
    const counter = await consumed(slidingCounter({ limit: 9 }));
    await server.command("HSET", counter, Math.floor((now - 2 * WINDOW_MS) / (WINDOW_MS / 10)), 5);
    expect(await usedUnits(redis, counter)).toBe(3);
  });

  it("a slot whose time has ended is not counted", async () => {
    const key = await consumed(concurrency({ limit: 9 }));
    await server.command("ZADD", key, 1, "crashed:1");
    expect(await usedUnits(redis, key)).toBe(3);
  });

  it("are not known of a bucket, nor of a block", async () => {
    const bucket = await consumed(tokenBucket({ limit: 9 }));
    expect(await usedUnits(redis, bucket)).toBeUndefined();
    expect(await usedUnits(redis, "rate_limit:api:{ada}:block")).toBeUndefined();
  });

  it("are read inside of a tenant", async () => {
    const view = redis.tenant("acme");
    await rateLimit(view, { name: "api", rules: [fixedWindow({ limit: 9 })], deadline: "15s" }).consume("ada", 2);
    const key = `acme:rate_limit:api:{acme:ada}:fixed-window:${WINDOW_MS}`;
    expect([await usedUnits(view, key), await usedUnits(redis, key)]).toEqual([2, 2]);
  });
});

it("a key of another tenant is refused: what holds it would look free, and what is used like none", async () => {
  const acme = redis.tenant("acme");
  await locks(acme).acquire("deploy", { ttl: "1m" });
  const [place] = lockPlaces(acme, "deploy");
  const other = redis.tenant("other");
  const refusal = "is not in this view; pass the view of its tenant, or one without a tenant";
  await expect(heldLock(other, place!)).rejects.toThrow(`heldLock: the key ${refusal}`);
  await expect(usedUnits(other, "acme:rate_limit:api:{acme:ada}:fixed-window:1000")).rejects.toThrow(refusal);
  await expect(sessionsOfUser(other, "acme:session:~of:{acme:ada}")).rejects.toThrow(refusal);
  expect(await heldLock(redis, place!)).toMatchObject({ kind: "lock", name: "deploy" });
});

describe("sessions of a user", () => {
  it.each([
    ["hash", "session:~user:{ada}:index"],
    ["json", "session:~of:{ada}"],
  ] as const)("store %s: by its index, without those that have ended", async (store, key) => {
    const own = sessions<{ of: string }>(redis, store === "json" ? { store, userId: ({ of }) => of } : {});
    const ada = store === "json" ? { data: { of: "ada" } } : { userId: "ada" };
    for (let i = 0; i < 2; i += 1) await own.create(ada);
    await server.command("ZADD", key, 1, "ended");
    expect(await sessionsOfUser(redis, key)).toBe(2);
    expect(userOfSessions(key)).toEqual({ user: "ada", isIndex: true });
  });

  it("keys of users are told from sessions", () => {
    expect(userOfSessions("acme:session:~user:{acme:a%7Bb}:epoch")).toEqual({ user: "a{b", isIndex: false });
    expect(userOfSessions("session:{Xa3_}:8f14e45f")).toBeUndefined();
  });
});
