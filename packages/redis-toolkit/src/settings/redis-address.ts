import type { Address } from "./address.ts";
import type { RedisOptions } from "./options.ts";
import { resolveSettings } from "./settings.ts";

/** Where Redis is, and who asks. Never print it: it may hold a password. */
export type RedisAddress = Address;

/**
 * The server that `createRedis()` with the same options connects to, for a cache next to it: `redis(connection)`, with
 * `username` and `password` where they are given. Opens nothing.
 *
 * @throws {ConfigurationError} as `createRedis`.
 */
export const redisAddress = (options?: RedisOptions): RedisAddress => resolveSettings(options).address;
