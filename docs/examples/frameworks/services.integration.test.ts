// Each shop is a process that gets real requests, also while Redis stands still, is killed, and comes back.

import { freePort, startOwnRedis, until } from "@hotset/test-servers";
import { describe, expect, it } from "vitest";
import { type Answer, PROGRAMS, send, type Sent, start } from "./service-process.ts";

const SHOPS = ["express", "fastify", "hono", "nest"] as const;
const ADA = { name: "ada", password: "correct horse" };
const CART = "/cart";

/** A browser: it keeps the cookie that it was given. */
class Visitor {
  cookie = "";
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
  }

  async send(method: string, path: string, sent: Sent = {}): Promise<Answer> {
    const headers = { ...(this.cookie === "" ? {} : { cookie: this.cookie }), ...sent.headers };
    const answer = await send(this.#port, method, path, { ...sent, headers });
    const [given] = answer.headers["set-cookie"] ?? [];
    if (given !== undefined) this.cookie = given.split(";", 1)[0]!;
    return answer;
  }

  async json(method: string, path: string): Promise<unknown> {
    return JSON.parse((await this.send(method, path)).body);
  }

  login(login: object): Promise<Answer> {
    return this.send("POST", "/login", { json: login });
  }
}

describe("services", () => {
  it.each(SHOPS)("%s caches products, keeps a cart over a login, limits guesses, and says how it is", async (name) => {
    await PROGRAMS[name]!.prepare?.();
    await using redis = await startOwnRedis();
    const port = await freePort();
    await using _service = await start(PROGRAMS[name]!, port, redis.url);
    const visitor = new Visitor(port);

    const [first, second] = [await visitor.send("GET", "/products/p1"), await visitor.send("GET", "/products/p1")];
    expect([first, second].map(({ headers }) => headers["cache-status"])).toEqual(["shop; fwd=miss", "shop; hit"]);
    expect(JSON.parse(second.body)).toEqual({ sku: "p1", name: "Product 1", cents: 100 });
    expect(visitor.cookie).toBe("");

    expect(await visitor.json("GET", CART)).toEqual({ user: null, cart: [] });
    expect(await visitor.json("PUT", "/cart/p1")).toEqual({ cart: ["p1"] });
    const before = visitor.cookie;
    expect(before).not.toBe("");
    expect((await visitor.login({ ...ADA, password: "wrong" })).status).toBe(401);
    expect(await visitor.json("GET", CART)).toEqual({ user: null, cart: ["p1"] });
    expect((await visitor.login(ADA)).status).toBe(204);
    expect(visitor.cookie).not.toBe(before);
    expect(await visitor.json("PUT", "/cart/p2")).toEqual({ cart: ["p1", "p2"] });
    expect(await visitor.json("GET", CART)).toEqual({ user: "ada", cart: ["p1", "p2"] });
    // The id from before the login is worth nothing.
    const thief = new Visitor(port);
    thief.cookie = before;
    expect(await thief.json("GET", CART)).toEqual({ user: null, cart: [] });

    // Two attempts were made above, of five in a minute.
    const guesses = await Promise.all(Array.from({ length: 6 }, () => thief.login({ ...ADA, password: "guess" })));
    expect(guesses.map(({ status }) => status).sort()).toEqual([401, 401, 401, 429, 429, 429]);
    const refused = guesses.find(({ status }) => status === 429)!;
    expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);
    expect(refused.headers["ratelimit"]).toContain('"logins";r=0');
    expect((await thief.login({ name: "bob", password: "guess" })).status).toBe(401);

    expect([400, 401]).toContain((await thief.send("POST", "/login")).status); // without a body

    const probe = async (path: string): Promise<readonly unknown[]> => {
      const { status, body } = await visitor.send("GET", path);
      return [status, (JSON.parse(body) as { status: string }).status];
    };
    expect(await probe("/live")).toEqual([200, "alive"]);
    await expect.poll(() => probe("/ready")).toEqual([200, "ready"]);
  });

  it.each(SHOPS)(
    "%s serves products without Redis, answers 503 where it needs a session, and recovers by itself",
    async (name) => {
      await PROGRAMS[name]!.prepare?.();
      await using redis = await startOwnRedis();
      const port = await freePort();
      await using _service = await start(PROGRAMS[name]!, port, redis.url);
      const visitor = new Visitor(port);
      const statuses = async (): Promise<object> => {
        const paths = ["/products/p1", "/products/none", "/live", "/ready", CART];
        const answers = await Promise.all(paths.map((path) => visitor.send("GET", path)));
        return Object.fromEntries(paths.map((path, i) => [path, answers[i]!.status]));
      };
      const UP = { "/products/p1": 200, "/products/none": 404, "/live": 200, "/ready": 200, "/cart": 200 };
      const DOWN = { ...UP, "/ready": 503, "/cart": 503 };
      expect(await visitor.json("PUT", "/cart/p1")).toEqual({ cart: ["p1"] });
      await expect.poll(statuses).toEqual(UP);

      // It stands still: connections are open, and nothing answers.
      redis.pause();
      expect(await statuses()).toEqual(DOWN);
      redis.resume();
      await until("a session is read again", async () => (await visitor.send("GET", CART)).status === 200);
      expect(await visitor.json("GET", CART)).toEqual({ user: null, cart: ["p1"] });

      await redis.kill();
      await until("Redis is known to be away", async () => (await visitor.send("GET", "/ready")).status === 503);
      expect(await statuses()).toEqual(DOWN);
      // A price is changed meanwhile: this process shows it at once.
      expect((await visitor.send("PUT", "/products/p1/price/7")).status).toBe(204);
      expect(await visitor.json("GET", "/products/p1")).toMatchObject({ cents: 7 });
      // No guess is answered. In Fastify a request has its session before its body; else this process counts guesses.
      const guesses = await Promise.all(Array.from({ length: 7 }, () => visitor.login({ ...ADA, password: "guess" })));
      const [limited, unavailable] = [429, 503].map((code) => guesses.filter(({ status }) => status === code).length);
      expect([limited, unavailable]).toEqual(name === "fastify" ? [0, 7] : [2, 5]);
      const refused = await visitor.send("GET", CART);
      expect([refused.headers["retry-after"], refused.headers["set-cookie"]]).toEqual(["1", undefined]);

      // It is back, without the data that it had: the session is gone, and nothing else is wrong.
      await redis.start();
      await until("it is ready", async () => (await visitor.send("GET", "/ready")).status === 200);
      await until("a cart", async () => (await visitor.send("GET", CART)).status === 200);
      expect(await visitor.json("GET", CART)).toEqual({ user: null, cart: [] });
      await expect.poll(statuses).toEqual(UP);
      expect(await visitor.json("GET", "/products/p1")).toMatchObject({ cents: 7 });
    },
  );
});
