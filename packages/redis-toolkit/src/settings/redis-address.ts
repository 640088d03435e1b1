import type { ClientConnection, Connection, HttpConnection } from "@hotset/redis";
import type { Address } from "./address.ts";
import type { RedisOptions } from "./options.ts";
import { resolveSettings } from "./settings.ts";

/** Where Redis is, and who asks. Never print it: it may hold a password. */
export interface RedisAddress<C extends Connection | ClientConnection | HttpConnection = Connection> extends Address {
  /** For `redis(connection)`. */
  readonly connection: C;
}

/** Options that name no client of yours. */
type Reached = RedisOptions & { readonly client?: undefined; readonly connection?: Connection | undefined };

/**
 * The server that `createRedis()` with the same options connects to, for a cache next to it: `redis(connection)`, with
 * `username` and `password` where they are given. Opens nothing.
 *
 * @throws {ConfigurationError} as `createRedis`.
 */
export function redisAddress(options?: Reached): RedisAddress;
export function redisAddress(options: RedisOptions): RedisAddress<Connection | ClientConnection | HttpConnection>;
export function redisAddress(options?: RedisOptions): RedisAddress<Connection | ClientConnection | HttpConnection> {
  return resolveSettings(options).address;
}
