import { json, type Compressor, type Format } from "@hotset/core";
import { brotli, gzip } from "@hotset/formats";
import { msgpack } from "@hotset/formats/msgpack";
import { zstd } from "@hotset/formats/zstd";
import {
  RedisBackend as BackendOfRedis,
  type ClientConnection,
  type Connection,
  type HttpConnection,
  type RedisBackendBuilder,
  type RedisBackendSettings,
  type ServerAddress,
} from "@hotset/redis";

/**
 * Made for each backend: made here once, they would be in every bundle of this package, one over memory alone too.
 * Without `v8()`: bytes of a shared store are decoded with it only on request.
 */
const shipped = (): { readonly formats: readonly Format[]; readonly compressors: readonly Compressor[] } => ({
  formats: [msgpack(), json()],
  compressors: [gzip(), brotli(), zstd()],
});

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
