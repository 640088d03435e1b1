import {
  RedisBackend as BackendOfRedis,
  type ClientConnection,
  type Connection,
  type HttpConnection,
  type RedisBackendBuilder,
  type RedisBackendSettings,
  type ServerAddress,
} from "@hotset/redis";
import { shipped } from "./shipped.ts";

/**
 * Starts a Redis backend, which is a tier once it is built:
 *
 *     createCache({ name: "shop" }).tier(memory()).tier(redis("redis://localhost:6379").build())
 *
 * A call waits for it for 1 s (`responseTimeout`), and other processes see a change within 2 s (`maxStaleness`). It
 * writes `msgpack()`. Until `valueFormat` is called it reads `json()`, too, and until `compressor` is called `gzip()`,
 * `brotli()` and `zstd()`. A URL is short for `single(url)`, and `{ host, port }` for `single({ host, port })`.
 *
 * @throws {InvalidArgumentError} for an address that cannot be one.
 * @throws {ConfigurationError} for further arguments.
 */
export function redis(connection: string | URL | ServerAddress | Connection): RedisBackendBuilder;
export function redis(connection: Connection | ClientConnection | HttpConnection): RedisBackendSettings;
export function redis(
  connection: string | URL | ServerAddress | Connection | ClientConnection | HttpConnection,
  ...surplus: readonly unknown[]
): RedisBackendBuilder {
  // It refuses what is too much.
  const given = [connection, ...surplus] as unknown as [Connection];
  return RedisBackend.builder().connection(...given);
}

/** A backend of {@link redis}. */
export type RedisBackend = BackendOfRedis;

export const RedisBackend: {
  /** Like `redis(connection)`, but the connection is given later. */
  builder(): RedisBackendBuilder;
} = { builder: () => BackendOfRedis.builder(shipped()) };
