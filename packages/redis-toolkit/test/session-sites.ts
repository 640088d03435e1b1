import type { Redis } from "@hotset/redis-toolkit";
import { sessions, type Sessions } from "@hotset/redis-toolkit/sessions";
import { fastifySessions } from "@hotset/redis-toolkit/sessions/fastify";
import { honoSessions, type RequestSession } from "@hotset/redis-toolkit/sessions/hono";
import fastify from "fastify";
import { Hono } from "hono";
import { expect } from "vitest";
import type { Act, Send, Shop } from "./session-histories.ts";

/** Each request runs the act that its header names. */
export const FRAMEWORKS: Readonly<Record<string, (auth: Sessions<Shop>) => Promise<Send>>> = {
  Hono: async (auth) => {
    const session = honoSessions(auth);
    const acts = new Map<string, Act>();
    const app = new Hono();
    app.use(session.middleware);
    app.get("/", async (c) => c.text(String(await acts.get(c.req.header("act")!)!(session.of(c)))));
    app.onError((error) => {
      throw error;
    });
    let acted = 0;
    return async (cookie, act) => {
      const name = String((acted += 1));
      acts.set(name, act);
      const response = await app.request("/", { headers: { act: name, ...(cookie !== undefined && { cookie }) } });
      acts.delete(name);
      return response.headers.getSetCookie();
    };
  },
  Fastify: async (auth) => {
    const session = fastifySessions(auth);
    const acts = new Map<string, Act>();
    const app = fastify();
    await app.register(session.plugin);
    app.get("/", async (request) => String(await acts.get(String(request.headers["act"]))!(session.of(request))));
    let acted = 0;
    return async (cookie, act) => {
      const name = String((acted += 1));
      acts.set(name, act);
      const response = await app.inject({ url: "/", headers: { act: name, ...(cookie !== undefined && { cookie }) } });
      acts.delete(name);
      expect(response.statusCode, response.body).toBe(200);
      return [response.headers["set-cookie"] ?? []].flat();
    };
  },
};

export const STORES = {
  hashes: (redis: Redis, prefix: string, idle: number): Sessions<Shop> => sessions<Shop>(redis, { prefix, idle }),
  JSON: (redis: Redis, prefix: string, idle: number): Sessions<Shop> =>
    sessions<Shop>(redis, { store: "json", key: (id) => prefix + id, userId: ({ user }) => user, idle }),
};
export type Store = keyof typeof STORES;

export const logIn = async (
  store: Store,
  session: RequestSession<Shop>,
  user: string,
  grace: number,
): Promise<void> => {
  if (store === "hashes") return session.regenerate({ userId: user, grace });
  session.set("user", user);
  await session.regenerate({ grace });
};

export const userOf = (store: Store, session: RequestSession<Shop>): string | undefined =>
  store === "hashes" ? session.userId : session.get("user");
