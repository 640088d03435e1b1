import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import type { Awaitable } from "@hotset/core";
import type { Redis } from "@hotset/redis-toolkit";
import {
  concurrency,
  expressRateLimit,
  expressRateLimitStore,
  fastifyRateLimit,
  fixedWindow,
  honoRateLimit,
  rateLimit,
  type RateLimit,
  type RateLimitOptions,
  type RequestLimitOptions,
} from "@hotset/redis-toolkit/rate-limit";
import { randomPrefix } from "@hotset/test-servers";
import { outcome } from "@hotset/testing";
import express, { type Request } from "express";
import { rateLimit as rateLimit8 } from "express-rate-limit";
import { rateLimit as rateLimit7 } from "express-rate-limit-7";
import fastify from "fastify";
import { Hono, type Context } from "hono";
import { afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { secondsLeft, startServers } from "./servers.ts";

const servers = startServers({ user: "limits", keys: "any" });
afterEach(() => vi.restoreAllMocks());

/** Sends a request with these header fields. */
type Send = (headers?: Readonly<Record<string, string>>, signal?: AbortSignal) => Promise<Response>;

async function listen(listener: RequestListener): Promise<Send> {
  const server = createServer(listener).listen(0);
  await once(server, "listening");
  onTestFinished(() => new Promise((resolve) => server.close(() => resolve()).closeAllConnections()));
  const { port } = server.address() as AddressInfo;
  return (headers = {}, signal) => fetch(`http://localhost:${port}/`, { headers, ...(signal && { signal }) });
}

let redis: Redis;
let name: string;
beforeAll(async () => {
  redis = await servers.open("a cluster");
});
beforeEach(() => {
  name = randomPrefix();
});
const limitOf = (options: Partial<RateLimitOptions> = {}): RateLimit =>
  rateLimit(redis, { name, rules: [fixedWindow({ limit: 2 })], whenAway: "closed", deadline: "5s", ...options });

/** The user of a request, in each framework's own way. Each answers "served", after `work`; root is skipped. */
type Options = Omit<RequestLimitOptions<unknown>, "key" | "cost" | "skip">;
/** By the plan of the request. */
type Chosen = RateLimit | ((plan: string | undefined) => Awaitable<RateLimit>);
const FRAMEWORKS: readonly (readonly [
  string,
  (limit: Chosen, options: Options, work?: () => Promise<void>) => Promise<Send>,
])[] = [
  [
    "Express",
    async (limit, options, work) => {
      const app = express();
      const key = (request: Request): string | undefined => request.get("user");
      const cost = (request: Request): number => Number(request.get("cost") ?? 1);
      const chosen = typeof limit === "function" ? (request: Request) => limit(request.get("plan")) : limit;
      app.use(expressRateLimit(chosen, { key, cost, skip: (request) => key(request) === "root", ...options }));
      app.get("/", async (request, response) => {
        await work?.();
        response.status(Number(request.get("status") ?? 200)).send("served");
      });
      app.use(((error: Error, _request, response, _next) => {
        response.status(500).send(error.name);
      }) satisfies express.ErrorRequestHandler);
      return listen(app as RequestListener);
    },
  ],
  [
    "Fastify",
    async (limit, options, work) => {
      const app = fastify();
      type Incoming = { readonly headers: Readonly<Record<string, string | string[] | undefined>> };
      const key = ({ headers }: Incoming): string | undefined => headers["user"] as string | undefined;
      const cost = ({ headers }: Incoming): number => Number(headers["cost"] ?? 1);
      const chosen =
        typeof limit === "function" ? ({ headers }: Incoming) => limit(headers["plan"] as string | undefined) : limit;
      app.addHook(
        "onRequest",
        fastifyRateLimit(chosen, { key, cost, skip: (request) => key(request) === "root", ...options }),
      );
      app.get("/", async ({ headers }, reply) => {
        await work?.();
        reply.code(Number(headers["status"] ?? 200));
        return "served";
      });
      app.setErrorHandler((error: Error, _request, reply) => reply.code(500).send(error.name));
      await app.ready();
      onTestFinished(() => app.close());
      return listen((request, response) => app.routing(request, response));
    },
  ],
  [
    "Hono",
    async (limit, options, work) => {
      const app = new Hono();
      const chosen = typeof limit === "function" ? (context: Context) => limit(context.req.header("plan")) : limit;
      app.use(
        honoRateLimit(chosen, {
          key: (context: Context) => context.req.header("user"),
          cost: (context: Context) => Number(context.req.header("cost") ?? 1),
          skip: (context: Context) => context.req.header("user") === "root",
          ...options,
        }),
      );
      app.get("/", async (context) => {
        await work?.();
        return new Response("served", { status: Number(context.req.header("status") ?? 200) });
      });
      app.onError((error, context) => context.text(error.name, 500));
      return async (headers = {}) => app.request("/", { headers: { ...headers } });
    },
  ],
];

describe.each(FRAMEWORKS)("%s", (_, start) => {
  it("A69: passes requests within the limit, refuses others, and says how many are left", async () => {
    const send = await start(limitOf(), {});
    const startedAt = performance.now();
    const [one, two, three] = [await send({ user: "ada" }), await send({ user: "ada" }), await send({ user: "ada" })];
    expect([one.status, await one.text(), one.headers.get("ratelimit")]).toEqual([
      200,
      "served",
      `"${name}";r=1;t=3600`,
    ]);
    expect([two.status, two.headers.get("ratelimit-policy")]).toEqual([200, `"${name}";q=2;w=3600`]);
    expect([three.status, await three.text()]).toEqual([429, "Too many requests"]);
    expect(secondsLeft(3_600, startedAt).map(String)).toContain(three.headers.get("retry-after"));
    expect(three.headers.get("content-type")).toBe("text/plain; charset=utf-8");
    expect((await send({ user: "grace" })).status).toBe(200);
    expect((await send({ user: "joan", cost: "2" })).headers.get("ratelimit")).toBe(`"${name}";r=0;t=3600`);
  });

  it("skips, words a refusal, and gives it a status", async () => {
    const send = await start(limitOf({ rules: [fixedWindow({ limit: 1 })], deny: ["eve"] }), {
      status: 420,
      message: async (_request, { retryAfterMs }) => ({ retryInHours: retryAfterMs / 3_600_000 }),
    });
    for (let i = 0; i < 3; i += 1) {
      const skipped = await send({ user: "root" });
      expect([skipped.status, skipped.headers.get("ratelimit")]).toEqual([200, null]);
    }
    await send({ user: "ada" });
    const refused = await send({ user: "ada" });
    expect([refused.status, refused.headers.get("content-type")]).toEqual([420, "application/json; charset=utf-8"]);
    expect(Math.ceil(((await refused.json()) as { retryInHours: number }).retryInHours)).toBe(1);
    const denying = await start(limitOf({ deny: ["eve"] }), { message: { error: "go away" } });
    const denied = await denying({ user: "eve" });
    expect([denied.status, await denied.json(), denied.headers.get("retry-after")]).toEqual([
      403,
      { error: "go away" },
      null,
    ]);
  });

  it("an error of the key or of the cost is one of the request, and nothing is served", async () => {
    const send = await start(limitOf(), {});
    const [noKey, badCost, tooDear] = [
      await send(),
      await send({ user: "u", cost: "x" }),
      await send({ user: "u", cost: "3" }),
    ];
    expect([noKey.status, await noKey.text()]).toEqual([500, "InvalidArgumentError"]);
    expect([badCost.status, await badCost.text()]).toEqual([500, "InvalidArgumentError"]);
    expect([tooDear.status, await tooDear.text()]).toEqual([500, "CostAboveLimitError"]);
    expect((await limitOf().peek("u")).remaining).toBe(2);
  });

  it("a slot is held while a request is under way, and given back when it ends, also by an error", async () => {
    const limit = limitOf({ rules: [concurrency({ limit: 1 })] });
    let end: (error?: Error) => void = () => undefined;
    const work = (): Promise<void> =>
      new Promise((resolve, reject) => {
        end = (error) => (error === undefined ? resolve() : reject(error));
      });
    const send = await start(limit, {}, work);
    for (const error of [undefined, new Error("of the handler")]) {
      const first = send({ user: "ada" });
      await expect.poll(async () => (await limit.peek("ada")).remaining).toBe(0);
      expect((await send({ user: "ada" })).status).toBe(429);
      end(error);
      expect((await first).status).toBe(error === undefined ? 200 : 500);
      await expect.poll(async () => (await limit.peek("ada")).remaining).toBe(1);
    }
  });

  it("the limit can be chosen by the request; limits of one name and window share their counts", async () => {
    const plans = [2, 4].map((limit) => limitOf({ rules: [fixedWindow({ limit })], rememberRefusals: 0 }));
    const send = await start(async (plan) => plans[plan === "paid" ? 1 : 0]!, {});
    const statusOf = async (plan: string): Promise<number> => (await send({ user: "ada", plan })).status;
    expect([await statusOf("free"), await statusOf("free"), await statusOf("free")]).toEqual([200, 200, 429]);
    expect([await statusOf("paid"), await statusOf("paid"), await statusOf("paid")]).toEqual([200, 200, 429]);
    const wrong = await (await start((() => undefined) as never, {}))({ user: "ada" });
    expect([wrong.status, await wrong.text()]).toEqual([500, "InvalidArgumentError"]);
  });

  it("requests that fail, or succeed, need not count; refused ones give nothing back", async () => {
    const left = async (limit: RateLimit): Promise<number> => (await limit.peek("ada")).remaining;
    const forFailed = limitOf({ rules: [fixedWindow({ limit: 3 })] });
    const lenient = await start(forFailed, { skipFailedRequests: true });
    expect((await lenient({ user: "ada", status: "201" })).status).toBe(201);
    for (const status of ["400", "503"]) {
      expect((await lenient({ user: "ada", status, cost: "2" })).status).toBe(Number(status));
      await expect.poll(() => left(forFailed)).toBe(2);
    }
    expect((await lenient({ user: "ada", cost: "2" })).status).toBe(200);
    for (let i = 0; i < 3; i += 1) expect((await lenient({ user: "ada" })).status).toBe(429);
    expect(await left(forFailed)).toBe(0);
    name = `${name}:2`;
    const forServed = limitOf({ rules: [fixedWindow({ limit: 3 })] });
    const strict = await start(forServed, { skipSuccessfulRequests: true });
    for (let i = 0; i < 2; i += 1) {
      expect((await strict({ user: "ada", status: "399" })).status).toBe(399);
      await expect.poll(() => left(forServed)).toBe(3 - i);
      expect((await strict({ user: "ada", status: "401" })).status).toBe(401);
      await expect.poll(() => left(forServed)).toBe(2 - i);
    }
  });

  it("a request whose handler throws has failed", async () => {
    const limit = limitOf();
    const work = async (): Promise<void> => {
      throw new Error("of the handler");
    };
    const send = await start(limit, { skipFailedRequests: true }, work);
    for (let i = 0; i < 4; i += 1) {
      expect((await send({ user: "ada" })).status).toBe(500);
      await expect.poll(async () => (await limit.peek("ada")).remaining).toBe(2);
    }
  });
});

it("a client that leaves has neither failed nor succeeded, so its request counts", async () => {
  for (const options of [{ skipFailedRequests: true }, { skipSuccessfulRequests: true }]) {
    const limit = limitOf({ rules: [concurrency({ limit: 1 }), fixedWindow({ limit: 5 })] });
    const send = await FRAMEWORKS[0]![1](limit, options, () => new Promise(() => undefined));
    const leaving = new AbortController();
    const left = send({ user: "ada" }, leaving.signal);
    await expect.poll(async () => (await limit.peek("ada")).allowed).toBe(false);
    leaving.abort();
    await expect(left).rejects.toThrow("aborted");
    await expect.poll(async () => (await limit.peek("ada")).allowed).toBe(true);
    expect((await limit.peek("ada", 1)).headers["RateLimit"]).toContain("r=4");
    await limit.reset("ada");
  }
});

it("A104: a request gives back its own unit, and nothing if it was not counted", async () => {
  const rewarded: unknown[] = [];
  const open = rateLimit(await servers.open("one server", { enabled: false }), { name, whenAway: "open" });
  const limit = { ...wrapped(open), reward: async (key: string) => (rewarded.push(key), open.peek(key)) };
  const send = await FRAMEWORKS[0]![1](limit, { skipFailedRequests: true });
  expect((await send({ user: "ada", status: "500" })).status).toBe(500);
  const [counted] = [wrapped(limitOf())];
  const reward: RateLimit["reward"] = async (key, units) => {
    rewarded.push(String(units).replace(/\d{13}/, "its window"));
    return counted.peek(key);
  };
  const other = { ...counted, reward };
  await (
    await FRAMEWORKS[0]![1](other, { skipFailedRequests: true })
  )({ user: "ada", status: "500" });
  await expect.poll(() => rewarded).toEqual(["redis:1:its window-0"]);
});

const wrapped = (limit: RateLimit): RateLimit => ({
  consume: (key, cost) => limit.consume(key, cost),
  peek: (key, cost) => limit.peek(key, cost),
  penalty: (key, cost) => limit.penalty(key, cost),
  reward: (key, cost) => limit.reward(key, cost),
  reset: (key) => limit.reset(key),
  block: (key, duration) => limit.block(key, duration),
  release: (key, lease) => limit.release(key, lease),
  renew: (key, lease) => limit.renew(key, lease),
});

it("without a key the address of the client counts, of IPv6 its subnet", async () => {
  const of = (ip: string): Readonly<Record<string, string>> => ({ "x-forwarded-for": ip });
  const byExpress = express().set("trust proxy", true);
  byExpress.use(expressRateLimit(limitOf()));
  byExpress.get("/", (_request, response) => void response.send("served"));
  const byFastify = fastify({ trustProxy: true });
  byFastify.addHook("onRequest", fastifyRateLimit(limitOf(), { ipv6Subnet: 64 }));
  byFastify.get("/", async () => "served");
  await byFastify.ready();
  onTestFinished(() => byFastify.close());
  const plain = expressRateLimit(limitOf());
  const sends = [
    await listen(byExpress as RequestListener),
    await listen((request, response) => byFastify.routing(request, response)),
    await listen((request, response) => plain(request, response, () => response.end("served"))),
  ] as const;
  const left = async (key: string): Promise<number> => (await limitOf().peek(key)).remaining;
  expect((await sends[0](of("2001:db8:0:7f:1::1"))).status).toBe(200);
  expect((await sends[0](of("2001:db8:0:12::1"))).status).toBe(200);
  expect((await sends[0](of("2001:db8::1"))).status).toBe(429);
  expect((await sends[0](of("2001:db8:0:100::1"))).status).toBe(200);
  expect(await left("2001:db8:0:0::/56")).toBe(0);
  expect((await sends[1](of("2001:db8:0:7f:1::1"))).status).toBe(200);
  expect(await left("2001:db8:0:7f::/64")).toBe(1);
  expect((await sends[0](of("::ffff:192.0.2.7"))).status).toBe(200);
  expect((await sends[1](of("192.0.2.7"))).status).toBe(200);
  expect(await left("192.0.2.7")).toBe(0);
  // Without a framework it is that of the connection.
  expect((await sends[2]()).status).toBe(200);
  const loopbacks = await Promise.all(["127.0.0.1", "0:0:0:0::/56"].map(left));
  expect(loopbacks.toSorted()).toEqual([1, 2]);
});

it("a closed limit without Redis is 503", async () => {
  const away = await servers.open("one server", { enabled: false });
  const send = await FRAMEWORKS[0]![1](rateLimit(away, { name, whenAway: "closed" }), {});
  const response = await send({ user: "ada" });
  expect([response.status, response.headers.get("retry-after")]).toEqual([503, "1"]);
});

it("a request that was answered before the limit had decided gives its slot back", async () => {
  const limit = limitOf({ rules: [concurrency({ limit: 1 })] });
  const app = express();
  app.use((_request, response, next) => {
    response.status(503).send("took too long");
    next();
  });
  app.use(expressRateLimit(limit, { key: () => "u" }));
  app.use(((_error, _request, _response, _next) => undefined) satisfies express.ErrorRequestHandler);
  const send = await listen(app as RequestListener);
  expect((await send()).status).toBe(503);
  await expect.poll(() => limit.peek("u")).toMatchObject({ allowed: true, remaining: 1 });
});

it("a client that leaves gives its slot back", async () => {
  const limit = limitOf({ rules: [concurrency({ limit: 1 })] });
  const send = await FRAMEWORKS[0]![1](limit, {}, () => new Promise(() => undefined));
  const leaving = new AbortController();
  const left = send({ user: "ada" }, leaving.signal);
  await expect.poll(async () => (await limit.peek("ada")).remaining).toBe(0);
  leaving.abort();
  await expect(left).rejects.toThrow("aborted");
  await expect.poll(async () => (await limit.peek("ada")).remaining).toBe(1);
});

it.each([
  [{ key: "ip" }, "rate limit of requests: key must be a function of the request"],
  [{ key: (): string => "u", ipv6Subnet: 64 }, "rate limit of requests: ipv6Subnet is of the address: leave key out"],
  [{ key: (): string => "u", skipFailedRequests: 1 }, "skipFailedRequests must be true or false, got 1"],
  [{ key: (): string => "u", skipSuccessfulRequests: 1 }, "skipSuccessfulRequests must be true or false, got 1"],
  [{ key: (): string => "u", skip: true }, "rate limit of requests: skip must be a function of the request"],
  [{ key: (): string => "u", status: 200 }, "rate limit of requests: status must be from 400 to 599, got 200"],
  [{ key: (): string => "u", max: 5 }, 'rate limit of requests: unknown option "max"'],
])("options that can never work are refused: %#", (options, message) => {
  expect(() => expressRateLimit(limitOf(), options as never)).toThrow(message);
  expect(() => fastifyRateLimit(limitOf(), options as never)).toThrow(message);
  expect(() => honoRateLimit(limitOf(), options as never)).toThrow(message);
});

it("Hono has no address of the client, so a key is required there", () => {
  // @ts-expect-error a key is missing
  expect(() => honoRateLimit(limitOf(), {})).toThrow("rate limit of requests: key must be a function of the request");
  expect(() => expressRateLimit(limitOf(), { ipv6Subnet: 129 })).toThrow("ipv6Subnet must be a whole number");
});

describe.each([
  ["7", rateLimit7],
  ["8", rateLimit8 as unknown as typeof rateLimit7],
])("the store of express-rate-limit %s", (_, limiter) => {
  const appOf = (options: Partial<Parameters<typeof limiter>[0]>): Promise<Send> => {
    const app = express();
    const failures: unknown[] = [];
    app.use(
      limiter({
        windowMs: 60_000,
        limit: 2,
        standardHeaders: "draft-7",
        keyGenerator: (request) => request.get("user") ?? "none",
        ...options,
      }),
    );
    app.get("/", (request, response) => void response.status(Number(request.get("status") ?? 200)).send("served"));
    app.use(((error: Error, _request, response, _next) => {
      failures.push(error);
      response.status(500).send(error.name);
    }) satisfies express.ErrorRequestHandler);
    return listen(app as RequestListener);
  };

  it("counts for all processes, in one window for each key, with its end", async () => {
    const stores = [1, 2].map(() => expressRateLimitStore(redis, { prefix: name, deadline: "5s" }));
    const [one, other] = [await appOf({ store: stores[0]! }), await appOf({ store: stores[1]! })];
    const startedAt = performance.now();
    const resets = (start: string): readonly string[] => secondsLeft(60, startedAt).map((left) => `${start}${left}`);
    const first = await one({ user: "{ada}" });
    expect(first.status).toBe(200);
    expect(resets("limit=2, remaining=1, reset=")).toContain(first.headers.get("ratelimit"));
    const second = await other({ user: "{ada}" });
    expect(resets("limit=2, remaining=0, reset=")).toContain(second.headers.get("ratelimit"));
    const refused = await one({ user: "{ada}" });
    expect(refused.status).toBe(429);
    expect(resets("")).toContain(refused.headers.get("retry-after"));
    expect((await other({ user: "grace" })).status).toBe(200);
    const lifeMs = await redis.commands.ttlMs(`${name}:{%7Bada%7D}`);
    expect(lifeMs).toBeGreaterThan(50_000);
    expect(lifeMs).toBeLessThanOrEqual(60_000);
  });

  it("has every method of a store", async () => {
    const store = expressRateLimitStore(redis, { prefix: name, deadline: "5s" });
    await expect(store.increment("u")).rejects.toThrow("init({ windowMs }) must be called first");
    const middleware = limiter({ store, windowMs: 60_000, limit: 2, validate: false });
    expect([store.prefix, store.localKeys]).toEqual([name, false]);
    expect(await store.get("u")).toBeUndefined();
    await store.decrement("u");
    expect(await store.get("u")).toBeUndefined();
    const results = await Promise.all(Array.from({ length: 50 }, () => store.increment("u")));
    expect(results.map(({ totalHits }) => totalHits).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 50 }, (__, i) => i + 1),
    );
    await store.decrement("u");
    const hits = (await middleware.getKey("u"))!;
    expect(hits.totalHits).toBe(49);
    expect(Math.round((hits.resetTime!.getTime() - Date.now()) / 10_000)).toBe(6);
    middleware.resetKey("u");
    await expect.poll(() => store.get("u")).toBeUndefined();
    await Promise.all(["a", "b", "{c}*"].map((key) => store.increment(key)));
    await redis.commands.set(`${name}x:{a}`, "of another");
    await store.resetAll();
    expect(await Promise.all(["a", "b", "{c}*"].map((key) => store.get(key)))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(await redis.commands.get(`${name}x:{a}`)).toBe("of another");
    store.shutdown();
    expect((await store.increment("a")).totalHits).toBe(1);
  });

  it("takes back requests that are not to count, and never below zero", async () => {
    const store = expressRateLimitStore(redis, { prefix: name, deadline: "5s" });
    const send = await appOf({ store, skipFailedRequests: true });
    for (let i = 0; i < 5; i += 1) expect((await send({ user: "u", status: "500" })).status).toBe(500);
    await expect.poll(() => store.get("u")).toMatchObject({ totalHits: 0 });
    await store.decrement("u");
    expect(await store.get("u")).toMatchObject({ totalHits: 0 });
  });

  it("without Redis it fails at once, and express-rate-limit decides", async () => {
    const away = await servers.open("one server", { url: "redis://localhost:1", connection: undefined });
    const store = expressRateLimitStore(away, { prefix: name, deadline: "1m" });
    const [strict, lax] = [
      await appOf({ store }),
      await appOf({
        store,
        passOnStoreError: true,
        validate: false,
        logger: { error: () => undefined, warn: () => undefined },
      } as never),
    ];
    const failed = await strict({ user: "u" });
    expect([failed.status, await failed.text()]).toEqual([500, "BackendUnavailableError"]);
    // Version 7 has no logger.
    vi.spyOn(console, "error").mockReturnValue();
    expect((await lax({ user: "u" })).status).toBe(200);
    // Without a wait.
    expect(await outcome(store.increment("u"))).toMatchObject({ status: "rejected" });
  });
});
