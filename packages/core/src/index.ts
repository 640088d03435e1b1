export { parseDuration, type Duration } from "./duration.ts";
export type { Awaitable } from "./once.ts";
export type { Clock } from "./clock.ts";
export {
  BackendUnavailableError,
  CacheClosedError,
  CacheError,
  ConfigurationError,
  DecodeError,
  EncodeError,
  InvalidArgumentError,
  LoadTimeoutError,
  MissingConnectionError,
  ReentrantLoadError,
  type CacheErrorCode,
  type CacheErrorDetails,
} from "./errors.ts";
export type {
  Backend,
  Batch,
  Coherence,
  CoherenceListener,
  Compressor,
  CompressorOptions,
  DeleteStatus,
  Format,
  Leases,
  StoredEntry,
  TagVersion,
  TagVersions,
} from "./backend.ts";
export type { LocalEntry, LocalTier, LocalTierHost } from "./local-tier.ts";
export { json } from "./formats/json.ts";
export { v8 } from "./formats/v8.ts";
export { passthrough } from "./compressors/passthrough.ts";
export { gzip } from "./compressors/gzip.ts";
export { brotli } from "./compressors/brotli.ts";
export { resolveCompressorOptions, type CompressorLevels } from "./compressors/options.ts";
export { keyOf, type KeyPart } from "./key-of.ts";
export { createCache, type Cache, type CacheBuilder, type CacheOptions, type EmptyCacheBuilder, type LocalCacheBuilder } from "./builder.ts";
export type { CacheEvent, CacheEvents, CacheStats, KeyEvent, Latency, TierState, TierStats } from "./events.ts";
export type { BatchLoader, BatchLoadContext, LoadContext, Loader, NotModified, StaleValue } from "./load.ts";
export { packEntry, unpackEntry } from "./pack.ts";
export { compose, type ComposedBackend, type ComposeOptions } from "./compose.ts";
export type { DeleteManyResult, DeleteResult, InvalidateResult, MarkStaleResult, WriteManyResult, WriteResult } from "./mutations.ts";
export type { Namespace, NamespaceOptions, ValueOf } from "./namespace.ts";
export type { EntryOptions, GetOptions, GetOrSetOptions, Lifetime, Policy, Served } from "./policy.ts";
export type { EntryInfo } from "./reads.ts";
export type { Decision } from "./journal.ts";
export type { StandardSchema } from "./schema.ts";
export type { AnyFunction, Wrapped, WrapKey, WrapOptions } from "./wrap.ts";
