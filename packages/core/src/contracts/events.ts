import type { CacheError, DecodeError } from "./errors.ts";

export interface CacheEvent {
  readonly cache: string;
  readonly namespace: readonly string[];
}

export interface KeyEvent extends CacheEvent {
  /** For logs. Not for metric labels: the number of keys is unbounded. */
  readonly key: string;
}

/** An event of which at most 10 a second are emitted in one cache. */
export interface LimitedEvent {
  /** How many of its kind were left out before this one. Absent for none. */
  readonly omitted?: number;
}

/** Each call counts as exactly one `hit`, `stale` or `miss`. No event carries a value. */
export interface CacheEvents {
  hit: KeyEvent & { readonly tier: string; readonly durationMs: number };
  stale: KeyEvent & {
    readonly tier: string;
    readonly durationMs: number;
    readonly cause: "revalidating" | "error" | "timeout";
  };
  miss: KeyEvent & { readonly durationMs: number };
  /** `no-store` also if the loader returned `undefined`. */
  load: KeyEvent & {
    readonly reason: LoadReason;
    readonly background: boolean;
    readonly durationMs: number;
    readonly result: "stored" | "not-modified" | "no-store" | "fenced" | "refused";
  };
  /** Once per failed load, with or without waiting callers. */
  "load:error": KeyEvent &
    LimitedEvent & {
      readonly reason: LoadReason;
      readonly background: boolean;
      readonly durationMs: number;
      readonly error: unknown;
    };
  store: KeyEvent & { readonly tier: string; readonly durationMs: number; readonly bytes?: number };
  /** A result was not stored because of a newer write or invalidation. */
  fenced: KeyEvent & { readonly by: "set" | "delete" | "stale" | "tags" | "clear" | "lease" };
  coalesced: KeyEvent;
  invalidate: CacheEvent & {
    readonly scope: "key" | "tags" | "namespace";
    readonly mode: "remove" | "stale";
    readonly origin: "here" | "elsewhere";
    readonly key?: string;
    readonly tags?: readonly string[];
  };
  /** `key` where one value could not be encoded, cloned or kept. */
  "backend:error": CacheEvent &
    LimitedEvent & {
      readonly tier: string;
      readonly operation: string;
      readonly error: CacheError;
      readonly key?: string;
    };
  "backend:state": CacheEvent & { readonly tier: string; readonly state: TierState };
  "decode:error": KeyEvent & LimitedEvent & { readonly tier: string; readonly error: DecodeError };
  /**
   * A class instance was written that other processes get as a plain object: once for each place, up to 100 places.
   * `place` is its path, `items[].price`; `""` for the whole value.
   */
  "class:lost": KeyEvent & { readonly tier: string; readonly place: string; readonly className: string };
  evict: KeyEvent & { readonly tier: string; readonly reason: "entries" | "bytes" };
  /** Invalidations that waited for the backend were replayed; on overflow the namespace was cleared instead. */
  recover: CacheEvent & { readonly tier: string; readonly replayed: number; readonly overflowed: boolean };
}

/**
 * - `idle`: not used yet
 * - `up`: answers
 * - `detached`: answers, but reports no changes, so a local copy is served only after a check with the backend
 * - `degraded`: a part of it, such as a primary of a cluster, is unreachable or reports no changes; the others are up
 * - `down`: the circuit breaker is open, or no call was answered yet and one failed
 * - `bypassed`: not used, by `cache.bypass`
 */
export type TierState = "idle" | "up" | "detached" | "degraded" | "down" | "bypassed";

/** Counts and latencies of a namespace and those below it, since its cache was built. */
export interface NamespaceStats {
  readonly hits: number;
  readonly staleHits: number;
  readonly misses: number;
  /** (hits + staleHits) / all; `NaN` before the first call. */
  readonly hitRatio: number;
  readonly loads: number;
  readonly loadErrors: number;
  readonly coalesced: number;
  readonly fenced: number;
  /** Calls refused because `maxWaiting` others waited. */
  readonly overloaded: number;
  /** Loads that succeeded: the time of the loader alone. */
  readonly loadLatency: Latency;
}

/** Counts and latencies of a cache since `build`, all namespaces included. */
export interface CacheStats extends NamespaceStats {
  /** Callers that wait now. */
  readonly waiting: number;
  /** Invalidations that wait for a backend. */
  readonly pending: number;
  readonly tiers: readonly TierStats[];
}

export interface TierStats {
  readonly label: string;
  readonly state: TierState;
  readonly hits: number;
  readonly misses: number;
  readonly errors: number;
  /** Known for local tiers only. */
  readonly entries?: number;
  /** Known where bytes are counted. */
  readonly bytes?: number;
  readonly latency: { readonly read: Latency; readonly write: Latency; readonly remove: Latency };
}

export interface Latency {
  readonly count: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
}

/** Why a load runs. */
export type LoadReason = "miss" | "stale" | "refresh-ahead" | "forced";

/** Cause that kept a result from being stored. */
export type FencedBy = CacheEvents["fenced"]["by"];

/** Context of one load or one backend call, published on its tracing channel from start to end. */
export interface Traced extends CacheEvent {
  readonly key?: string;
  readonly tier?: string;
  readonly operation?: string;
  readonly reason?: LoadReason;
  readonly background?: boolean;
}
