import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { BackendUnavailableError } from "@hotset/core";
import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { SessionStore, type SessionStoreOptions } from "@hotset/redis-toolkit/sessions/express-session";
import { isNightly, randomPrefix, startOwnRedis } from "@hotset/test-servers";
import { TestClock } from "@hotset/testing";
import express, { type NextFunction, type Request, type Response } from "express";
import session, { Cookie, type SessionData } from "express-session";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ALONE, ALSO_OVER_HTTP, startServers } from "./servers.ts";

declare module "express-session" {
  interface SessionData {
    user: string;
    left: number;
    right: number;
    foo: string;
  }
}

const servers = startServers();
const closing: (() => unknown)[] = [];
afterAll(() => Promise.all(closing.map((close) => close())));

/** A session as a caller without express-session hands it over. */
const plain = (data: object): SessionData => data as SessionData;
const inSeconds = (seconds: number): Date => new Date(Date.now() + seconds * 1_000);

const newPrefix = (): string => `${randomPrefix().replaceAll(/[^A-Za-z0-9]/g, "")}:`;

describe.each(ALSO_OVER_HTTP)("the store of express-session over %s", (where) => {
  let redis: Redis;
  let prefix: string;
  beforeAll(async () => {
    redis = await servers.open(where);
  });
  beforeEach(() => {
    prefix = newPrefix();
  });
  const storeOf = (options: SessionStoreOptions = {}): SessionStore => new SessionStore(redis, { prefix, ...options });
  const ttlOf = async (sid: string): Promise<number> => Number(await redis.commands.ttlMs(prefix + sid));

  it("A83: a session is stored for a day, or as long as its cookie lives, and touch moves its end", async () => {
    const store = storeOf({ hashIds: false });
    const sess = plain({ foo: "bar", cookie: { originalMaxAge: null } });
    const setAt = performance.now();
    await store.set("123", sess);
    expect(await store.get("123")).toEqual(sess);
    const life = await ttlOf("123");
    expect(life).toBeGreaterThanOrEqual(86_399_000 - (performance.now() - setAt));

    await store.set("456", plain({ cookie: { originalMaxAge: null, expires: inSeconds(60) } }));
    expect(await ttlOf("456")).toBeLessThanOrEqual(60_000);
    const touchedAt = performance.now();
    const later = inSeconds(90);
    await store.touch("456", plain({ cookie: { originalMaxAge: null, expires: later } }));
    expect(await ttlOf("456")).toBeGreaterThan(80_000);

    expect(await store.length()).toBe(2);
    expect((await store.ids()).toSorted()).toEqual(["123", "456"]);
    const all = (await store.all()) as (SessionData & { id: string })[];
    const passedMs = performance.now() - touchedAt;
    const [first, second] = all.toSorted((a, b) => (a.id > b.id ? 1 : -1));
    expect(first).toEqual({ id: "123", foo: "bar", cookie: { originalMaxAge: null } });
    // In step with the life in Redis: connect-redis gives the end from before the touch.
    expect(Math.abs(Number(new Date(second!.cookie.expires!)) - Number(later))).toBeLessThan(1_000 + passedMs);

    await store.destroy("456");
    expect(await store.length()).toBe(1);
    await store.clear();
    expect(await store.length()).toBe(0);
    expect(await store.get("123")).toBeNull();
  });

  it("A83: a thousand sessions are counted and cleared; a cookie that has ended ends its session", async () => {
    const store = storeOf({ userOf: () => "one user" });
    const cookie = new Cookie();
    const sids = Array.from({ length: 1_000 }, (_, i) => `s${i}`);
    await Promise.all(
      sids.map((sid) => {
        cookie.expires = inSeconds(60);
        return store.set(sid, plain({ cookie }));
      }),
    );
    expect(await store.length()).toBe(1_000);
    expect(await store.all()).toHaveLength(1_000);
    await store.clear();
    expect([await store.length(), await store.ids(), await store.all()]).toEqual([0, [], []]);
    await store.set("789", plain({ cookie: { originalMaxAge: null, expires: inSeconds(90) } }));
    expect(await store.length()).toBe(1);
    await store.set("789", plain({ cookie: { originalMaxAge: null, expires: inSeconds(-90) } }));
    expect(await store.length()).toBe(0);
  });

  it("A83: ttl decides where the cookie has no end, and a function always; disableTouch leaves the end", async () => {
    const fixed = storeOf({ hashIds: false, ttl: "60s", disableTouch: true });
    await fixed.set("a", plain({ cookie: { originalMaxAge: null } }));
    expect(await ttlOf("a")).toBeLessThanOrEqual(60_000);
    await fixed.touch("a", plain({ cookie: { originalMaxAge: null, expires: inSeconds(600) } }));
    expect(await ttlOf("a")).toBeLessThanOrEqual(60_000);
    const chosen = storeOf({ hashIds: false, ttl: ({ user }) => (user === "gone" ? "-1s" : "30s") });
    await chosen.set("b", plain({ user: "1", cookie: { originalMaxAge: null, expires: inSeconds(600) } }));
    expect(await ttlOf("b")).toBeLessThanOrEqual(30_000);
    await chosen.set("b", plain({ user: "gone", cookie: { originalMaxAge: null } }));
    expect(await chosen.get("b")).toBeNull();
  });

  it("A78: ids are stored hashed, and one that no key could have is a session that is not there", async () => {
    const store = storeOf();
    await store.set("a-secret-sid", plain({ cookie: { originalMaxAge: null } }));
    for await (const key of redis.commands.scan({ match: `${prefix}*` })) expect(key).not.toContain("a-secret-sid");
    expect(await store.get("a-secret-sid")).toMatchObject({ cookie: { originalMaxAge: null } });
    expect(await store.ids()).toEqual([expect.stringMatching(/^a-se\..{43}$/)]);
    for (const sid of ["{x}", "", "*", "x".repeat(300)]) {
      expect(await store.get(sid)).toBeNull();
      await store.destroy(sid);
      await expect(store.set(sid, plain({ cookie: {} }))).rejects.toThrow("correct genid of express-session");
    }
  });

  it("sessions of connect-redis are taken over under their ids", async () => {
    const store = storeOf({ hashIds: false });
    const text = JSON.stringify({ cookie: { originalMaxAge: 60_000, expires: inSeconds(60) }, foo: "bar", left: 1 });
    await redis.commands.set(`${prefix}theirs`, text, { ttl: "60s" });
    expect(await store.length()).toBe(1);
    const found = await store.get("theirs");
    expect(found).toMatchObject({ foo: "bar", left: 1, cookie: { originalMaxAge: 60_000 } });
    expect(Math.abs(Number(new Date(found!.cookie.expires!)) - Number(inSeconds(60)))).toBeLessThan(5_000);
    found!.left = 2;
    await store.set("theirs", found!);
    expect(await store.get("theirs")).toMatchObject({ foo: "bar", left: 2 });
  });

  it("C242: destroyAll leaves a session that another user has taken over", async () => {
    const store = storeOf({ userOf: ({ user }) => user });
    await store.set("sid", plain({ user: "1" }));
    const taken = (await store.get("sid"))!;
    taken.user = "2";
    await store.set("sid", taken);
    expect(await store.destroyAll("1")).toBe(0);
    expect(await store.get("sid")).toMatchObject({ user: "2" });
    expect(await store.destroyAll("2")).toBe(1);
    expect(await store.get("sid")).toBeNull();
  });

  it("C242: destroyAll ends the sessions of a user", async () => {
    const store = storeOf({ userOf: ({ user }) => user });
    for (const [sid, user] of [
      ["a", "1"],
      ["b", "2"],
      ["c", undefined],
    ] as const)
      await store.set(sid, plain({ user, cookie: { originalMaxAge: null } }));
    const anonymous = (await store.get("c"))!;
    anonymous.user = "1";
    await store.set("c", anonymous);
    expect(await store.destroyAll("1")).toBe(2);
    expect(await Promise.all(["a", "b", "c"].map((sid) => store.get(sid)))).toEqual([
      null,
      expect.objectContaining({ user: "2" }),
      null,
    ]);
  });
});

interface App {
  /** @returns the text of the answer, and the cookie that it sets */
  get(path: string, cookie?: string): Promise<{ status: number; text: string; cookie: string; setCookie: string }>;
  store: SessionStore;
  redis: Redis;
}

/** An application that waits in its handlers until as many requests as `together` have their session. */
async function startApp(
  redis: Redis,
  options: { store?: SessionStoreOptions; session?: Partial<session.SessionOptions>; together?: number } = {},
): Promise<App> {
  const store = new SessionStore(redis, { prefix: newPrefix(), ...options.store });
  let waiting: (() => void)[] = [];
  const together = (): Promise<void> =>
    new Promise((resolve) => {
      waiting.push(resolve);
      if (waiting.length < (options.together ?? 1)) return;
      for (const go of waiting) go();
      waiting = [];
    });
  const app = express();
  app.use(session({ store, secret: "keyboard cat", resave: false, saveUninitialized: false, ...options.session }));
  app.get("/login", (request, response) => {
    request.session.user = "1";
    response.send(request.sessionID);
  });
  app.get("/again", (request, response, next) => {
    request.session.regenerate((error) => {
      if (error) return next(error);
      request.session.user = "2";
      return response.send(request.sessionID);
    });
  });
  app.get("/logout", async (request, response, next) => {
    await together();
    request.session.destroy((error) => (error ? next(error) : response.send("bye")));
  });
  app.get("/set/:field/:value", async (request, response) => {
    await together();
    const { field, value } = request.params;
    Object.assign(request.session, { [field]: Number(value) });
    response.send("set");
  });
  app.get("/", async (request, response) => {
    await together();
    response.json(request.session);
  });
  app.use((error: Error, _request: Request, response: Response, _next: NextFunction) => {
    response.status(500).send(error.name);
  });
  const server = createServer(app).listen(0);
  closing.push(() => server.close());
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    store,
    redis,
    async get(path, cookie) {
      const response = await fetch(origin + path, { headers: cookie === undefined ? {} : { cookie } });
      const setCookie = response.headers.getSetCookie()[0] ?? "";
      return { status: response.status, text: await response.text(), setCookie, cookie: setCookie.split(";")[0]! };
    },
  };
}

it("a session whose cookie has a life takes less than 350 bytes, and is read as it was written", async () => {
  const redis = await servers.open("one server");
  const prefix = newPrefix();
  const store = new SessionStore(redis, { prefix });
  const cookies = [
    { maxAge: 86_400_000 },
    { maxAge: 86_400_000, secure: true, sameSite: "strict" },
    { maxAge: 86_400_000, path: "/shop", httpOnly: false },
    {},
  ] as const;
  for (const [i, options] of cookies.entries()) {
    const cookie = new (Cookie as new (options: object) => Cookie)(options);
    const written = JSON.parse(JSON.stringify(cookie)) as Record<string, unknown>;
    await store.set(`s${i}`, plain({ cookie }));
    const found = JSON.parse(JSON.stringify((await store.get(`s${i}`))!.cookie)) as Record<string, unknown>;
    expect({ ...found, expires: Boolean(found["expires"]) }).toEqual({
      ...written,
      expires: Boolean(written["expires"]),
    });
  }
  const sizes: number[] = [];
  for await (const key of redis.commands.scan({ match: `*${prefix}*` }))
    sizes.push(Number(await redis.commands.send(["MEMORY", "USAGE", key, "SAMPLES", "0"])));
  expect(sizes.length).toBe(cookies.length);
  expect(Math.max(...sizes)).toBeLessThan(350);
});

const TIMES = isNightly ? 1_000 : 200;

describe.each(["one server", "a cluster"] as const)("an application with express-session over %s", (where) => {
  it(`A81: two requests that change different fields of a session, ${TIMES} times: both survive`, async () => {
    const app = await startApp(await servers.open(where), { together: 2 });
    const { cookie, text: sid } = await app.get("/login");
    const lost: number[] = [];
    for (let n = 1; n <= TIMES; n += 1) {
      await Promise.all([app.get(`/set/left/${n}`, cookie), app.get(`/set/right/${n}`, cookie)]);
      const found = await app.store.get(sid);
      if (found?.left !== n || found.right !== n) lost.push(n);
    }
    expect(lost).toEqual([]);
  });

  it("A81: a logout beside a request that touches or changes the session: it is never back", async () => {
    const redis = await servers.open(where);
    const app = await startApp(redis, { together: 2, store: { hashIds: false, prefix: newPrefix() } });
    const back: string[] = [];
    for (let n = 0; n < 200; n += 1) {
      const { cookie, text: sid } = await app.get("/login");
      // So that a touch writes.
      for await (const key of redis.commands.scan({ match: `*${sid}` })) await redis.commands.hset(key, { a: 1 });
      const beside = n % 2 === 0 ? "/" : `/set/left/${n}`;
      const [answer] = await Promise.all([app.get(beside, cookie), app.get("/logout", cookie)]);
      if (answer.status !== 200 || (await app.store.get(sid)) !== null) back.push(beside);
    }
    expect(back).toEqual([]);
    expect(await app.store.length()).toBe(0);
  });

  it("A82: a new id ends the old one, and an unknown id gets a new one", async () => {
    const app = await startApp(await servers.open(where));
    const first = await app.get("/login");
    const second = await app.get("/again", first.cookie);
    expect(second.text).not.toBe(first.text);
    expect([await app.store.get(first.text), (await app.store.get(second.text))?.user]).toEqual([null, "2"]);
    const late = await app.get("/login", first.cookie);
    expect(late.text).not.toBe(first.text);
  });
});

describe("an application with express-session", () => {
  it("A80: a request that changes nothing only reads, until its session is due; the cookie keeps in step", async () => {
    const redis = await servers.open("one server");
    const prefix = newPrefix();
    const app = await startApp(redis, { store: { prefix }, session: { cookie: { maxAge: 600_000 }, rolling: true } });
    const { cookie } = await app.get("/login");
    const [key] = await redis.commands.keys(`${prefix}*`);
    const calls = async (): Promise<readonly number[]> => {
      const stats = String(await redis.commands.info("commandstats"));
      return ["hgetall", "evalsha"].map((name) =>
        Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0),
      );
    };
    const [reads, writes] = await calls();
    await app.get("/", cookie);
    expect(await calls()).toEqual([reads! + 1, writes]);
    expect(await redis.commands.ttlMs(key!)).toBeLessThan(600_001);
    await redis.commands.hset(key!, { a: Date.now() - 200_000 });
    await redis.commands.pExpire(key!, 400_000);
    const shown = await app.get("/", cookie);
    expect(Math.abs(Number(new Date(JSON.parse(shown.text).cookie.expires)) - Date.now() - 400_000)).toBeLessThan(
      5_000,
    );
    expect(await redis.commands.ttlMs(key!)).toBeGreaterThan(590_000);
    const ends = Number(new Date(/Expires=([^;]+)/.exec(shown.setCookie)![1]!));
    expect(Math.abs(ends - Date.now() - Number(await redis.commands.ttlMs(key!)))).toBeLessThan(5_000);
  });

  it("A80: a session object that is kept for long is touched when its time comes", async () => {
    const clock = new TestClock();
    const redis = await servers.open("one server", { clock });
    const prefix = newPrefix();
    const store = new SessionStore(redis, { prefix });
    const cookie = { originalMaxAge: 600_000, expires: inSeconds(600) };
    await store.set("sid", plain({ cookie }));
    const kept = (await store.get("sid"))!;
    const [stored] = await redis.commands.keys(`${prefix}*`);
    await redis.commands.hset(stored!, { a: 1 });
    kept.cookie.expires = inSeconds(600);
    await store.touch("sid", kept);
    expect(await redis.commands.hget(stored!, "a")).toBe("1");
    clock.advance(60_001);
    await store.touch("sid", kept);
    expect(Number(await redis.commands.hget(stored!, "a"))).toBeGreaterThan(1);
  });

  it("where Redis is away a request is an error, and never an empty session", async () => {
    await using own = await startOwnRedis();
    await using redis = createRedis({ ...ALONE, url: own.url });
    const app = await startApp(redis);
    const { cookie, text: sid } = await app.get("/login");
    await own.kill();
    expect(await app.get("/", cookie)).toMatchObject({ status: 500, text: "BackendUnavailableError", setCookie: "" });
    const errors = await new Promise((resolve) => {
      void app.store.get(sid, (error, data) => resolve([error, data]));
    });
    expect(errors).toEqual([expect.any(BackendUnavailableError), undefined]);
    await expect(app.store.length()).rejects.toThrow(BackendUnavailableError);
    await own.start();
    await expect.poll(async () => (await app.get("/", cookie)).status).toBe(200);
  });

  it("sessions of the store are counted as others are", async () => {
    const redis = await servers.open("one server");
    const store = new SessionStore(redis, { prefix: newPrefix(), userOf: ({ user }) => user });
    const data = plain({ cookie: { originalMaxAge: null }, user: "ada", left: 1 });
    for (const sid of ["one", "two", "three"]) await store.set(sid, { ...data });
    await store.get("one");
    await store.touch("two", data);
    await store.get("none");
    await store.get("{no id}");
    await store.destroy("one");
    await store.destroy("one");
    await store.destroyAll("ada");
    await store.all();
    const counts = { sessionsCreated: 3, sessionsFound: 2, sessionsMissing: 2, sessionsEnded: 3 };
    expect(redis.stats().modules).toMatchObject(counts);
  });

  it("a session that cannot be stored is refused by name; one that cannot be read is CORRUPT_VALUE", async () => {
    const redis = await servers.open("one server");
    const prefix = newPrefix();
    const store = new SessionStore(redis, { prefix, hashIds: false });
    const cycle: Record<string, unknown> = {};
    cycle["self"] = cycle;
    for (const [field, value] of Object.entries({ big: 1n, cart: cycle }))
      await expect(store.set("sid", plain({ cookie: {}, [field]: value }))).rejects.toMatchObject({
        code: "ENCODE_FAILED",
        message: expect.stringContaining(`the field "${field}" of the session cannot be written`),
      });
    const ended = plain({ cookie: { originalMaxAge: null, expires: new Date(Number.NaN) } });
    await expect(store.set("sid", ended)).rejects.toThrow("cookie.expires, is not a date");
    await expect(store.touch("sid", ended)).rejects.toThrow("cookie.expires, is not a date");
    expect(await redis.commands.exists(`${prefix}sid`)).toBe(false);
    // As other stores write it.
    const odd = { run: () => undefined, none: undefined, ratio: Number.NaN, seen: new Map([[1, 2]]) };
    await store.set("sid", plain({ cookie: { originalMaxAge: null }, ...odd }));
    expect(await store.get("sid")).toEqual({ cookie: { originalMaxAge: null }, ratio: null, seen: {} });
    await redis.commands.hSet(`${prefix}sid`, ".foo", "{");
    await expect(store.get("sid")).rejects.toMatchObject({ code: "CORRUPT_VALUE" });
  });

  it("A81: a session that is saved again after it was destroyed by another request is not created", async () => {
    const redis = await servers.open("one server");
    const store = new SessionStore(redis, { prefix: newPrefix() });
    const data = plain({ cookie: { originalMaxAge: null }, left: 1 });
    await store.set("sid", data);
    await store.destroy("sid");
    data.left = 2;
    await store.set("sid", data);
    await store.set("sid", data);
    expect(await store.get("sid")).toBeNull();
  });

  it("A81: requests whose sessions were made of the same read keep the changes of both", async () => {
    const store = new SessionStore(await servers.open("one server"), { prefix: newPrefix() });
    await store.set("sid", plain({ cookie: { originalMaxAge: null }, left: 0 }));
    const read = (await store.get("sid"))!;
    const request = { sessionID: "sid", sessionStore: store } as unknown as Request;
    const [one, other] = [store.createSession(request, read), store.createSession(request, read)];
    Object.assign(one, { left: 1, foo: "new" });
    await store.set("sid", one);
    Object.assign(other, { right: 2 });
    await store.set("sid", other);
    expect(await store.get("sid")).toMatchObject({ left: 1, foo: "new", right: 2 });
  });

  it("options that can never work are refused, and named", async () => {
    const redis = await servers.open("one server");
    const refused: readonly [Record<string, unknown>, string][] = [
      [{ ttl: 86_400 }, 'ttl must be text with a unit, such as "24h" or "86400s"'],
      [{ ttl: "soon" }, 'ttl must be at most 2^52 ms, as a number or like "5m", got "soon"; units are ms'],
      [{ ttl: "31d" }, "ttl must not be longer than absolute"],
      [
        { disableTTL: true },
        'unknown option "disableTTL"; accepted: absolute, secret, hashIds, prefix, requireNoEviction',
      ],
      [{ idle: "1h" }, 'unknown option "idle"'],
    ];
    for (const [options, message] of refused) expect(() => new SessionStore(redis, options)).toThrow(message);
    const chosen = new SessionStore(redis, { prefix: newPrefix(), ttl: () => 60 as never });
    await expect(chosen.set("sid", plain({ cookie: {} }))).rejects.toThrow("ttl must be text with a unit");
  });
});
