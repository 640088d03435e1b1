import { ConfigurationError, parseDuration } from "@hotset/core";
import { createRedis, type Redis, type RedisOptions } from "@hotset/redis-toolkit";
import { moduleOf } from "@hotset/redis-toolkit/module";
import { shown, type Arguments, type OptionSpec } from "./arguments.ts";
import type { Session } from "./command.ts";
import { UnreachableError, UsageError } from "./errors.ts";
import type { Io } from "./io.ts";

/** Options of every command. */
export const CONNECTION_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  url: {
    value: "<url>",
    text: "the server, redis:, rediss: or unix:, without a password; default: REDIS_URL and the like, as createRedis()",
  },
  "env-file": {
    value: "<path>",
    text: "variables of this file, below those of the process; default: .env, where it exists",
  },
  timeout: {
    value: "<duration>",
    text: 'bound on connecting, and on each answer, 1 ms to 10 min, such as "10s"; default: 5s, or REDIS_COMMAND_TIMEOUT',
  },
};

const NAME = "hotset-cli";
export const SILENT = { error: () => undefined, warn: () => undefined, info: () => undefined };

/**
 * Connects as the environment says, once: nothing is tried again.
 *
 * @throws {UsageError} for settings that can never work. @throws {UnreachableError}
 */
export async function connect(given: Arguments, io: Io): Promise<Session> {
  const timeoutMs = timeoutOf(given);
  const url = given.text("url");
  const settings: RedisOptions = {
    env: io.variables,
    envFile: given.text("env-file") ?? true,
    clientName: NAME,
    logger: SILENT,
    ...(url === undefined ? undefined : { url }),
    ...(given.text("timeout") === undefined ? undefined : { commandTimeout: timeoutMs, connectTimeout: timeoutMs }),
  };
  const refused: unknown[] = [];
  // A server or a proxy without RESP3 refuses each connection that asks for it: a finding, and not the end.
  for (const protocol of [3, 2] as const) {
    const own = { ...settings, protocol };
    const redis = redisOf(own);
    // The server may not answer at all: then it would be waited for until the end of the timeout.
    const interrupt = (): void => void redis.disconnect();
    io.signal.addEventListener("abort", interrupt);
    try {
      const { connection } = moduleOf(redis);
      await connection.connect();
      const isResp3Refused = protocol === 2;
      return { io, arguments: given, redis, connection, settings: own, isResp3Refused, timeoutMs };
    } catch (error) {
      await redis.disconnect();
      refused.push(error);
      if ((error as { readonly retryable?: boolean }).retryable !== false || isLoginMissing(error)) break;
    } finally {
      io.signal.removeEventListener("abort", interrupt);
    }
  }
  const [first] = refused as [Error];
  // The remedy comes first: the words of Redis about it are forty.
  throw new UnreachableError(
    (isLoginMissing(first) ? "set REDIS_PASSWORD, or put the password into REDIS_URL: " : "") + first.message,
  );
}

/** RESP2 connects without a login all the same, and each command is refused then. */
const isLoginMissing = (error: unknown): boolean => /\bNOAUTH\b/.test((error as Error).message);

export function timeoutOf(given: Arguments): number {
  const text = given.text("timeout");
  if (text === undefined) return 5_000;
  try {
    const ms = /^\d+$/.test(text) ? Number(text) : parseDuration(text);
    if (ms >= 1 && ms <= 600_000) return Math.ceil(ms);
  } catch {
    // The sentence below says what is accepted.
  }
  throw new UsageError(`--timeout must be from 1 ms to 10 min, such as 500ms or 10s, got ${shown(text)}`);
}

function redisOf(settings: RedisOptions): Redis {
  let redis: Redis;
  try {
    redis = createRedis(settings);
  } catch (error) {
    if (error instanceof ConfigurationError) throw new UsageError(error.message);
    throw error;
  }
  if (redis.isEnabled) return redis;
  throw new UsageError("ENABLE_REDIS is off: there is no Redis to ask; set it to true for this command");
}
