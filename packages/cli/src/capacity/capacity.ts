import { COSTS, type Costs } from "./costs.ts";

/** Share of a core that a node may use: the rest is for peaks, and for what other clients send. */
export const FULL_CORE = 0.7;
/** `maxclients` of Redis, unless it is set. */
export const MAX_CLIENTS = 10_000;

/** A service: rates are those of all its processes together, in a second. */
export interface Service {
  readonly processes: number;
  readonly primaries: number;
  readonly keys: number;
  readonly readsPerSecond: number;
  readonly writesPerSecond: number;
  readonly tagCallsPerSecond: number;
  /** Processes that use an entry under a tag before its next invalidation. */
  readonly tagUsers: number;
  /** Processes that read a written key before its next write. */
  readonly holders: number;
  readonly valueBytes: number;
  readonly maxStalenessMs: number;
  /** Keys that one process has read since they last changed, whether or not its memory still has them. */
  readonly copies: number;
  /** Share of reads that memory would answer if nothing changed, 0 to 1. */
  readonly memoryShare: number;
  /** Share of reads that load, 0 to 1. Redis answers all others. */
  readonly loadShare: number;
}

/** Kinds of work of a node. */
export type Work = "heartbeats" | "hits" | "misses" | "writes" | "holders" | "tagEntries" | "tagVersions";

/** A core of the busiest node, its connections, or the reads that memory would answer. */
export type Limit = "core" | "connections" | "memoryTier";

export interface Capacity {
  /** The limit that the service reaches first as it grows. */
  readonly firstLimit: Limit;
  /** The part of each limit that is used: above 1, the service is beyond it. */
  readonly used: Readonly<Record<Limit, number>>;
  /** Cores of the busiest node, the one with the versions of tags. */
  readonly cores: number;
  readonly coresOf: Readonly<Record<Work, number>>;
  /** Share of reads that memory answers, 0 to 1. */
  readonly memoryShare: number;
  /** For each node. `trackedKeys` is the most there can be: no two processes read the same key. */
  readonly node: Readonly<
    Record<"connections" | "trackedKeys" | "entriesBytes" | "trackingBytes" | "connectionsBytes", number>
  >;
  /** Primaries with which no node needs more than 0.7 of a core. `undefined` if no number is enough. */
  readonly primariesNeeded: number | undefined;
}

/** Predicts the load of Redis. Reads are spread over primaries evenly, and all versions of tags are on one node. */
export function capacity(service: Service, costs: Costs = COSTS): Capacity {
  const { processes, primaries, readsPerSecond, memoryShare } = service;
  const changed = readsAfterChanges(service);
  const fromMemory = readsPerSecond * memoryShare;
  const onEach = fixedCores(service, costs);
  const divided = dividedCores(service, costs);
  const coresOf = { ...onEach, ...mapped(divided, (cores) => cores / primaries) };
  const cores = sum(Object.values(coresOf));
  const used = {
    core: cores / FULL_CORE,
    connections: processes / MAX_CLIENTS,
    memoryTier: fromMemory === 0 ? 0 : changed / fromMemory,
  };
  const left = FULL_CORE - sum(Object.values(onEach));
  return {
    firstLimit: (Object.keys(used) as Limit[]).reduce((one, other) => (used[other] > used[one] ? other : one)),
    used,
    cores,
    coresOf,
    memoryShare: Math.max(0, fromMemory - changed) / readsPerSecond,
    node: memoryOf(service, costs),
    primariesNeeded: left > 0 ? Math.max(1, Math.ceil(sum(Object.values(divided)) / left)) : undefined,
  };
}

/** Reads of copies that a change has ended: one for each process that had the copy. */
const readsAfterChanges = ({ writesPerSecond, holders, tagCallsPerSecond, tagUsers }: Service): number =>
  writesPerSecond * holders + tagCallsPerSecond * tagUsers;

/** A process that reads less often than keys change has no copy to lose: the share of changes that end one. */
function noticed(service: Service): number {
  const changed = readsAfterChanges(service);
  return changed === 0 ? 0 : Math.min(1, (service.readsPerSecond * service.memoryShare) / changed);
}

/** Cores that the busiest node needs however many primaries there are. */
function fixedCores(service: Service, costs: Costs): Readonly<Record<"heartbeats" | "tagVersions", number>> {
  const { processes, maxStalenessMs, readsPerSecond, loadShare, tagCallsPerSecond, tagUsers } = service;
  const usesUs = noticed(service) * tagUsers * costs.tagUseAtVersionsUs;
  const loadsAfterCalls = Math.min(tagCallsPerSecond * processes, readsPerSecond * loadShare);
  return {
    heartbeats: (processes * (4_000 / maxStalenessMs) * costs.heartbeatUs) / 1e6,
    tagVersions: (tagCallsPerSecond * (costs.tagCallUs + usesUs) + loadsAfterCalls * costs.loadAfterTagCallUs) / 1e6,
  };
}

/** Cores of all primaries together, for what they share. */
function dividedCores(
  service: Service,
  costs: Costs,
): Readonly<Record<Exclude<Work, "heartbeats" | "tagVersions">, number>> {
  const { readsPerSecond, writesPerSecond, tagCallsPerSecond, tagUsers, holders, memoryShare, loadShare } = service;
  const share = noticed(service);
  const tagUses = share * tagCallsPerSecond * tagUsers;
  return {
    // Not below 0, where both shares are rounded.
    hits: (readsPerSecond * Math.max(0, 1 - memoryShare - loadShare) * costs.hitUs) / 1e6,
    misses: (readsPerSecond * loadShare * costs.missUs) / 1e6,
    writes: (writesPerSecond * costs.setUs) / 1e6,
    holders: (share * writesPerSecond * holders * (costs.pushUs + costs.rereadUs)) / 1e6,
    tagEntries: (tagUses * (costs.tagUseUs - costs.tagUseAtVersionsUs)) / 1e6,
  };
}

function memoryOf(service: Service, costs: Costs): Capacity["node"] {
  const { processes, primaries, keys, valueBytes, copies } = service;
  const held = Math.min(copies, keys);
  const trackedKeys = Math.min(keys, processes * held) / primaries;
  const items = (processes * held) / primaries;
  return {
    connections: processes,
    trackedKeys: Math.round(trackedKeys),
    entriesBytes: Math.round((keys * (costs.entryBytes + valueBytes * costs.valueByteBytes)) / primaries),
    trackingBytes: Math.round(trackedKeys * costs.trackedKeyBytes + items * costs.trackedItemBytes),
    connectionsBytes: Math.round(processes * costs.connectionBytes),
  };
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

const mapped = <K extends string>(record: Readonly<Record<K, number>>, change: (value: number) => number) =>
  Object.fromEntries(Object.entries<number>(record).map(([name, value]) => [name, change(value)])) as Record<K, number>;
