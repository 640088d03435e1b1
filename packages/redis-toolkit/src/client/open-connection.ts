import { InvalidArgumentError, systemClock } from "@hotset/core";
import {
  anything,
  checkNames,
  CLOCK,
  oneOf,
  readOptions,
  text,
  timerMs,
  wholeNumber,
  type Option,
} from "@hotset/core/internal";
import {
  CLIENT_NAME,
  count,
  factor,
  PASSWORD,
  slotOf,
  hold,
  type ClientConnection,
  type Connection,
  type HttpConnection,
} from "@hotset/redis/internal";
import { checkKey } from "./call-checks.ts";
import type { RedisConnection, RedisConnectionOptions } from "./contract.ts";
import { LinkConnection, type ConnectionSettings } from "./link-connection.ts";

export type {
  Args,
  BurstOptions,
  Caller,
  CallOptions,
  ConnectionCounts,
  DedicatedCallOptions,
  DedicatedConnection,
  ExclusiveConnection,
  OpenOptions,
  Pool,
  PoolOptions,
  PoolStatus,
  PrimaryConnection,
  RedisConnection,
  RedisConnectionOptions,
  Subscriber,
  SubscriberEvents,
  SubscriptionKind,
  UseOptions,
} from "./contract.ts";

/**
 * Commands to Redis, for programs that need more than a cache. Opens nothing until it is used. It shares no socket with
 * a backend, and loads no scripts; two over the same object share theirs where their settings are equal.
 *
 * @param connection what `single`, `cluster`, `sentinel`, `fromClient` or `http` returned. With `fromClient` commands go
 *   over that client, further sockets are duplicates of it, and its own options of connecting apply, not these.
 * @throws {InvalidArgumentError} for any other connection, and for an option that is unknown or out of its range.
 */
export function openConnection(
  connection: Connection | ClientConnection | HttpConnection,
  options: RedisConnectionOptions = {},
): RedisConnection {
  const settings = resolve(options);
  return new LinkConnection(hold(connection, settings), settings);
}

/** The slot of a key in a cluster, from 0 to 16,383. @throws {InvalidArgumentError} for another type. */
export function hashSlot(key: string | Buffer): number {
  checkKey("hashSlot(key): key", key ?? null);
  return slotOf(key);
}

const TABLE = {
  username: text(undefined),
  password: PASSWORD,
  clientName: CLIENT_NAME,
  protocol: { ...oneOf<2 | 3>(2, 3), default: 3 as const },
  connectTimeoutMs: timerMs(5_000),
  responseTimeoutMs: timerMs(5_000),
  maxInFlight: count(5_000),
  onOverload: oneOf("wait", "reject"),
  retries: count(Infinity),
  backoff: anything,
  readRetries: wholeNumber(5, 0),
  patienceMs: timerMs(0, 0),
  heartbeatMs: timerMs(2_000),
  pool: anything,
  clock: CLOCK,
} satisfies Record<keyof RedisConnectionOptions, Option>;
const POOL = { max: count(10), waitMs: timerMs(5_000), idleMs: timerMs(30_000) };
const BACKOFF = { baseMs: timerMs(100, 0), factor: factor(2), maxMs: timerMs(5_000, 0) };

function resolve(options: RedisConnectionOptions): ConnectionSettings {
  checkNames(options, TABLE, { place: "openConnection" });
  const { pool = {}, backoff = {} } = options;
  const { clock = systemClock, ...read } = readOptions(options, TABLE);
  checkNames(pool, POOL, { place: "openConnection", inside: "pool" });
  return {
    ...read,
    defaultName: "hotset",
    backoff: backoffOf(backoff),
    pool: readOptions(pool, POOL, "pool."),
    prepare: nothing,
    reconnects: "always",
    connects: [],
    clock,
    random: Math.random,
  };
}

function backoffOf(given: NonNullable<RedisConnectionOptions["backoff"]>): ConnectionSettings["backoff"] {
  checkNames(given, BACKOFF, { place: "openConnection", inside: "backoff" });
  const backoff = readOptions(given, BACKOFF, "backoff.");
  if (backoff.baseMs > backoff.maxMs)
    throw new InvalidArgumentError(
      `backoff.baseMs must not be longer than backoff.maxMs, got ${backoff.baseMs} ms and ${backoff.maxMs} ms`,
    );
  return backoff;
}

/** No script of the cache is loaded. One function for all: links are shared where settings are equal. */
const nothing = (): Promise<void> => Promise.resolve();
