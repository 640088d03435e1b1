// For writers of stores, formats and seals; users of a cache need none of it. What stores may do beyond it is in
// `hotset/backend/unstable`.

export { defineBackend } from "@hotset/core";
export { fromSwap } from "./from-swap.ts";
export { packEntry, unpackEntry } from "@hotset/core/stores";
export { Deadline, Deadlines, decodeLimits, promisesOf, resolveCompressorOptions } from "@hotset/core/stores";
export type { BackendPromise, CompressorLevels, DecodeLimits } from "@hotset/core/stores";
export type { Awaitable, Clock, Compressor, CompressorOptions, Format, Seal } from "@hotset/core";
export type { DeleteStatus, StableBackend, StoredEntry } from "@hotset/core";
export type { LocalEntry, LocalTier, LocalTierHost } from "@hotset/core";
export type { FromSwapOptions, SwapLogOptions, SwapRecord, SwapStore } from "@hotset/core/stores";
