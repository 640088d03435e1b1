import { InvalidArgumentError, systemClock } from "@hotset/core";
import { checkNames } from "@hotset/core/internal";
import {
  count,
  factor,
  milliseconds,
  oneOf,
  refuse,
  slotOf,
  hold,
  type ClientConnection,
  type Connection,
  type HttpConnection,
} from "@hotset/redis/internal";
import { checkKey, clockOf } from "./call-checks.ts";
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

const OPTIONS: readonly (keyof RedisConnectionOptions)[] = [
  "username",
  "password",
  "clientName",
  "protocol",
  "connectTimeoutMs",
  "responseTimeoutMs",
  "maxInFlight",
  "onOverload",
  "retries",
  "backoff",
  "readRetries",
  "patienceMs",
  "heartbeatMs",
  "pool",
  "clock",
];

function resolve(options: RedisConnectionOptions): ConnectionSettings {
  checkNames(options, OPTIONS, { place: "openConnection" });
  const { username, password, clientName, readRetries = 5, backoff = {}, pool = {}, clock = systemClock } = options;
  const { protocol = 3, connectTimeoutMs = 5_000, responseTimeoutMs = 5_000, heartbeatMs = 2_000 } = options;
  const { patienceMs = 0 } = options;
  const { maxInFlight = 5_000, onOverload = "wait", retries = Infinity } = options;
  if (username !== undefined && (typeof username !== "string" || username === ""))
    refuse("username", username, "a non-empty string");
  // Not with refuse(): the message must not contain the password.
  if (password !== undefined && typeof password !== "function" && typeof password !== "string")
    throw new InvalidArgumentError("password must be a string, or a function that returns one");
  if (clientName !== undefined && (typeof clientName !== "string" || !/^[!-~]{1,128}$/.test(clientName)))
    refuse("clientName", clientName, "1 to 128 printable ASCII characters without spaces");
  if (!Number.isSafeInteger(readRetries) || readRetries < 0)
    refuse("readRetries", readRetries, "a whole number of at least 0");
  return {
    username,
    password,
    clientName,
    defaultName: "hotset",
    protocol: oneOf("protocol", protocol, [2, 3]),
    connectTimeoutMs: milliseconds("connectTimeoutMs", connectTimeoutMs),
    responseTimeoutMs: milliseconds("responseTimeoutMs", responseTimeoutMs),
    maxInFlight: count("maxInFlight", maxInFlight),
    onOverload: oneOf("onOverload", onOverload, ["wait", "reject"]),
    retries: count("retries", retries),
    backoff: backoffOf(backoff),
    readRetries,
    patienceMs: milliseconds("patienceMs", patienceMs, 0),
    heartbeatMs: milliseconds("heartbeatMs", heartbeatMs),
    pool: poolOf(pool),
    prepare: nothing,
    reconnects: "always",
    connects: [],
    clock: clockOf("clock", clock),
    random: Math.random,
  };
}

function poolOf(given: NonNullable<RedisConnectionOptions["pool"]>): ConnectionSettings["pool"] {
  checkNames(given, ["max", "waitMs", "idleMs"], { place: "openConnection", inside: "pool" });
  const { max = 10, waitMs = 5_000, idleMs = 30_000 } = given;
  return {
    max: count("pool.max", max),
    waitMs: milliseconds("pool.waitMs", waitMs),
    idleMs: milliseconds("pool.idleMs", idleMs),
  };
}

function backoffOf(given: NonNullable<RedisConnectionOptions["backoff"]>): ConnectionSettings["backoff"] {
  checkNames(given, ["baseMs", "factor", "maxMs"], { place: "openConnection", inside: "backoff" });
  const { baseMs = 100, factor: growth = 2, maxMs = 5_000 } = given;
  const backoff = {
    baseMs: milliseconds("backoff.baseMs", baseMs, 0),
    factor: factor("backoff.factor", growth),
    maxMs: milliseconds("backoff.maxMs", maxMs, 0),
  };
  if (backoff.baseMs > backoff.maxMs)
    throw new InvalidArgumentError(
      `backoff.baseMs must not be longer than backoff.maxMs, got ${backoff.baseMs} ms and ${backoff.maxMs} ms`,
    );
  return backoff;
}

/** No script of the cache is loaded. One function for all: links are shared where settings are equal. */
const nothing = (): Promise<void> => Promise.resolve();
