import { setTimeout as sleep } from "node:timers/promises";
import { observe } from "@hotset/metrics/prometheus";
import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { health, type Health } from "@hotset/redis-toolkit/health";
import { queue, type Queue } from "@hotset/redis-toolkit/queue";
import { rateLimit, tokenBucket, type RateLimit } from "@hotset/redis-toolkit/rate-limit";
import { createCache, memory, redis, single, type Cache } from "hotset";
import { collectDefaultMetrics, Registry } from "prom-client";
import { READY_DEADLINE_MS, type Settings } from "./settings.ts";

export interface Product {
  readonly sku: string;
  readonly cents: number;
}

export interface Order {
  readonly sku: string;
  readonly quantity: number;
}

/** All that requests need. It connects at the first use: the process starts without Redis, and is not ready then. */
export interface Shop {
  readonly cache: Cache;
  readonly limit: RateLimit;
  readonly orders: Queue<Order>;
  readonly health: Health;
  readonly register: Registry;
  /** Ends jobs, replays invalidations, closes connections. */
  close(): Promise<void>;
}

/** @throws {ConfigurationError} for variables that are not accepted. */
export function openShop(settings: Settings): Shop {
  const { cacheUrl, cachePassword, redisPassword } = settings;
  const backend = redis(single(cacheUrl));
  const cache = createCache({ name: "shop", logger: console })
    .tier(memory({ maxEntries: 10_000 }))
    .tier((cachePassword === undefined ? backend : backend.password(cachePassword)).build())
    .defaults({ ttl: "1m", staleWhileRevalidate: "5m", staleIfError: "1h", negativeTtl: "10s", hardTimeout: "5s" })
    .build();
  const password = redisPassword === undefined ? {} : { password: redisPassword };
  const durable = createRedis({ clientName: "shop", logger: console, ...password });
  const orders = queue<Order>(durable, "orders", { keep: { completed: 100 }, requireNoEviction: true });
  orders.worker(async (job) => ship(job.data), { concurrency: 4, grace: "5s" });
  const register = new Registry();
  collectDefaultMetrics({ register });
  const observation = observe({ register, caches: [cache], redis: [durable], queues: { orders } });
  return {
    cache,
    limit: rateLimit(durable, {
      name: "shop",
      rules: [tokenBucket({ limit: 20, refill: "1s", burst: 40 })],
      deadline: "1s",
    }),
    orders,
    health: health(durable, { deadline: READY_DEADLINE_MS }),
    register,
    close: () => close(observation, cache, durable),
  };
}

async function close(observation: { close(): void }, cache: Cache, durable: Redis): Promise<void> {
  observation.close();
  // The worker is stopped by it.
  await Promise.all([cache.close(), durable.disconnect()]);
}

/** In place of a database: `undefined` where there is no such product. */
export async function findProduct(sku: string): Promise<Product | undefined> {
  await sleep(20);
  return /^p\d{1,4}$/.test(sku) ? { sku, cents: 100 * Number(sku.slice(1)) } : undefined;
}

/** In place of a warehouse. A job may come twice: use its id as the key there. */
async function ship(order: Order): Promise<string> {
  await sleep(20);
  return `${order.quantity} of ${order.sku}`;
}
