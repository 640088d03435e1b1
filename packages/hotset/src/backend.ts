// For writers of stores, formats and seals; users of a cache need none of it.

export { defineBackend } from "@hotset/core";
export { fromSwap, markedStale, packEntry, pollChanges, unpackEntry } from "@hotset/core/stores";
export { Deadline, Deadlines, decodeLimits, promisesOf, resolveCompressorOptions } from "@hotset/core/stores";
export type { BackendPromise, CompressorLevels, DecodeLimits } from "@hotset/core/stores";
export type { Awaitable, Clock, Compressor, CompressorOptions, Format, Seal } from "@hotset/core";
export type { Backend, Batch, BreakerPolicy, DeleteStatus, StoredEntry } from "@hotset/core";
export type { Coherence, CoherenceListener, Leases, Parts, TagVersion, TagVersions } from "@hotset/core";
export type { KeyWalk, WalkedKey, WalkedKeys } from "@hotset/core";
export type { LocalEntry, LocalTier, LocalTierHost } from "@hotset/core";
export type { Changes, PollChangesOptions, PolledChanges } from "@hotset/core/stores";
export type { FromSwapOptions, SwapRecord, SwapStore } from "@hotset/core/stores";
