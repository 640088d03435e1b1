import { brotli, gzip, json } from "@hotset/core";
import { msgpack } from "@hotset/msgpack";
import * as own from "@hotset/redis";
import { zstd } from "@hotset/zstd";

/** Without `v8()`: bytes of a shared store are decoded with it only on request. */
const SHIPPED = { formats: [msgpack(), json()], compressors: [gzip(), brotli(), zstd()] };

/**
 * Starts a Redis backend that writes `msgpack()`. Until `valueFormat` is called it reads `json()`, too, and until
 * `compressor` is called `gzip()`, `brotli()` and `zstd()`. A URL is short for `single(url)`, and `{ host, port }` for
 * `single({ host, port })`.
 */
export function redis(connection: string | URL | own.ServerAddress | own.Connection): own.RedisBackendBuilder;
export function redis(connection: own.ClientConnection): own.RedisBackendSettings;
export function redis(
  connection: string | URL | own.ServerAddress | own.Connection | own.ClientConnection,
): own.RedisBackendBuilder {
  return RedisBackend.builder().connection(connection as own.Connection);
}

/** A backend of {@link redis}. */
export type RedisBackend = own.RedisBackend;

export const RedisBackend: {
  /** Like `redis(connection)`, but the connection is given later. */
  builder(): own.RedisBackendBuilder;
} = { builder: () => own.RedisBackend.builder(SHIPPED) };
