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
export { fromSwap } from "./from-swap.ts";
export { markedStale } from "./marked-stale.ts";
export type { FromSwapOptions, PollChangesOptions, SwapLogOptions } from "./options.ts";
export { packEntry, unpackEntry } from "./packed-entry.ts";
export { pollChanges, type Changes, type PolledChanges } from "./poll-changes.ts";
export type { SwapRecord, SwapStore } from "./swap-store.ts";
