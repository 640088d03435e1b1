import { brotli, gzip, json, type Compressor, type Format } from "@hotset/core";
import { msgpack } from "@hotset/msgpack";
import * as own from "@hotset/redis";
import { zstd } from "@hotset/zstd";

/** All that this package ships, but for `v8()`: bytes of a shared store are not trusted with it unless somebody asks. */
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
  /** `redis(connection)` without its connection yet. */
  builder(): own.RedisBackendBuilder;
} = { builder: () => withDefaults(own.RedisBackend.builder()) };

const withDefaults = (builder: own.RedisBackendBuilder): own.RedisBackendBuilder =>
  builder.valueFormat(msgpack()).alsoReads(...SHIPPED);
