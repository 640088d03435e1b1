// The names for users of a cache, and for writers of stores, tiers, formats and seals.

export { createCache, defineBackend, json, keyOf, parseDuration, passthrough, systemClock } from "./internal.ts";
export type { Awaitable, Clock, Duration, KeyPart, SchemaChecks, StandardSchema } from "./internal.ts";
export type { Cache, CacheLogger, CacheOptions, CacheStats, Namespace, NamespaceOptions, ValueOf } from "./internal.ts";
export type { CacheBuilder, EmptyCacheBuilder, LocalCacheBuilder } from "./internal.ts";
export type { NewKeysOptions, WrapOptions, Wrapped } from "./internal.ts";

export type { EntryOptions, Fence, Lifetime, LoadOptions, Policy, Served } from "./internal.ts";
export type { GetManyOptions, GetOptions, GetOrSetManyOptions, GetOrSetOptions } from "./internal.ts";
export type { ClearOptions, SetOptions, TouchOptions } from "./internal.ts";
export type { BatchLoadContext, BatchLoader, LoadContext, Loader, NotModified, StaleValue } from "./internal.ts";
export type { DeleteManyResult, DeleteResult, InvalidateResult, MarkStaleResult } from "./internal.ts";
export type { TouchResult, WriteManyResult, WriteResult } from "./internal.ts";

export type { CacheEvent, CacheEvents, Decision, EntryInfo, LoadReason, Mismatch, WhyWrong } from "./internal.ts";
export type { VerifiedKey, VerifyOptions } from "./internal.ts";
export type { KeyGroup, Latency, NamespaceStats, TierState, TierStats } from "./internal.ts";

export { BackendUnavailableError, CacheClosedError, CacheError, ConfigurationError } from "./internal.ts";
export { DecodeError, EncodeError, InvalidArgumentError, InvalidValueError, LoadTimeoutError } from "./internal.ts";
export { MissingConnectionError, OverloadedError, ReentrantLoadError } from "./internal.ts";
export type { CacheErrorCode, CacheErrorCodes } from "./internal.ts";

export type { DeleteStatus, StableBackend, StoredEntry } from "./internal.ts";
export type { Backend, Batch, BreakerPolicy, LeaseReply, LeaseRequest, StoredAnswer } from "./internal.ts";
export type { Coherence, CoherenceListener, Leases, Parts, TagVersion, TagVersions } from "./internal.ts";
export type { KeyWalk, WalkedKey, WalkedKeys } from "./internal.ts";
export type { LocalEntry, LocalTier, LocalTierHost } from "./internal.ts";
export type { Compressor, CompressorOptions, Format, Seal } from "./internal.ts";
