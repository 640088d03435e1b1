import { ConfigurationError, systemClock, type CacheLogger, type Clock } from "@hotset/core";
import {
  anything,
  checkNames,
  CLOCK,
  describe,
  flag,
  oneOf,
  option,
  readOptions,
  text,
  timerMs,
  wholeNumber,
  type Option,
} from "@hotset/core/internal";
import { resolveAddress, type Address } from "./address.ts";
import { lookUp, readEnvironment, readFlag, readWhole, timeIn, type Environment } from "./environment.ts";
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
  checkNames(options.pool, POOL, { place, inside: "pool" });
  checkNames(options.backoff, BACKOFF, { place, inside: "backoff" });
  if (typeof options.tls === "object") checkNames(options.tls, TLS_FILES, { place, inside: "tls" });
  const read = readOptions(options, OPTIONS, "", ConfigurationError);
  const pool = readOptions(options.pool, POOL, "pool.", ConfigurationError);
  // A library that names its Redis is not steered by the variables of the program.
  const isExplicit = WHERE.some((name) => options[name] !== undefined);
  const { env = isExplicit ? {} : process.env, envFile = !isExplicit, clock = systemClock } = read;
  const environment = readEnvironment(env === false ? {} : env, env === false ? false : envFile);
  const found = <T>(variables: Variables<T>): T | undefined => lookUp(environment, variables)?.value;
  const commandTimeoutMs = read.commandTimeout ?? found(COMMAND_TIMEOUT) ?? 5_000;
  const unavailableAfterMs = read.unavailableAfter;
  const checkIntervalMs = read.checkInterval ?? Math.min(2_000, unavailableAfterMs);
  if (checkIntervalMs > unavailableAfterMs)
    throw new ConfigurationError(
      `checkInterval of ${checkIntervalMs} ms must be at most unavailableAfter, ${unavailableAfterMs} ms`,
    );
  return {
    isEnabled: read.enabled ?? found({ ENABLE_REDIS: readFlag }) ?? true,
    address: resolveAddress(options, environment),
    protocol: read.protocol,
    clientName: read.clientName,
    connectTimeoutMs: read.connectTimeout ?? found(CONNECT_TIMEOUT) ?? 5_000,
    commandTimeoutMs,
    pool: { max: pool.max ?? found(POOL_SIZE) ?? 10, waitMs: pool.wait ?? commandTimeoutMs },
    readRetries: read.readRetries ?? found({ REDIS_MAX_RETRIES: readWhole(0, 1_000) }) ?? 5,
    patienceMs: read.patience,
    backoff: backoffOf(options, environment),
    maxInFlight: read.maxInFlight,
    onOverload: read.onOverload,
    defaultTtlMs: read.defaultTtl,
    defaultHashTtlMs: read.defaultHashTtl,
    unavailableAfterMs,
    checkIntervalMs,
    logger: loggerOf(options.logger),
    clock,
  };
}

function backoffOf(options: RedisOptions, environment: Environment): RedisSettings["backoff"] {
  const { base, max } = readOptions(options.backoff, BACKOFF, "backoff.", ConfigurationError);
  const baseMs = base ?? lookUp(environment, { REDIS_RETRY_DELAY_MS: timeIn(1) })?.value ?? 100;
  const maxMs = max ?? lookUp(environment, { REDIS_RETRY_MAX_DELAY_MS: timeIn(1) })?.value ?? 5_000;
  if (baseMs > maxMs)
    throw new ConfigurationError(
      `backoff.base (REDIS_RETRY_DELAY_MS) of ${baseMs} ms must be at most backoff.max (REDIS_RETRY_MAX_DELAY_MS), ${maxMs} ms`,
    );
  return { baseMs, maxMs };
}

type Variables<T> = Parameters<typeof lookUp<T>>[1];

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
const POOL_SIZE = { REDIS_POOL_MAX_SIZE: readWhole(1, 10_000), REDIS_MAX_CONNECTIONS: readWhole(1, 10_000) };

/** The options that say where Redis is. */
const WHERE: readonly (keyof RedisOptions)[] = ["url", "host", "cluster", "sentinels", "connection", "client"];

const TLS_FILES: readonly (keyof TlsFiles)[] = ["caPath", "certPath", "keyPath", "servername", "minVersion"];

/** A life in Redis has a unit: decision 0225. */
const LIFE: Option<number | undefined> = {
  ...timerMs(undefined),
  accepts: 'a duration with a unit, such as "60s" or "60ms", of at most 24 days',
  read: (given, name) => (typeof given === "number" ? undefined : timerMs(undefined).read(given, name)),
  show: (given) =>
    describe(given) + (typeof given === "number" ? ": redis clients count a bare number in seconds" : ""),
};

/** Of an address: {@link resolveAddress} checks it, and shows no secret. */
const OF_ADDRESS = anything;

/** Those that variables of the environment may set have no default here. */
const OPTIONS = {
  enabled: { ...flag(), default: undefined as boolean | undefined },
  url: OF_ADDRESS,
  host: OF_ADDRESS,
  port: OF_ADDRESS,
  username: OF_ADDRESS,
  password: OF_ADDRESS,
  database: OF_ADDRESS,
  tls: OF_ADDRESS,
  cluster: OF_ADDRESS,
  sentinels: OF_ADDRESS,
  sentinelName: OF_ADDRESS,
  resolveAddress: OF_ADDRESS,
  connection: OF_ADDRESS,
  client: OF_ADDRESS,
  protocol: { ...oneOf<2 | 3>(2, 3), default: 3 as const },
  clientName: text("hotset"),
  connectTimeout: timerMs(undefined),
  commandTimeout: timerMs(undefined),
  pool: anything,
  readRetries: wholeNumber(undefined, 0),
  patience: timerMs(0, 0),
  backoff: anything,
  maxInFlight: wholeNumber(5_000),
  onOverload: oneOf("wait", "reject"),
  defaultTtl: LIFE,
  defaultHashTtl: LIFE,
  unavailableAfter: timerMs(5_000),
  checkInterval: timerMs(undefined),
  logger: anything,
  env: option<RedisOptions["env"]>(
    "an object of variables, or false",
    (given) => given === false || (typeof given === "object" && given !== null && !Array.isArray(given)),
    undefined,
  ),
  envFile: option<RedisOptions["envFile"]>(
    "the path of a file, true or false",
    (given) => typeof given === "boolean" || (typeof given === "string" && given !== ""),
    undefined,
  ),
  clock: CLOCK,
} satisfies Record<keyof RedisOptions, Option>;

const POOL = { max: wholeNumber(undefined), wait: timerMs(undefined) };
const BACKOFF = { base: timerMs(undefined), max: timerMs(undefined) };
