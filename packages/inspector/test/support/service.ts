// A service with an inspector, in a process of its own. Driven by tests.

import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createCache, type Cache } from "@hotset/core";
import { heartbeat } from "@hotset/core/inspect";
import { v8 } from "@hotset/formats";
import { httpCache, type HttpCache } from "@hotset/http";
import { cachedHandler } from "@hotset/http/fetch";
import { inspector, type Inspector } from "@hotset/inspector";
import { inspectorListener } from "@hotset/inspector/node";
import { memory } from "@hotset/memory";
import { redis, single } from "@hotset/redis";
import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { locks } from "@hotset/redis-toolkit/lock";
import { queue, type Queue, type Worker } from "@hotset/redis-toolkit/queue";
import { fixedWindow, rateLimit } from "@hotset/redis-toolkit/rate-limit";
import { answerCalls } from "@hotset/test-servers";

export interface ServiceOptions {
  readonly redisUrl: string;
  /** For its keys in Redis. */
  readonly prefix: string;
  /** The process, in its heartbeat. */
  readonly name: string;
  readonly write?: boolean;
}

interface Parts {
  readonly cache: Cache;
  /** In memory alone. */
  readonly catalogue: Cache;
  readonly toolkit: Redis;
  readonly server: Server;
  readonly inspect: Inspector;
  readonly pages: HttpCache;
  readonly mails: Queue<unknown>;
}

let parts: Parts;
const loops: NodeJS.Timeout[] = [];
let worker: Worker | undefined;
let failure: string | undefined;

const SILENT = { error: () => {}, warn: () => {}, info: () => {} };
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export const handlers = {
  async start({ redisUrl, prefix, name, write = false }: ServiceOptions): Promise<string> {
    const cache = createCache({
      name: "shop",
      explain: 10_000,
      keyGroups: [{ name: "prices", match: "price:" }],
      logger: SILENT,
    })
      .tier(memory())
      .tier(redis(single(redisUrl)).keyPrefix(prefix).valueFormat(v8()).responseTimeout(1_000).build())
      .defaults({ ttl: "10m", staleWhileRevalidate: "1m", staleIfError: "1h", errorBackoff: "2s" })
      .build();
    await cache.connect();
    heartbeat(cache, { name, every: "1s" });
    const toolkit = createRedis({ url: redisUrl, commandTimeout: 1_000, logger: SILENT });
    await toolkit.initialize();
    const pages = httpCache(cache.namespace("pages"), { base: "http://shop.example" });
    const catalogue = createCache({ name: "catalogue" })
      .tier(memory({ maxEntries: 300_000 }))
      .build();
    const inspect = inspector([cache, catalogue], { toolkit: toolkit.tenant(prefix), http: { pages }, write });
    const server = createServer(inspectorListener(inspect)).listen(0, "127.0.0.1");
    await once(server, "listening");
    const mails = queue(toolkit.tenant(prefix), "mails", { attempts: 1 });
    parts = { cache, catalogue, toolkit, server, inspect, pages, mails };
    return `http://localhost:${(server.address() as AddressInfo).port}/hotset/`;
  },
  /** Loads a key for `ms`, unless it is stored. */
  load: (key: string, value: unknown, ms = 0, tags: readonly string[] = []) =>
    parts.cache.getOrSet(
      key,
      async () => {
        await sleep(ms);
        if (failure !== undefined) throw new Error(failure);
        return value as {};
      },
      { tags, loadTimeout: "10m" },
    ),
  set: (key: string, value: unknown, tags: readonly string[] = [], namespace: readonly string[] = []) =>
    namespace
      .reduce<Pick<Cache, "set" | "namespace">>((place, name) => place.namespace(name), parts.cache)
      .set(key, value as {}, { tags }),
  /** Values for many keys, in memory alone. */
  async fill(count: number): Promise<void> {
    for (let i = 0; i < count; i += 1) await parts.catalogue.set(`item:${String(i).padStart(6, "0")}`, { i });
  },
  /** Calls for so many keys in turn, by default for ever new ones. */
  traffic(keys = Infinity): void {
    let n = 0;
    loops.push(setInterval(() => void handlers.load(`traffic:${(n += 1) % keys}`, n).catch(() => {}), 50));
  },
  /** Calls that arrive together for one key, whose load takes `ms`. */
  stampede(key: string, callers: number, ms: number): void {
    for (let i = 0; i < callers; i += 1) void handlers.load(key, { key }, ms).catch(() => {});
  },
  /** Everything that is stored becomes stale, and loads fail from now on. */
  async breakSource(message: string, keys: readonly string[]): Promise<void> {
    for (const key of keys) await parts.cache.markStale(key);
    failure = message;
    loops.push(
      setInterval(() => {
        for (const key of keys) void handlers.load(key, {}).catch(() => {});
      }, 200),
    );
  },
  clear: () => parts.cache.clear(),
  invalidate: (tag: string) => parts.cache.invalidateTags(tag),
  /** Invalidates a tag again and again. */
  loopTag(tag: string, everyMs: number): void {
    loops.push(setInterval(() => void parts.cache.invalidateTags(tag).catch(() => {}), everyMs));
  },
  /** Adds jobs; each fails in its only attempt. */
  async failJobs(count: number, message: string): Promise<void> {
    await parts.mails.addMany(Array.from({ length: count }, (_, i) => ({ data: { to: `user${i}@shop.example` } })));
    worker ??= parts.mails.worker(() => {
      throw new TypeError(message);
    });
  },
  stopWorker: async () => {
    await worker?.stop();
    worker = undefined;
  },
  /** Holds a lock, and uses a limit up. */
  async lockAndLimit(prefix: string): Promise<void> {
    const view = parts.toolkit.tenant(prefix);
    await locks(view).acquire("nightly-report", { ttl: "5m" });
    const limit = rateLimit(view, { name: "login", rules: [fixedWindow({ limit: 2, window: "1m" })] });
    for (let i = 0; i < 5; i += 1) await limit.consume("ada").catch(() => {});
  },
  async httpRequests(count: number): Promise<void> {
    const handler = cachedHandler(parts.pages, (request) =>
      new URL(request.url).pathname === "/cart"
        ? Response.json({}, { headers: { "cache-control": "private" } })
        : Response.json({}, { headers: { "cache-control": "max-age=60" } }),
    );
    for (let i = 0; i < count; i += 1)
      for (const path of ["/books/1", "/cart"]) await (await handler(new Request(`http://shop.example${path}`))).text();
  },
  stopLoops(): void {
    for (const loop of loops.splice(0)) clearInterval(loop);
    failure = undefined;
  },
  async stop(): Promise<void> {
    handlers.stopLoops();
    parts.inspect.close();
    parts.server.closeAllConnections();
    parts.server.close();
    await worker?.stop();
    await parts.toolkit.disconnect();
    await parts.cache.close();
    await parts.catalogue.close();
  },
};

answerCalls(handlers);
