import { BackendUnavailableError } from "@hotset/core";
import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { sessions, type SessionChanges, type Sessions } from "@hotset/redis-toolkit/sessions";
import { fastifySessions } from "@hotset/redis-toolkit/sessions/fastify";
import { honoSessions, type RequestSession, type SessionCookieOptions } from "@hotset/redis-toolkit/sessions/hono";
import { randomPrefix, startOwnRedis } from "@hotset/test-servers";
import fastify from "fastify";
import { Hono } from "hono";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ALONE, startServers } from "./servers.ts";

interface Shop {
  readonly left: number;
  readonly right: number;
}

interface Answer {
  readonly status: number;
  readonly text: string;
  /** Headers `Set-Cookie`. */
  readonly set: readonly string[];
}

type Send = (path: string, cookie?: string) => Promise<Answer>;
type Act = (session: RequestSession<Shop>) => unknown;

const servers = startServers();
const cookieOf = ({ set }: Answer): string => set[0]!.split(";")[0]!;

/** Each path does one thing with the session of its request. */
const ACTS: Readonly<Record<string, Act>> = {
  "/": ({ data, userId }) => JSON.stringify({ data, userId }),
  "/left": (session) => (session.data = { ...session.data, left: (session.data.left ?? 0) + 1 }).left,
  "/right": (session) => (session.data = { ...session.data, right: (session.data.right ?? 0) + 1 }).right,
  "/forget": (session) => delete (session.data as { left?: number }).left,
  "/login": async (session) => {
    await session.regenerate({ userId: "1" });
    session.data = { ...session.data, right: 7 };
    return session.id;
  },
  "/drop": async (session) => {
    session.set("right", 5);
    session.set("right", undefined);
    const isRemoved = !Object.hasOwn(session.data, "right");
    await session.regenerate(["right"]);
    session.set("right", 9);
    return [isRemoved, session.get("left"), session.get("right"), Object.hasOwn(session.data, "left")].join();
  },
  "/set": (session) => {
    const { data } = session as { data: { left?: number } };
    session.set("right", 5);
    data.left = 2;
    return JSON.stringify(session.data);
  },
  "/keep": (session) => session.regenerate(["left", "none" as "left"]),
  "/again": (session) => session.regenerate({ grace: "10s" }),
  "/logout": (session) => session.destroy(),
};

const FRAMEWORKS: Readonly<Record<string, (auth: Sessions<Shop>, options: SessionCookieOptions, gate: Gate) => Send>> =
  {
    Hono: (auth, options, gate) => {
      const session = honoSessions(auth, options);
      const app = new Hono();
      app.use(session.middleware);
      for (const [path, act] of Object.entries(ACTS))
        app.get(path, async (c) => {
          await gate();
          return c.text(String(await act(session.of(c))));
        });
      app.onError((error, c) => c.text(error.name, 500));
      return async (path, cookie) => {
        const response = await app.request(path, { headers: cookie === undefined ? {} : { cookie } });
        return { status: response.status, text: await response.text(), set: response.headers.getSetCookie() };
      };
    },
    Fastify: (auth, options, gate) => {
      const session = fastifySessions(auth, options);
      const app = fastify();
      void app.register(session.plugin);
      for (const [path, act] of Object.entries(ACTS))
        app.get(path, async (request) => {
          await gate();
          return String(await act(session.of(request)));
        });
      app.setErrorHandler((error: Error, _request, reply) => reply.status(500).send(error.name));
      return async (path, cookie) => {
        const response = await app.inject({ url: path, headers: cookie === undefined ? {} : { cookie } });
        const set = response.headers["set-cookie"] ?? [];
        return { status: response.statusCode, text: response.body, set: typeof set === "string" ? [set] : set };
      };
    },
  };

type Gate = () => Promise<void>;

/** Handlers go on once as many of them wait. */
function gateOf(count: number): Gate {
  let waiting: (() => void)[] = [];
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve);
      if (waiting.length < count) return;
      for (const go of waiting) go();
      waiting = [];
    });
}

describe.each(Object.entries(FRAMEWORKS))("sessions in %s", (_name, start) => {
  describe.each(["one server", "a cluster"] as const)("over %s", (where) => {
    let redis: Redis;
    let prefix: string;
    let auth: Sessions<Shop>;
    let send: Send;
    beforeAll(async () => {
      redis = await servers.open(where);
    });
    beforeEach(() => {
      prefix = `${randomPrefix().replaceAll(/[^A-Za-z0-9]/g, "")}:`;
      auth = sessions(redis, { prefix });
      send = start(auth, {}, gateOf(1));
    });
    const count = async (): Promise<number> => {
      let keys = 0;
      for await (const key of redis.commands.scan({ match: `${prefix}{*` })) keys += Number(key.length > 0);
      return keys;
    };

    it("A83: a request has a session in Redis, and a cookie, only once it has data", async () => {
      expect(await send("/")).toEqual({ status: 200, text: '{"data":{}}', set: [] });
      expect(await count()).toBe(0);
      const first = await send("/left");
      expect(first.set).toEqual([
        expect.stringMatching(/^sid=[\w-]{26}; Max-Age=86400; Path=\/; HttpOnly; Secure; SameSite=Lax$/),
      ]);
      const cookie = cookieOf(first);
      expect(await send("/left", cookie)).toEqual({ status: 200, text: "2", set: [] });
      expect(await send("/", `a=b; ${cookie}; c`)).toEqual({ status: 200, text: '{"data":{"left":2}}', set: [] });
      await send("/forget", cookie);
      expect((await send("/", cookie)).text).toBe('{"data":{}}');
      expect(await count()).toBe(1);
    });

    it("A82: a login keeps the data under a new id, and an id that a client made up is never adopted", async () => {
      const before = cookieOf(await send("/left"));
      const login = await send("/login", before);
      const after = cookieOf(login);
      expect(after).toBe(`sid=${login.text}`);
      expect(after).not.toBe(before);
      expect((await send("/", after)).text).toBe('{"data":{"left":1,"right":7},"userId":"1"}');
      expect((await send("/", before)).text).toBe('{"data":{}}');
      const madeUp = `sid=${"x".repeat(26)}`;
      const fresh = cookieOf(await send("/login", madeUp));
      expect(fresh).not.toBe(madeUp);
      expect((await send("/", fresh)).text).toBe('{"data":{"right":7},"userId":"1"}');
      const again = cookieOf(await send("/again", after));
      expect((await send("/", after)).text).toBe((await send("/", again)).text);
      expect(await auth.destroyAll("1")).toBe(2);
      expect((await send("/", again)).text).toBe('{"data":{}}');
    });

    it("fields are read and set one by one, and a new id keeps those that it names", async () => {
      const before = cookieOf(await send("/login", cookieOf(await send("/left"))));
      const kept = cookieOf(await send("/keep", before));
      expect(kept).not.toBe(before);
      expect((await send("/", kept)).text).toBe('{"data":{"left":1},"userId":"1"}');
      expect((await send("/", before)).text).toBe('{"data":{}}');
      const dropped = await send("/drop", kept);
      expect(dropped.text).toBe("true,,9,false");
      expect((await send("/", cookieOf(dropped))).text).toBe('{"data":{"right":9},"userId":"1"}');
      // A session that is not there yet has no id to renew.
      expect((await send("/keep")).set).toEqual([]);
      expect((await send("/drop")).text).toBe("true,,9,false");
    });

    it("where a new id cannot be had, no field of the session is lost", async () => {
      const cookie = cookieOf(await send("/left"));
      await send("/right", cookie);
      const failing = {
        touch: (id: string) => auth.touch(id),
        update: (id: string, changes: SessionChanges<Shop>) => auth.update(id, changes),
        regenerate: () => Promise.reject(new Error("Redis is away")),
      } as unknown as Sessions<Shop>;
      expect((await start(failing, {}, gateOf(1))("/keep", cookie)).status).toBe(500);
      expect((await send("/", cookie)).text).toBe('{"data":{"left":1,"right":1}}');
    });

    it("a field that is set is one of the data that the handler has", async () => {
      expect((await send("/set", cookieOf(await send("/left")))).text).toBe('{"left":2,"right":5}');
    });

    it("A81: a logout ends the session and its cookie, and a request beside it does not bring it back", async () => {
      send = start(auth, {}, gateOf(2));
      for (let n = 0; n < 50; n += 1) {
        const [created] = await Promise.all([send("/left"), send("/")]);
        const cookie = cookieOf(created);
        const [late, logout] = await Promise.all([send("/left", cookie), send("/logout", cookie)]);
        expect(late).toMatchObject({ status: 200, set: [] });
        expect(logout.set).toEqual(["sid=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Lax"]);
        expect(await auth.read(cookie.slice(4))).toBeUndefined();
      }
      expect(await count()).toBe(0);
    });

    it("A81: two requests that change different fields keep both changes", async () => {
      const cookie = cookieOf(await send("/left"));
      send = start(auth, {}, gateOf(2));
      for (let n = 0; n < 100; n += 1) await Promise.all([send("/left", cookie), send("/right", cookie)]);
      expect((await auth.read(cookie.slice(4)))!.data).toEqual({ left: 101, right: 100 });
    });

    it("A80: the cookie is sent again when the end has moved, with the life that the session has", async () => {
      const brief = sessions<Shop>(redis, { prefix, idle: "1000s", absolute: "2000s" });
      send = start(brief, { name: "id", secure: false, sameSite: "strict", path: "/shop", domain: "x.org" }, gateOf(1));
      const first = await send("/left");
      const attributes = "Path=/shop; Domain=x.org; HttpOnly; SameSite=Strict";
      expect(first.set[0]).toMatch(new RegExp(`^id=[\\w-]{26}; Max-Age=1000; ${attributes}$`));
      for await (const key of redis.commands.scan({ match: `${prefix}{*` })) {
        await redis.commands.hset(key, { a: Date.now() - 101_000, x: Date.now() + 500_000 });
        await redis.commands.pExpire(key, 200_000);
      }
      const next = await send("/", cookieOf(first));
      expect(next.set[0]).toMatch(new RegExp(`^id=[\\w-]{26}; Max-Age=(49\\d|500); ${attributes}$`));
    });
  });

  it("where Redis is away a request is an error, and never an empty session", async () => {
    await using own = await startOwnRedis();
    await using redis = createRedis({ ...ALONE, url: own.url });
    let stop = false;
    const gate = async (): Promise<void> => void (stop && (await own.kill()));
    const send = start(sessions<Shop>(redis), {}, gate);
    const cookie = cookieOf(await send("/left"));
    stop = true;
    // While it was handled, so that its changes could not be stored.
    expect(await send("/left", cookie)).toEqual({ status: 500, text: BackendUnavailableError.name, set: [] });
    stop = false;
    expect(await send("/", cookie)).toEqual({ status: 500, text: BackendUnavailableError.name, set: [] });
    expect((await send("/")).status).toBe(200);
  });

  it("options of the cookie that can never work are refused, and named", () => {
    const refused: readonly [Record<string, unknown>, string][] = [
      [{ name: "a b" }, "name must be letters"],
      [{ path: "/;x" }, "path must be text without control characters and semicolons"],
      [{ sameSite: "off" }, 'sameSite must be "lax" or "strict" or "none"'],
      [{ sameSite: "none", secure: false }, 'sameSite: "none" needs secure'],
      [{ secure: "yes" }, "secure must be true or false"],
      [{ maxAge: 1 }, 'unknown option "maxAge"'],
    ];
    for (const [options, message] of refused)
      expect(() => start({} as Sessions<Shop>, options, gateOf(1))).toThrow(message);
  });
});

describe("the session of a request of Fastify", () => {
  const propertyOf = (request: object, name = "session"): unknown => (request as Record<string, unknown>)[name];
  const open = async (): Promise<Sessions<Shop>> =>
    sessions(await servers.open("one server"), { prefix: `${randomPrefix().replaceAll(/[^A-Za-z0-9]/g, "")}:` });

  it("is request.session, in each plugin and hook after it; changes of it are stored", async () => {
    const session = fastifySessions(await open());
    const app = fastify();
    await app.register(session.plugin);
    await app.register(async (inner) => {
      inner.addHook("preHandler", async (request) => {
        const own = propertyOf(request) as RequestSession<Shop>;
        own.set("left", (own.get("left") ?? 0) + 1);
      });
      inner.get("/", async (request) => ({
        isSame: propertyOf(request) === session.of(request),
        left: session.of(request).data.left,
      }));
    });
    const first = await app.inject("/");
    expect(first.json()).toEqual({ isSame: true, left: 1 });
    const cookie = String(first.headers["set-cookie"]).split(";")[0]!;
    expect((await app.inject({ url: "/", headers: { cookie } })).json()).toEqual({ isSame: true, left: 2 });
  });

  it("has another name, or none, if the application says so", async () => {
    const [auth, app] = [await open(), fastify()];
    const one = fastifySessions(auth, { property: "visitor", name: "one" });
    const two = fastifySessions(auth, { property: false, name: "two" });
    await app.register(one.plugin);
    await app.register(two.plugin);
    app.get("/", async (request) => [
      propertyOf(request, "visitor") === one.of(request),
      propertyOf(request) === undefined,
      one.of(request) === two.of(request),
    ]);
    expect((await app.inject("/")).json()).toEqual([true, true, false]);
    const other = fastify();
    await other.register(one.plugin);
    const again = fastifySessions(auth, { property: "visitor" });
    await expect(async () => other.register(again.plugin)).rejects.toThrow("'visitor' has already been added");
    for (const property of ["", true as never, 1 as never])
      expect(() => fastifySessions(auth, { property })).toThrow("property must be the name of a property, or false");
  });

  it("is undefined where it could not be read", async () => {
    const redis = await servers.open("one server", { enabled: false });
    const app = fastify();
    await app.register(fastifySessions(sessions<Shop>(redis)).plugin);
    app.get("/", async () => "served");
    app.setErrorHandler((_error, request, reply) => reply.code(500).send(String(propertyOf(request))));
    const failed = await app.inject({ url: "/", headers: { cookie: `sid=${"x".repeat(26)}` } });
    expect([failed.statusCode, failed.body]).toEqual([500, "undefined"]);
  });
});
