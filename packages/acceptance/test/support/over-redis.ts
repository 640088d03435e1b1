import { createCache, json, type Backend, type Cache, type CacheOptions, type Policy } from "@hotset/core";
import { memory } from "@hotset/memory";
import { redis, type Connection, type RedisBackendBuilder } from "@hotset/redis";
import { onTestFinished } from "vitest";
import type { Stack } from "./stacks.ts";

/** The deadline of each command in tests of faults: long enough for a busy machine, short enough to wait for. */
export const DEADLINE_MS = 300;

// The first connection of a process loads node-redis, which may take longer than the deadline. It happens before the
// tests.
const unreachable = redis("redis://127.0.0.1:1").valueFormat(json()).build();
await unreachable.connect!().catch(() => unreachable.close());

/** A backend with short deadlines and short backoffs. */
export const impatient = (connection: string | Connection): RedisBackendBuilder =>
  redis(connection)
    .valueFormat(json())
    .responseTimeout(DEADLINE_MS)
    .connectTimeout("1s")
    .backoff({ base: 10, max: 100 });

export interface OverRedisOptions extends Policy, Pick<Partial<CacheOptions>, "name" | "version"> {
  /** @default 'backend' */
  readonly stack?: Stack;
}

/** A cache named `shop` that is closed at the end of the test. Its entries outlive the test in every tier. */
export function over(
  backend: Backend,
  { name = "shop", version, stack = "backend", ...policy }: OverRedisOptions = {},
): Cache {
  const empty = createCache({ name, ...(version !== undefined && { version }) }).defaults({
    ttl: "10m",
    localTtl: "10m",
    ...policy,
  });
  const cache = (stack === "backend" ? empty : empty.tier(memory())).tier(backend).build();
  onTestFinished(() => cache.close({ timeout: 0 }));
  return cache;
}

/** The result of a call and its duration. */
export async function timed<T>(call: Promise<T>): Promise<{ readonly value: T; readonly ms: number }> {
  const startedAt = performance.now();
  const value = await call;
  return { value, ms: performance.now() - startedAt };
}
