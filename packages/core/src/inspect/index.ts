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
  MemoryEntry,
  MemoryState,
  NamespaceFigures,
  ProcessRecord,
  RunningLease,
  RunningLoad,
  StoredPage,
  WaitingCaller,
  WalkedEntry,
  WalkOptions,
} from "./inspection.ts";
