export { createCache, json, keyOf, parseDuration, passthrough } from "@hotset/core";
export type { Cache, CacheLogger, CacheOptions, CacheStats, Duration, Namespace, NamespaceOptions } from "@hotset/core";
export type { CacheBuilder, EmptyCacheBuilder, LocalCacheBuilder } from "@hotset/core";
export type {
  CacheEvents,
  EntryInfo,
  NewKeysOptions,
  SchemaChecks,
  StandardSchema,
  WrapOptions,
  Wrapped,
} from "@hotset/core";
export type { EntryOptions, Fence, Policy, Served } from "@hotset/core";
export type { GetManyOptions, GetOptions, GetOrSetManyOptions, GetOrSetOptions } from "@hotset/core";
export type { ClearOptions, SetOptions, TouchOptions } from "@hotset/core";
// Results of calls: a program that emits declarations has to name it.
export type { Backend, Compressor, Format, LocalTier, Seal } from "@hotset/core";
export type { Decision, DeleteManyResult, DeleteResult, InvalidateResult, MarkStaleResult } from "@hotset/core";
export type { Mismatch, VerifyOptions } from "@hotset/core";
export type { NamespaceStats, TouchResult, WriteManyResult, WriteResult } from "@hotset/core";
export type { BatchLoadContext, BatchLoader, LoadContext, Loader, NotModified } from "@hotset/core";
export { BackendUnavailableError, CacheClosedError, CacheError, ConfigurationError, DecodeError } from "@hotset/core";
export { EncodeError, InvalidArgumentError, InvalidValueError, LoadTimeoutError } from "@hotset/core";
export { MissingConnectionError, OverloadedError, ReentrantLoadError, type CacheErrorCode } from "@hotset/core";
export { compose, type ComposeOptions } from "@hotset/compose";
export { brotli, gzip, v8 } from "@hotset/formats";
export { msgpack } from "@hotset/formats/msgpack";
export { zstd } from "@hotset/formats/zstd";
export { memory, type MemoryOptions } from "@hotset/memory";
export { cluster, fromClient, sentinel, single } from "@hotset/redis";
export type { ClientConnection, Connection, RedisBackendBuilder, ServerAddress } from "@hotset/redis";
export { redis, RedisBackend } from "./redis.ts";
export { aesGcm, hmac, sealed, type SealKey } from "@hotset/seal";
export { sqlite } from "./sqlite.ts";
export type { SqliteOptions } from "@hotset/sqlite";
