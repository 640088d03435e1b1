// The capabilities of a store that keeps more promises across processes than `hotset/backend` asks for: leases, tag
// versions, reports of changes, parts, batches. They may change with a minor version; `fromSwap` of `hotset/backend`
// makes leases and tag versions out of four methods that do not.

export { markedStale, pollChanges } from "@hotset/core/stores";
export type { Backend, Batch, BreakerPolicy, Parts, StoredAnswer } from "@hotset/core";
export type {
  Coherence,
  CoherenceListener,
  LeaseReply,
  LeaseRequest,
  Leases,
  TagVersion,
  TagVersions,
} from "@hotset/core";
export type { KeyWalk, WalkedKey, WalkedKeys } from "@hotset/core";
export type { Changes, PollChangesOptions, PolledChanges } from "@hotset/core/stores";
