// For packages of hotset, which all have one version: a name that `index.ts` does not hand on may change or go in each
// release. This file is what the package is built into, and the main entry a list of names from it.

export { describe, kindOf, parseDuration, type Duration } from "./primitives/duration.ts";
export type { Awaitable } from "./contracts/awaitable.ts";
export { epochMs, MAX_TIMER_MS, systemClock, type Clock } from "./contracts/clock.ts";
export { Deadline, Deadlines, runningTime, scheduleRunning } from "./primitives/deadlines.ts";
export { within } from "./primitives/within.ts";
export { notify } from "./primitives/event-port.ts";
export { Breaker } from "./primitives/breaker.ts";
export { newId } from "./primitives/ids.ts";
export { contextOfNow, holdProcess, inNoCall, inThisContext, keepAlive } from "./primitives/async-context.ts";
export { builtin, IN_WORKER } from "./primitives/platform.ts";
export { KeyNode, KeyTable } from "./primitives/key-table.ts";
export { Reply } from "./primitives/reply.ts";
export { SizedMap } from "./primitives/sized-map.ts";
export {
  BackendUnavailableError,
  CacheClosedError,
  CacheError,
  ConfigurationError,
  DecodeError,
  EncodeError,
  InvalidArgumentError,
  InvalidValueError,
  LoadTimeoutError,
  MissingConnectionError,
  OverloadedError,
  ReentrantLoadError,
  errorPage,
  type CacheErrorCode,
  type CacheErrorCodes,
  type CacheErrorDetails,
} from "./contracts/errors.ts";
export type {
  Compressor,
  CompressorOptions,
  DeleteStatus,
  Format,
  StableBackend,
  StoredEntry,
} from "./contracts/backend.ts";
export type {
  Backend,
  Batch,
  BreakerPolicy,
  Coherence,
  CoherenceListener,
  KeyWalk,
  Leases,
  Parts,
  LeaseReply,
  LeaseRequest,
  StoredAnswer,
  TagVersion,
  TagVersions,
  WalkedKey,
  WalkedKeys,
} from "./contracts/capabilities.ts";
export type { Seal } from "./contracts/seal.ts";
export type { LocalEntry, LocalTier, LocalTierHost } from "./contracts/local-tier.ts";
export { DEFAULT_MAX_DECODED_BYTES } from "./contracts/backend.ts";
export { decodeLimits, type DecodeLimits } from "./formats/heap-estimate.ts";
export { json } from "./formats/json.ts";
export { passthrough } from "./formats/passthrough.ts";
export { resolveCompressorOptions, type CompressorLevels } from "./formats/compressor-options.ts";
export { keyOf, type KeyPart } from "./entry/key-of.ts";
export { checkKey, checkTags, tagNames, type EntryKey } from "./entry/key.ts";
export {
  checkCache,
  createCache,
  type CacheBuilder,
  type EmptyCacheBuilder,
  type LocalCacheBuilder,
} from "./cache/create-cache.ts";
export { defineBackend } from "./cache/define-backend.ts";
export { type CacheOptions } from "./cache/cache-options.ts";
export { promisesOf, type BackendPromise } from "./cache/backend-promises.ts";
export { kindOfError, messageOf, type CacheLogger } from "./cache/reporter.ts";
export { COUNTS, type KeyGroup } from "./primitives/meters.ts";
export type { Cache, Internals } from "./cache/cache.ts";
export type {
  CacheEvent,
  CacheEvents,
  CacheStats,
  KeyEvent,
  Latency,
  LimitedEvent,
  LoadReason,
  Mismatch,
  NamespaceStats,
  TierState,
  TierStats,
  WhyWrong,
} from "./contracts/events.ts";
export type { BatchLoader, BatchLoadContext, LoadContext, Loader, NotModified, StaleValue } from "./entry/loader.ts";
export { didYouMean, didYouMeanInCache } from "./primitives/did-you-mean.ts";
export {
  anything,
  callback,
  checkGiven,
  checkNames,
  CLOCK,
  duration,
  flag,
  FUNCTION,
  having,
  oneOf,
  option,
  optionsOf,
  readBy,
  readOption,
  readOptions,
  refuse,
  refuseSurplus,
  SIGNAL,
  text,
  timerMs,
  wholeMs,
  wholeNumber,
} from "./primitives/options.ts";
export type { NamesCheck, Option, OptionTable, OptionValues } from "./primitives/options.ts";
export type {
  DeleteManyResult,
  DeleteResult,
  InvalidateResult,
  MarkStaleResult,
  WriteManyResult,
  WriteResult,
} from "./contracts/results.ts";
export type { TouchResult } from "./engine/touch.ts";
export type { Namespace, NamespaceOptions, ValueOf } from "./cache/namespace.ts";
export type { NewKeysOptions } from "./entry/new-keys.ts";
export type {
  ClearOptions,
  EntryOptions,
  Fence,
  GetManyOptions,
  GetOptions,
  GetOrSetManyOptions,
  GetOrSetOptions,
  Lifetime,
  LoadOptions,
  Policy,
  Served,
  SetOptions,
  TouchOptions,
} from "./entry/policy.ts";
export { schemaOf } from "./entry/schema.ts";
export type { EntryInfo } from "./engine/reads.ts";
export type { VerifiedKey, VerifyOptions } from "./engine/verify-options.ts";
export type { AnsweredBy, CallObserver, SeenLoad } from "./engine/call-observer.ts";
export type { HitObserver, SampleBounds } from "./engine/hit-observer.ts";
export type { AgeShare, Outcome, Shape, VerifiedGroup, WriterShare } from "./engine/verify-figures.ts";
export type { Decision } from "./primitives/decision-log.ts";
export type { SchemaChecks, StandardSchema } from "./contracts/standard-schema.ts";
export { wrapFunction, type AnyFunction, type Wrapped, type WrapKey, type WrapOptions } from "./cache/wrap.ts";
export type { Untyped } from "./cache/namespace.ts";
export { keyedHash } from "./primitives/keyed-hash.ts";

// For the entries of this package.
export { lastEpoch } from "./coherence/trust.ts";
export type { FencedBy } from "./contracts/events.ts";
export type { Barrier, EngineContext } from "./engine/context.ts";
export { inLoadOfNoCall } from "./engine/loading.ts";
export type { Entry } from "./entry/entry.ts";
export type { KeySpace } from "./entry/key.ts";
export type { Joined } from "./engine/flight.ts";
export { getOrSetAndJoined } from "./cache/joined-loads.ts";
export { NamespaceView, type NamespacePlace } from "./cache/namespace-view.ts";
export type { FollowedInvalidation, InvalidationFollower } from "./cache/invalidation-followers.ts";
export { MARKED } from "./entry/freshness.ts";
