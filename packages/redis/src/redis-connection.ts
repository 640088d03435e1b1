import { ConfigurationError, didYouMean, InvalidArgumentError, systemClock } from "@hotset/core";
import { LinkConnection, type ConnectionSettings } from "./client/link-connection.ts";
import type { RedisConnection, RedisConnectionOptions } from "./client/contract.ts";
import { count, milliseconds, oneOf, refuse } from "./primitives/option-checks.ts";
import { slotOf } from "./primitives/hash-slots.ts";
import { hold, type ClientConnection, type Connection } from "./shared-connection.ts";

/**
 * Commands to Redis, for programs that need more than a cache. Opens nothing until it is used. It shares no socket with
 * a backend, and loads no scripts; two over the same object share theirs where their settings are equal.
 *
 * @param connection what `single`, `cluster`, `sentinel` or `fromClient` returned. With `fromClient` commands go over
 *   that client, sockets of their own are duplicates of it, and its own options of connecting apply, not these.
 * @throws {InvalidArgumentError} for any other connection, and for an option that is unknown or out of its range.
 */
export function openConnection(
  connection: Connection | ClientConnection,
  options: RedisConnectionOptions = {},
): RedisConnection {
  const settings = resolve(options);
  const held = hold(connection, settings);
  if (held.link.hasOneConnection === true) {
    held.release().catch(() => undefined);
    throw new ConfigurationError(
      "openConnection: a client of ioredis is for caches alone; give single(url), or a client of node-redis",
    );
  }
  return new LinkConnection(held, settings);
}

/** The slot of a key in a cluster, from 0 to 16,383. */
export const hashSlot = (key: string | Buffer): number => slotOf(key);

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
  "heartbeatMs",
  "pool",
  "clock",
];

function resolve(options: RedisConnectionOptions): ConnectionSettings {
  refuseUnknown("", options, OPTIONS);
  const { username, password, clientName, readRetries = 5, backoff = {}, pool = {}, clock = systemClock } = options;
  refuseUnknown("backoff.", backoff, ["baseMs", "factor", "maxMs"]);
  refuseUnknown("pool.", pool, ["max", "waitMs", "idleMs"]);
  if (username !== undefined && (typeof username !== "string" || username === ""))
    refuse("username", username, "a non-empty string");
  // Not with refuse(): the message must not contain the password.
  if (password !== undefined && typeof password !== "function" && (typeof password !== "string" || password === ""))
    throw new InvalidArgumentError("password must be a non-empty string, or a function that returns one");
  if (clientName !== undefined && (typeof clientName !== "string" || !/^[!-~]{1,128}$/.test(clientName)))
    refuse("clientName", clientName, "1 to 128 printable ASCII characters without spaces");
  if (!Number.isSafeInteger(readRetries) || readRetries < 0)
    refuse("readRetries", readRetries, "a whole number of at least 0");
  return {
    username,
    password,
    clientName,
    defaultName: "hotset",
    protocol: oneOf("protocol", options.protocol ?? 3, [2, 3]),
    connectTimeoutMs: milliseconds("connectTimeoutMs", options.connectTimeoutMs ?? 5_000),
    responseTimeoutMs: milliseconds("responseTimeoutMs", options.responseTimeoutMs ?? 5_000),
    maxInFlight: count("maxInFlight", options.maxInFlight ?? 5_000),
    onOverload: oneOf("onOverload", options.onOverload ?? "wait", ["wait", "reject"]),
    retries: count("retries", options.retries ?? Infinity),
    backoff: backoffOf(backoff),
    readRetries,
    heartbeatMs: milliseconds("heartbeatMs", options.heartbeatMs ?? 2_000),
    pool: {
      max: count("pool.max", pool.max ?? 10),
      waitMs: milliseconds("pool.waitMs", pool.waitMs ?? 5_000),
      idleMs: milliseconds("pool.idleMs", pool.idleMs ?? 30_000),
    },
    prepare: nothing,
    reconnects: "always",
    connects: [],
    clock,
    random: Math.random,
  };
}

function backoffOf(given: NonNullable<RedisConnectionOptions["backoff"]>): ConnectionSettings["backoff"] {
  const baseMs = milliseconds("backoff.baseMs", given.baseMs ?? 100, 0);
  const maxMs = milliseconds("backoff.maxMs", given.maxMs ?? 5_000, 0);
  const { factor = 2 } = given;
  if (!(factor >= 1 && factor < Infinity)) refuse("backoff.factor", factor, "a number of at least 1");
  if (baseMs > maxMs)
    throw new InvalidArgumentError(
      `backoff.baseMs must not be longer than backoff.maxMs, got ${baseMs} ms and ${maxMs} ms`,
    );
  return { baseMs, factor, maxMs };
}

function refuseUnknown(path: string, given: object, known: readonly string[]): void {
  if (typeof given !== "object" || given === null)
    refuse(path.slice(0, -1) || "options", given, "an object of options");
  for (const name of Object.keys(given))
    if (!known.includes(name))
      throw new InvalidArgumentError(
        `openConnection: unknown option ${JSON.stringify(path + name)}; known: ${known.join(", ")}${didYouMean(name, known)}`,
      );
}

/** No script of the cache is loaded. One function for all: links are shared where settings are equal. */
const nothing = (): Promise<void> => Promise.resolve();
