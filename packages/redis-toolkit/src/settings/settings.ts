import {
  ConfigurationError,
  parseDuration,
  systemClock,
  type CacheLogger,
  type Clock,
  type Duration,
} from "@hotset/core";
import { checkNames } from "@hotset/core/internal";
import { resolveAddress, type Address } from "./address.ts";
import { flag, lookUp, readEnvironment, timeIn, wholeNumber, type Environment } from "./environment.ts";
import { loggerOf } from "./logger.ts";
import type { RedisOptions, TlsFiles } from "./options.ts";

/** Checked options, with defaults. Never print them: they may hold a password. */
export interface RedisSettings {
  readonly isEnabled: boolean;
  readonly address: Address;
  readonly protocol: 2 | 3;
  readonly clientName: string;
  readonly connectTimeoutMs: number;
  readonly commandTimeoutMs: number;
  readonly pool: { readonly max: number; readonly waitMs: number };
  readonly readRetries: number;
  readonly patienceMs: number;
  readonly backoff: { readonly baseMs: number; readonly maxMs: number };
  readonly maxInFlight: number;
  readonly onOverload: "wait" | "reject";
  readonly defaultTtlMs: number | undefined;
  readonly defaultHashTtlMs: number | undefined;
  readonly unavailableAfterMs: number;
  readonly checkIntervalMs: number;
  readonly logger: CacheLogger | undefined;
  readonly clock: Clock;
}

/** @throws {ConfigurationError} for what can never work, before a socket opens. */
export function resolveSettings(options: RedisOptions = {}): RedisSettings {
  const place = "createRedis";
  checkNames(options, OPTIONS, { place });
  checkNames(options.pool, ["max", "wait"], { place, inside: "pool" });
  checkNames(options.backoff, ["base", "max"], { place, inside: "backoff" });
  if (typeof options.tls === "object") checkNames(options.tls, TLS_FILES, { place, inside: "tls" });
  // A library that names its Redis is not steered by the variables of the program.
  const isExplicit = WHERE.some((name) => options[name] !== undefined);
  const { env = isExplicit ? {} : process.env, envFile = !isExplicit, clock = systemClock } = options;
  if (env !== false && (typeof env !== "object" || env === null || Array.isArray(env)))
    throw new ConfigurationError(`env must be an object of variables, or false, got ${shown(env)}`);
  if (typeof envFile !== "boolean" && (typeof envFile !== "string" || envFile === ""))
    throw new ConfigurationError(`envFile must be the path of a file, true or false, got ${shown(envFile)}`);
  if (typeof clock?.now !== "function" || typeof clock.schedule !== "function")
    throw new ConfigurationError(`clock must have now() and schedule(), got ${shown(clock)}`);
  const environment = readEnvironment(env === false ? {} : env, env === false ? false : envFile);
  const commandTimeoutMs = duration("commandTimeout", options.commandTimeout, environment, COMMAND_TIMEOUT) ?? 5_000;
  const backoff = {
    baseMs: duration("backoff.base", options.backoff?.base, environment, { REDIS_RETRY_DELAY_MS: timeIn(1) }) ?? 100,
    maxMs: duration("backoff.max", options.backoff?.max, environment, { REDIS_RETRY_MAX_DELAY_MS: timeIn(1) }) ?? 5_000,
  };
  if (backoff.baseMs > backoff.maxMs)
    throw new ConfigurationError(
      `backoff.base (REDIS_RETRY_DELAY_MS) of ${backoff.baseMs} ms must be at most backoff.max (REDIS_RETRY_MAX_DELAY_MS), ${backoff.maxMs} ms`,
    );
  const unavailableAfterMs = duration("unavailableAfter", options.unavailableAfter) ?? 5_000;
  const checkIntervalMs = duration("checkInterval", options.checkInterval) ?? Math.min(2_000, unavailableAfterMs);
  if (checkIntervalMs > unavailableAfterMs)
    throw new ConfigurationError(
      `checkInterval of ${checkIntervalMs} ms must be at most unavailableAfter, ${unavailableAfterMs} ms`,
    );
  return {
    isEnabled:
      option("enabled", options.enabled, "boolean") ?? lookUp(environment, { ENABLE_REDIS: flag })?.value ?? true,
    address: resolveAddress(options, environment),
    protocol: oneOf("protocol", options.protocol, [2, 3]) ?? 3,
    clientName: option("clientName", options.clientName, "string") ?? "hotset",
    connectTimeoutMs: duration("connectTimeout", options.connectTimeout, environment, CONNECT_TIMEOUT) ?? 5_000,
    commandTimeoutMs,
    pool: {
      max: count("pool.max", options.pool?.max) ?? lookUp(environment, POOL_SIZE)?.value ?? 10,
      waitMs: duration("pool.wait", options.pool?.wait) ?? commandTimeoutMs,
    },
    readRetries:
      count("readRetries", options.readRetries, 0) ??
      lookUp(environment, { REDIS_MAX_RETRIES: wholeNumber(0, 1_000) })?.value ??
      5,
    patienceMs: options.patience === 0 ? 0 : (duration("patience", options.patience) ?? 0),
    backoff,
    maxInFlight: count("maxInFlight", options.maxInFlight) ?? 5_000,
    onOverload: oneOf("onOverload", options.onOverload, ["wait", "reject"]) ?? "wait",
    defaultTtlMs: lifeOf("defaultTtl", options.defaultTtl),
    defaultHashTtlMs: lifeOf("defaultHashTtl", options.defaultHashTtl),
    unavailableAfterMs,
    checkIntervalMs,
    logger: loggerOf(options.logger),
    clock,
  };
}

const COMMAND_TIMEOUT = {
  REDIS_COMMAND_TIMEOUT: timeIn(1_000),
  REDIS_COMMAND_TIMEOUT_MS: timeIn(1),
  REDIS_SOCKET_TIMEOUT: timeIn(1_000),
  REDIS_SOCKET_TIMEOUT_MS: timeIn(1),
};
const CONNECT_TIMEOUT = {
  REDIS_CONNECTION_TIMEOUT: timeIn(1_000),
  REDIS_CONNECTION_TIMEOUT_MS: timeIn(1),
  REDIS_SOCKET_CONNECT_TIMEOUT: timeIn(1_000),
  REDIS_SOCKET_CONNECT_TIMEOUT_MS: timeIn(1),
};
const POOL_SIZE = { REDIS_POOL_MAX_SIZE: wholeNumber(1, 10_000), REDIS_MAX_CONNECTIONS: wholeNumber(1, 10_000) };

/** The options that say where Redis is. */
const WHERE: readonly (keyof RedisOptions)[] = ["url", "host", "cluster", "sentinels", "connection", "client"];

const TLS_FILES: readonly (keyof TlsFiles)[] = ["caPath", "certPath", "keyPath", "servername", "minVersion"];

const OPTIONS: readonly (keyof RedisOptions)[] = [
  "enabled",
  "url",
  "host",
  "port",
  "username",
  "password",
  "database",
  "tls",
  "cluster",
  "sentinels",
  "sentinelName",
  "resolveAddress",
  "connection",
  "client",
  "protocol",
  "clientName",
  "connectTimeout",
  "commandTimeout",
  "pool",
  "readRetries",
  "patience",
  "backoff",
  "maxInFlight",
  "onOverload",
  "defaultTtl",
  "defaultHashTtl",
  "unavailableAfter",
  "checkInterval",
  "logger",
  "env",
  "envFile",
  "clock",
];

/**
 * For errors: short, and without what an object holds. A copy of that of modules: the room of modules is above this
 * one, and code below both would be an entry of the package.
 */
const shown = (given: unknown): string =>
  typeof given === "string"
    ? JSON.stringify(given.slice(0, 40))
    : typeof given === "number" || typeof given === "bigint"
      ? `${given}`
      : given === null
        ? "null"
        : Array.isArray(given)
          ? "a list"
          : `a value of type ${typeof given}`;

/** Whole milliseconds of an option, or of the first variable that is set. */
function duration(
  name: string,
  given: Duration | undefined,
  environment?: Environment,
  variables?: Parameters<typeof lookUp<number>>[1],
): number | undefined {
  if (given === undefined) return variables === undefined ? undefined : lookUp(environment!, variables)?.value;
  const ms = typeof given === "string" ? parsed(name, given) : given;
  if (typeof ms !== "number" || !(ms >= 1 && ms <= 2 ** 31 - 1))
    throw new ConfigurationError(
      `${name} must be a duration of 1 ms to 24 days, as milliseconds or like "5s"; got ${shown(given)}`,
    );
  return Math.round(ms);
}

/** A life in Redis has a unit: decision 0225. */
function lifeOf(name: string, given: Exclude<Duration, number> | undefined): number | undefined {
  if (typeof given !== "number") return duration(name, given);
  throw new ConfigurationError(
    `${name} must have a unit, such as "60s" or "60ms", got ${shown(given)}: redis clients count a bare number in seconds`,
  );
}

function parsed(name: string, given: string): number {
  try {
    return parseDuration(given);
  } catch {
    throw new ConfigurationError(
      `${name} must be milliseconds, or a number with a unit such as "5s"; got ${JSON.stringify(given)}`,
    );
  }
}

function count(name: string, given: number | undefined, least = 1): number | undefined {
  if (given === undefined || (Number.isSafeInteger(given) && given >= least)) return given;
  throw new ConfigurationError(`${name} must be a whole number of at least ${least}, got ${shown(given)}`);
}

function oneOf<T>(name: string, given: T | undefined, accepted: readonly T[]): T | undefined {
  if (given === undefined || accepted.includes(given)) return given;
  throw new ConfigurationError(
    `${name} must be ${accepted.map((one) => JSON.stringify(one)).join(" or ")}, got ${shown(given)}`,
  );
}

function option<T>(name: string, given: T | undefined, type: "boolean" | "string"): T | undefined {
  if (given === undefined || (typeof given === type && given !== "")) return given;
  throw new ConfigurationError(
    `${name} must be a ${type}${type === "string" ? " that is not empty" : ""}, got a value of type ${typeof given}`,
  );
}
