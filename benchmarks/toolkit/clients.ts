import { createRedis } from "@hotset/redis-toolkit";
import { locks } from "@hotset/redis-toolkit/lock";
import { fixedWindow, rateLimit } from "@hotset/redis-toolkit/rate-limit";
import { createClient, createSentinel } from "@redis/client";
import { Redis as IoRedis } from "ioredis";
import { RateLimiterRedis } from "rate-limiter-flexible";
import Redlock from "redlock";

/** Where Redis is: one server, or sentinels that know it. */
export interface Place {
  readonly url: string;
  readonly sentinels?: readonly { readonly host: string; readonly port: number }[];
  readonly name?: string;
}

/** A client with the commands that are measured. */
export interface Client {
  get(key: string): Promise<unknown>;
  set(key: string, value: string): Promise<unknown>;
  /** Appends to a list: a write that counts twice when it is sent twice. */
  append(key: string, value: string): Promise<unknown>;
  close(): unknown;
}

/** Opened with default settings unless the name says more. */
export const CLIENTS: Readonly<Record<string, (place: Place) => Promise<Client>>> = {
  "hotset toolkit": toolkit,
  "node-redis": (place) => nodeRedis(place, {}),
  "node-redis, no timeout": (place) => nodeRedis(place, { timeout: 0 }),
  ioredis: (place) => ioredis(place, "single"),
  "ioredis, auto-pipelining": (place) => ioredis(place, "automatic"),
};

/** Guards that take one step each: a lock that is taken and released, a call that is counted. */
export const GUARDS: Readonly<Record<string, (place: Place) => Promise<Client>>> = {
  "hotset locks": toolkitLock,
  redlock,
  "hotset limits": toolkitLimit,
  "rate-limiter-flexible": rateLimiterFlexible,
};

async function toolkit({ url, sentinels, name }: Place): Promise<Client> {
  const redis = createRedis(
    sentinels === undefined
      ? { url, env: false }
      : { sentinels: sentinels.map(({ host, port }) => `${host}:${port}`), sentinelName: name!, env: false },
  );
  const { commands } = redis;
  await commands.get("first");
  return {
    get: (key) => commands.get(key),
    set: (key, value) => commands.set(key, value),
    append: (key, value) => commands.rPush(key, value),
    close: () => redis.disconnect(),
  };
}

async function nodeRedis(
  { url, sentinels, name }: Place,
  commandOptions: { readonly timeout?: number },
): Promise<Client> {
  const client =
    sentinels === undefined
      ? await createClient({ url, commandOptions })
          .on("error", () => undefined)
          .connect()
      : await createSentinel({ name: name!, sentinelRootNodes: [...sentinels] })
          .on("error", () => undefined)
          .connect();
  return {
    get: (key) => client.get(key),
    set: (key, value) => client.set(key, value),
    append: (key, value) => client.rPush(key, value),
    close: () => client.destroy(),
  };
}

/** How ioredis sends the commands of one turn: one after another, or as one pipeline. */
type Pipelining = "single" | "automatic";

function connected({ url, sentinels, name }: Place, pipelining: Pipelining): IoRedis {
  const options = { enableAutoPipelining: pipelining === "automatic" };
  const client =
    sentinels === undefined
      ? new IoRedis(url, options)
      : new IoRedis({ sentinels: [...sentinels], name: name!, ...options });
  client.on("error", () => undefined);
  return client;
}

async function ioredis(place: Place, pipelining: Pipelining): Promise<Client> {
  const client = connected(place, pipelining);
  await client.ping();
  return {
    get: (key) => client.get(key),
    set: (key, value) => client.set(key, value),
    append: (key, value) => client.rpush(key, value),
    close: () => client.disconnect(),
  };
}

/** Only `append` is used: each takes its step there. */
function guard(step: (key: string) => Promise<unknown>, close: () => unknown): Client {
  return { get: step, set: step, append: (_, value) => step(value), close };
}

async function toolkitLock({ url }: Place): Promise<Client> {
  const redis = createRedis({ url, env: false });
  const lock = locks(redis, { ttl: "10s" });
  const step = async (key: string): Promise<unknown> => (await lock.acquire(key)).release();
  await step("first");
  return guard(step, () => redis.disconnect());
}

async function redlock(place: Place): Promise<Client> {
  const client = connected(place, "single");
  const lock = new Redlock([client]);
  lock.on("error", () => undefined);
  const step = async (key: string): Promise<unknown> => (await lock.acquire([key], 10_000)).release();
  await step("first");
  return guard(step, () => client.disconnect());
}

async function toolkitLimit({ url }: Place): Promise<Client> {
  const redis = createRedis({ url, env: false });
  const limit = rateLimit(redis, { name: "figures", rules: [fixedWindow({ limit: 1_000_000_000 })] });
  const step = (key: string): Promise<unknown> => limit.consume(key);
  await step("first");
  return guard(step, () => redis.disconnect());
}

async function rateLimiterFlexible(place: Place): Promise<Client> {
  const client = connected(place, "single");
  const limiter = new RateLimiterRedis({ storeClient: client, points: 1_000_000, duration: 3_600 });
  const step = (key: string): Promise<unknown> => limiter.consume(key);
  await step("first");
  return guard(step, () => client.disconnect());
}
