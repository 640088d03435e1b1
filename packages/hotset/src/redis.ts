import { brotli, gzip, json, type Compressor, type Format } from "@hotset/core";
import { msgpack } from "@hotset/msgpack";
import * as own from "@hotset/redis";
import { zstd } from "@hotset/zstd";

/**
 * All formats and compressors of this package except `v8()`: bytes of a shared store are decoded with it only on
 * request.
 */
const SHIPPED: readonly (Format | Compressor)[] = [msgpack(), json(), gzip(), brotli(), zstd()];

/**
 * Starts a Redis backend that writes `msgpack()` and reads every format and compressor of this package, so that
 * services with different formats share a cache. A URL is short for `single(url)`.
 */
export function redis(connection: string | URL | own.Connection): own.RedisBackendBuilder;
export function redis(connection: own.ClientConnection): own.RedisBackendSettings;
export function redis(connection: string | URL | own.Connection | own.ClientConnection): own.RedisBackendBuilder {
  return withDefaults(own.redis(connection as own.Connection));
}

/** A backend of {@link redis}. */
export type RedisBackend = own.RedisBackend;

export const RedisBackend: {
  /** Like `redis(connection)`, but the connection is given later. */
  builder(): own.RedisBackendBuilder;
} = { builder: () => withDefaults(own.RedisBackend.builder()) };

const withDefaults = (builder: own.RedisBackendBuilder): own.RedisBackendBuilder =>
  builder.valueFormat(msgpack()).alsoReads(...SHIPPED);
