export { heartbeat } from "./heartbeat.ts";
export { inspect } from "./inspect.ts";
export type {
  Backoff,
  Fallback,
  GroupFigures,
  Heartbeat,
  HeartbeatOptions,
  Inspection,
  InspectOptions,
  Invalidation,
  InvalidationCount,
  MemoryEntry,
  MemoryState,
  NamespaceFigures,
  ProcessRecord,
  RunningLease,
  RunningLoad,
  StoredPage,
  TierFailure,
  WaitingCaller,
  WalkedEntry,
  WalkOptions,
} from "./inspection.ts";
