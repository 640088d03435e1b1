import { createCache, json, type Backend, type Cache, type CacheOptions, type Policy } from "@hotset/core";
import { memory } from "@hotset/memory";
import { redis, type Connection, type RedisBackendBuilder } from "@hotset/redis";
import { onTestFinished } from "vitest";
import { LAYOUT } from "./layout.ts";
import type { Stack } from "./stacks.ts";

/** Deadline of each command in the tests of faults: long enough for a busy machine, short enough to wait for. */
export const DEADLINE_MS = 1_000;

// The first connection of a process loads node-redis, which may take longer than that: not in a test.
const nobody = redis("redis://127.0.0.1:1").valueFormat(json()).build();
await nobody.connect!().catch(() => nobody.close());

/** A backend that notices faults soon and comes back soon. */
export const impatient = (connection: string | Connection): RedisBackendBuilder =>
  redis(connection)
    .layout(LAYOUT)
    .valueFormat(json())
    .responseTimeout(DEADLINE_MS)
    .connectTimeout("5s")
    .backoff({ base: 10, max: 100 });

/** A backend that comes back soon, and whose deadlines and leases no busy machine reaches: what is loaded is stored. */
export const patient = (connection: string | Connection): RedisBackendBuilder =>
  impatient(connection).responseTimeout("20s").connectTimeout("20s").leaseTime("60s");

export interface OverRedisOptions
  extends Policy, Pick<Partial<CacheOptions>, "name" | "version" | "clock" | "explain"> {
  /** @default 'backend' */
  readonly stack?: Stack;
}

/** A cache that lasts until the end of the test: `shop`, with entries that outlast it, here and there. */
export function over(
  backend: Backend,
  { name = "shop", version, clock, explain, stack = "backend", ...policy }: OverRedisOptions = {},
): Cache {
  const empty = createCache({ name, clock, explain, ...(version !== undefined && { version }) }).defaults({
    ttl: "10m",
    localTtl: "10m",
    ...policy,
  });
  const cache = (stack === "backend" ? empty : empty.tier(memory())).tier(backend).build();
  onTestFinished(() => cache.close({ timeout: 0 }));
  return cache;
}
