export {
  Deadline,
  Deadlines,
  decodeLimits,
  promisesOf,
  resolveCompressorOptions,
  type BackendPromise,
  type CompressorLevels,
  type DecodeLimits,
} from "@hotset/core/internal";
export { fromSwap, type FromSwapOptions, type SwapLogOptions } from "./from-swap.ts";
export { markedStale } from "./marked-stale.ts";
export { packEntry, unpackEntry } from "./packed-entry.ts";
export { pollChanges, type Changes, type PollChangesOptions, type PolledChanges } from "./poll-changes.ts";
export type { SwapRecord, SwapStore } from "./swap-store.ts";
