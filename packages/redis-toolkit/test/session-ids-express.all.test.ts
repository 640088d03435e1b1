import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Redis } from "@hotset/redis-toolkit";
import { SessionStore } from "@hotset/redis-toolkit/sessions/express-session";
import type { RequestSession } from "@hotset/redis-toolkit/sessions/hono";
import { isNightly, randomPrefix } from "@hotset/test-servers";
import express, { type NextFunction, type Request, type Response } from "express";
import session from "express-session";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServers } from "./servers.ts";
import { playHistory, randomOf, type Act, type Kind, type Send, type Shop } from "./session-histories.ts";

const servers = startServers();
const closing: (() => unknown)[] = [];
afterAll(() => Promise.all(closing.map((close) => close())));

type Fields = Record<string, unknown>;

/** express-session knows neither graces nor whether an id has a session, but by the cookie of the request. */
function sessionOf(request: Request, response: Response, given: string | undefined): RequestSession<Shop> {
  const fields = (): Fields => request.session as unknown as Fields;
  const called = (call: (done: (error: unknown) => void) => unknown): Promise<void> =>
    new Promise(
      (resolve, reject) =>
        void call((error) => {
          if (error === undefined || error === null) resolve();
          else reject(error);
        }),
    );
  return {
    get data() {
      const { cookie: _cookie, ...data } = fields();
      return data as Partial<Shop>;
    },
    get id() {
      return request.sessionID === given ? given : undefined;
    },
    get userId() {
      return fields()["user"] as string | undefined;
    },
    get: (name) => (fields() as Partial<Shop>)[name],
    set: (name, value) => void (fields()[name] = value),
    regenerate: () => called((done) => request.session.regenerate(done)),
    destroy: async () => {
      await called((done) => request.session.destroy(done));
      response.clearCookie("sid");
    },
  };
}

/** The headers as those of the other frameworks: the id without its signature, and its life. */
function plain(header: string): string {
  const [, value = ""] = /^sid=([^;]*)/.exec(header)!;
  return value === "" ? "sid=; Max-Age=0" : `sid=${value}; Max-Age=1`;
}

const rawIdOf = (value: string | undefined): string | undefined =>
  value === undefined ? undefined : /^s:([^.]*)\./.exec(decodeURIComponent(value.replace("sid=", "")))?.[1];

async function start(store: SessionStore, options: Partial<session.SessionOptions> = {}): Promise<Send> {
  const acts = new Map<string, Act>();
  const app = express();
  app.use(session({ store, name: "sid", secret: "a", resave: false, saveUninitialized: false, ...options }));
  app.get("/", (request: Request, response: Response, next: NextFunction) => {
    const own = sessionOf(request, response, rawIdOf(request.headers.cookie));
    acts.get(String(request.headers["act"]))!(own).then(() => response.end(), next);
  });
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  let acted = 0;
  return async (cookie, act) => {
    const name = String((acted += 1));
    acts.set(name, act);
    const response = await fetch(url, { headers: { act: name, ...(cookie !== undefined && { cookie }) } });
    acts.delete(name);
    expect(response.status, await response.text()).toBe(200);
    return response.headers.getSetCookie().map(plain);
  };
}

const cookieOf = ([header]: readonly string[]): string | undefined => header?.split(";")[0];
const logIn = async (own: RequestSession<Shop>, user: string): Promise<void> => {
  await own.regenerate();
  own.set("user", user);
};

describe("A99: the id of a request of express-session", () => {
  let redis: Redis;
  let send: Send;
  const newStore = (over: Redis): SessionStore =>
    new SessionStore(over, { prefix: `${randomPrefix().replaceAll(/[^A-Za-z0-9]/g, "")}:` });
  beforeAll(async () => {
    redis = await servers.open("one server");
    send = await start(newStore(redis));
  });
  const begin = async (): Promise<string> => cookieOf(await send(undefined, async (s) => s.set("seen", 1)))!;
  const read = async (cookie: string | undefined): Promise<Partial<Shop>> => {
    let seen: Partial<Shop> = {};
    await send(cookie, async (s) => void (seen = { ...s.data }));
    return seen;
  };
  const end = (cookie: string): Promise<unknown> => send(cookie, (s) => s.destroy());

  /** What happens to the id of a request, at its begin or while it runs; and the cookie that the browser has then. */
  const STATES: Readonly<Record<string, (cookie: string) => Promise<string | undefined>>> = {
    live: async (cookie) => cookie,
    late: async (cookie) => cookieOf(await send(cookie, (s) => logIn(s, "ada"))),
    ended: async (cookie) => void (await end(cookie)),
  };

  it.each(Object.entries(STATES))("that is %s at its begin", async (state, change) => {
    const old = await begin();
    const now = await change(old);
    expect(await read(old)).toEqual(state === "live" ? { seen: 1 } : {});
    const set = await send(old, async (s) => s.set("seen", 2));
    expect(set.length).toBe(state === "live" ? 0 : 1);
    if (state !== "live") expect(cookieOf(set)).not.toBe(old);
    expect(await read(old)).toEqual(state === "live" ? { seen: 2 } : {});
    if (state === "late") expect(await read(now)).toEqual({ user: "ada" });
  });

  it.each(Object.entries(STATES))("that is %s at its end, when it reads or writes", async (state, change) => {
    for (const write of [false, true]) {
      const old = await begin();
      let now: string | undefined;
      const set = await send(old, async (s) => {
        now = await change(old);
        if (write) s.set("seen", 2);
      });
      expect(set).toEqual([]);
      expect(await read(old)).toEqual(state === "live" ? { seen: write ? 2 : 1 } : {});
      if (state === "late") expect(await read(now)).toEqual({ user: "ada" });
    }
  });

  it.each(Object.entries(STATES))("that is %s at its end, when it logs in", async (state, change) => {
    const old = await begin();
    let now: string | undefined;
    const set = await send(old, async (s) => {
      now = await change(old);
      await logIn(s, "bob");
    });
    expect([await read(cookieOf(set)), await read(old)]).toEqual([{ user: "bob" }, {}]);
    // Another login is a session on its own here, since express-session does not say which one replaces which.
    if (state === "late") expect(await read(now)).toEqual({ user: "ada" });
  });

  it.each(Object.entries(STATES))("that is %s at its end, when it logs out", async (state, change) => {
    const old = await begin();
    let now: string | undefined;
    const set = await send(old, async (s) => {
      now = await change(old);
      await s.destroy();
    });
    expect([cookieOf(set), await read(old)]).toEqual(["sid=", {}]);
    if (state === "late") expect(await read(now)).toEqual({ user: "ada" });
  });

  it.each([{ rolling: true }, { cookie: { maxAge: 60_000 } }])(
    "that is late at its end is sent with %j, and yet never becomes a session",
    async (options) => {
      const store = newStore(redis);
      const other = await start(store, options);
      const old = cookieOf(await other(undefined, async (s) => s.set("seen", 1)))!;
      let login: string | undefined;
      const set = await other(old, async (s) => {
        login = cookieOf(await other(old, (second) => logIn(second, "ada")));
        s.set("seen", 2);
      });
      const seen: unknown[] = [];
      for (const cookie of [old, login]) await other(cookie, async (s) => void seen.push({ ...s.data }));
      expect([cookieOf(set), ...seen]).toEqual([old, {}, { user: "ada" }]);
    },
  );

  it("keeps its promise over random histories", { timeout: 700_000 }, async () => {
    const until = performance.now() + Number(process.env["SESSION_HISTORIES_MS"] ?? (isNightly ? 60_000 : 4_000));
    // No new ids without a login: express-session leaves the data of the old one behind.
    const kinds: readonly Kind[] = ["read", "write", "write", "login", "logout"];
    const wrong: string[] = [];
    let played = 0;
    for (; performance.now() < until && wrong.length === 0; played += 1) {
      const random = randomOf(played);
      const site = { random, kinds, idleMs: 86_400_000, userOf: (s: RequestSession<Shop>) => s.userId };
      const own = await start(newStore(redis));
      wrong.push(...(await playHistory({ ...site, send: own, login: logIn })).map((text) => `${played}: ${text}`));
    }
    expect(wrong).toEqual([]);
    expect(played).toBeGreaterThan(2);
  });
});
