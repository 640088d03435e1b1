import { createServer, get as httpGet, Agent } from "node:http";
/** What is done with each package, in a process of its own: the same work, so that its price can be compared. */
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { createRedis } from "@hotset/redis-toolkit";
import { locks } from "@hotset/redis-toolkit/lock";
import { queue } from "@hotset/redis-toolkit/queue";
import { fixedWindow, rateLimit } from "@hotset/redis-toolkit/rate-limit";
import { SessionStore } from "@hotset/redis-toolkit/sessions/express-session";
import { consumer, streams } from "@hotset/redis-toolkit/streams";
import { createClient } from "@redis/client";
import { Queue, Worker } from "bullmq";
import { RedisStore } from "connect-redis";
import express, { type Request } from "express";
import type { Redis as IoRedis } from "ioredis";
import { RateLimiterRedis } from "rate-limiter-flexible";
import Redlock from "redlock";

/** One step of the work, by its number. */
export type Step = (i: number) => Promise<unknown>;
/** A lock: taken, and the function that releases it. */
export type Take = (name: string) => Promise<() => Promise<unknown>>;

export interface Side {
  readonly step: Step;
  /** Of locks. */
  readonly take?: Take;
  /** Of consumers: handles so many entries that are there. */
  readonly consume?: (entries: number, count: number) => Promise<unknown>;
}

/** Packages that are used here alone, with the types of what is used: ioredis 6 is next to the 5 of the others. */
const required = createRequire(import.meta.url);
type Middleware = (request: unknown, response: unknown, next: () => void) => void;
const session = required("express-session") as (options: object) => Middleware;
const { Redis } = required("ioredis-6") as { readonly Redis: new (url: string) => IoRedis };
interface Mutex {
  acquire(): Promise<void>;
  release(): Promise<void>;
}
const { Mutex } = required("redis-semaphore") as {
  readonly Mutex: new (client: IoRedis, name: string, options: object) => Mutex;
};

const FREE = 1_000;
const KEYS = 2_000;
const JOB = { to: "ada@example.org", text: "x".repeat(165) };
const FIELDS = { type: "payment.created", id: "p-123456", amount: "1000", text: "x".repeat(100) };
const nothing = (): Promise<void> => Promise.resolve();
const locking = (take: Take): Side => ({ take, step: async (i) => (await take(`free:${i % FREE}`))() });
const limiting = (consume: (key: string) => Promise<unknown>): Side => ({
  step: (i) => consume(`user:${i % KEYS}`),
});
const toolkit = (url: string): ReturnType<typeof createRedis> => createRedis({ url, env: false });
const ioredis = (url: string): IoRedis => new Redis(url);

/** By what is done, then by package: ours is the first. */
export const SIDES: Readonly<Record<string, Readonly<Record<string, (url: string) => Promise<Side>>>>> = {
  lock: {
    hotset: async (url) => {
      const lock = locks(toolkit(url), { ttl: "10s", wait: "10m" });
      return locking(async (name) => {
        const lease = await lock.acquire(name);
        return () => lease.release();
      });
    },
    redlock: async (url) => {
      const lock = new Redlock([ioredis(url)], { retryCount: 1_000_000 });
      lock.on("error", () => undefined);
      return locking(async (name) => {
        const lease = await lock.acquire([`redlock:${name}`], 10_000);
        return () => lease.release();
      });
    },
    "redis-semaphore": async (url) => {
      const client = ioredis(url);
      const options = { lockTimeout: 10_000, acquireTimeout: 600_000, retryInterval: 10, refreshInterval: 8_000 };
      return locking(async (name) => {
        const mutex = new Mutex(client, name, options);
        await mutex.acquire();
        return () => mutex.release();
      });
    },
  },
  limit: {
    hotset: async (url) => {
      const limit = rateLimit(toolkit(url), { name: "prices", rules: [fixedWindow({ limit: 1_000_000_000 })] });
      return limiting((key) => limit.consume(key));
    },
    "rate-limiter-flexible, node-redis": async (url) => {
      const storeClient = await createClient({ url }).connect();
      const options = { storeClient, useRedisPackage: true, points: 1_000_000_000, duration: 3_600 };
      const limiter = new RateLimiterRedis({ ...options, keyPrefix: "node" });
      return limiting((key) => limiter.consume(key));
    },
    "rate-limiter-flexible, ioredis": async (url) => {
      const options = { storeClient: ioredis(url), points: 1_000_000_000, duration: 3_600 };
      const limiter = new RateLimiterRedis({ ...options, keyPrefix: "io" });
      return limiting((key) => limiter.consume(key));
    },
  },
  add: {
    hotset: async (url) => {
      const jobs = queue(toolkit(url), "prices");
      return { step: () => jobs.add(JOB) };
    },
    BullMQ: async (url) => {
      const jobs = new Queue("prices", { connection: connectionOf(url) });
      return { step: () => jobs.add("job", JOB) };
    },
  },
  session: {
    hotset: (url) => requests(new SessionStore(toolkit(url))),
    "connect-redis": async (url) => requests(new RedisStore({ client: await createClient({ url }).connect() })),
  },
  consumer: {
    hotset: async (url) => {
      const stream = streams(toolkit(url)).stream<typeof FIELDS>("prices");
      let at = 0;
      const consume = async (entries: number, count: number): Promise<unknown> => {
        const group = `g${(at += 1)}`;
        await stream.group(group).ensure("0");
        const { promise, resolve } = Promise.withResolvers<void>();
        let left = entries;
        const own = consumer(stream, group, { count }, () => ((left -= 1) === 0 ? resolve() : undefined));
        await promise;
        return own.stop();
      };
      return { step: () => stream.append(FIELDS), consume };
    },
    "a loop over node-redis": async (url) => {
      const client = await createClient({ url }).connect();
      let at = 0;
      const consume = async (entries: number, count: number): Promise<unknown> => {
        const group = `l${(at += 1)}`;
        await client.xGroupCreate("prices", group, "0", { MKSTREAM: true });
        const from = { key: "prices", id: ">" };
        for (let left = entries; left > 0;) {
          const read = await client.xReadGroup(group, "c", from, { COUNT: count, BLOCK: 2_000 });
          const { messages = [] } = (read as unknown as { messages: { id: string }[] }[] | null)?.[0] ?? {};
          for (const message of messages) await Promise.resolve(message);
          left -= messages.length;
          const ids = messages.map(({ id }) => id);
          if (ids.length > 0) await client.xAck("prices", group, ids);
        }
        return client.xGroupDestroy("prices", group);
      };
      return { step: nothing, consume };
    },
  },
  idle: {
    hotset: async (url) => {
      queue(toolkit(url), "idle").worker(nothing);
      return { step: nothing };
    },
    BullMQ: async (url) => {
      void new Worker("idle", nothing, { connection: { ...connectionOf(url), maxRetriesPerRequest: null } });
      return { step: nothing };
    },
  },
};

const connectionOf = (url: string): { readonly host: string; readonly port: number } => {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port) };
};

/** Whole requests of Express, that of the client included: each changes one field of a session of 0.3 KB. */
async function requests(store: object): Promise<Side> {
  const app = express();
  app.use(session({ store, secret: "keyboard cat", resave: false, saveUninitialized: false }));
  app.get("/", (request: Request, response) => {
    const { session: data } = request as unknown as { readonly session: Record<string, unknown> };
    data["user"] ??= { id: 7, name: "Ada Lovelace", roles: ["customer", "author"], csrf: "c".repeat(32) };
    data["views"] = Number(data["views"] ?? 0) + 1;
    response.end("ok");
  });
  const server = createServer(app as never);
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const { port } = server.address() as AddressInfo;
  const send = (cookie?: string): Promise<string | undefined> =>
    new Promise((resolve, reject) => {
      const headers = cookie === undefined ? {} : { cookie };
      httpGet({ host: "127.0.0.1", port, agent, headers }, (response) => {
        response.resume().on("end", () => resolve(response.headers["set-cookie"]?.[0]?.split(";")[0]));
      }).on("error", reject);
    });
  const cookies = await Promise.all(Array.from({ length: 50 }, () => send()));
  return { step: (i) => send(cookies[i % cookies.length]) };
}
