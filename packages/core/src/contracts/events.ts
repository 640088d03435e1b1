import type { CacheError, DecodeError } from "./errors.ts";

/** The part that all events share. */
export interface CacheEvent {
  /** Name of the cache. */
  readonly cache: string;
  /** Names of the namespaces, from the outermost to the innermost; empty for the root. */
  readonly namespace: readonly string[];
}

/** The part that all events about one key share. */
export interface KeyEvent extends CacheEvent {
  /** The key, for logs. Do not use it as a metric label: the number of keys is unbounded. */
  readonly key: string;
}

/**
 * An event of which a cache emits at most 10 a second for each `code` of a {@link CacheError}. Other errors count as
 * one code, and so do events without an error.
 */
export interface LimitedEvent {
  /** How many of its kind and code were left out before this one. Absent for none. */
  readonly omitted?: number;
}

/** Each call counts as exactly one `hit`, `stale` or `miss`. No event carries a value. */
export interface CacheEvents {
  /** A call was answered with a fresh value. */
  hit: KeyEvent & { readonly tier: string; readonly durationMs: number };
  /** A call was answered with a stale value. */
  stale: KeyEvent & {
    readonly tier: string;
    readonly durationMs: number;
    /** Why the value was stale, as in {@link Served}. */
    readonly cause: "revalidating" | "error" | "timeout" | "age" | "marked";
  };
  /** A call was answered by a load, found nothing, or rejected. */
  miss: KeyEvent & { readonly durationMs: number };
  /** A load ended, and its value was stored or not; `no-store` also if the loader returned `undefined`. */
  load: KeyEvent & {
    readonly reason: LoadReason;
    readonly background: boolean;
    readonly durationMs: number;
    readonly result: "stored" | "not-modified" | "no-store" | "not-shared" | "fenced" | "refused";
  };
  /** A load failed, with or without waiting callers: once per load. */
  "load:error": KeyEvent &
    LimitedEvent & {
      readonly reason: LoadReason;
      readonly background: boolean;
      readonly durationMs: number;
      readonly error: unknown;
    };
  /**
   * A load begins without the lease that it asked for, or would have: other processes may load the same key, and the
   * backend keeps nothing of it. Not for loads of a cache that is closing, bypasses the backend, or shares nothing.
   */
  "load:unleased": KeyEvent &
    LimitedEvent & {
      readonly tier: string;
      /** `unreachable`: it did not answer in time, or was not asked. `refused`: it answered, and granted no lease. */
      readonly cause: "unreachable" | "refused";
    };
  /**
   * A key that no tier knew was loaded and is kept nowhere: the budget of new keys of its namespace is spent, and this
   * was its first miss of late. Counted in {@link NamespaceStats.unadmitted}.
   */
  "load:unadmitted": KeyEvent & LimitedEvent;
  /** A tier has taken an entry. */
  store: KeyEvent & { readonly tier: string; readonly durationMs: number; readonly bytes?: number };
  /** A result was not stored because of a newer write or invalidation, or of a transaction that is open. */
  fenced: KeyEvent & { readonly by: "set" | "delete" | "stale" | "tags" | "clear" | "lease" | "transaction" };
  /** A call joined the flight of another: reported within that call, before it returns. */
  coalesced: KeyEvent;
  /** A value that was served fresh differs from what its source gives, as `createCache({ verify })` found. */
  mismatch: Mismatch;
  /**
   * An entry was changed or removed here, or a copy was dropped because its entry changed elsewhere; or tags, or a
   * namespace, were invalidated: elsewhere, as far as this cache knew their versions.
   */
  invalidate: CacheEvent & {
    readonly scope: "key" | "tags" | "namespace";
    /** For a change elsewhere it is always `remove`: which one it was is not reported. */
    readonly mode: "remove" | "stale";
    /** Own changes are `here`, once, when they are called. */
    readonly origin: "here" | "elsewhere";
    readonly key?: string;
    readonly tags?: readonly string[];
  };
  /**
   * A call of a backend failed or was refused; with `key` where one value could not be encoded, cloned or kept. Or a
   * local tier broke its contract.
   */
  "backend:error": CacheEvent &
    LimitedEvent & {
      readonly tier: string;
      readonly operation: string;
      readonly error: CacheError;
      readonly key?: string;
    };
  /** The state of a tier changed. */
  "backend:state": CacheEvent & { readonly tier: string; readonly state: TierState };
  /** A stored entry cannot be read: once for each key, until it is written again. */
  "decode:error": KeyEvent & LimitedEvent & { readonly tier: string; readonly error: DecodeError };
  /** The local tier dropped an entry to make room. */
  evict: KeyEvent & { readonly tier: string; readonly reason: "entries" | "bytes" };
  /**
   * More invalidations wait for the backend, or were acknowledged within `reissueWindow`, than are remembered. Once,
   * until those that are pending were replayed.
   */
  "pending:overflow": CacheEvent & {
    readonly tier: string;
    /**
     * `clear`: all entries of the cache are removed in their place, for every process. `forget`: the backend keeps no
     * tag versions; the oldest are forgotten, so older entries may stay there until they expire.
     */
    readonly effect: "clear" | "forget";
  };
  /** `close` gave up so many changes that the backend has not acknowledged: it may have older entries of their keys. */
  "pending:lost": CacheEvent & { readonly tier: string; readonly count: number };
  /** Invalidations that waited for the backend were replayed. `overflowed`: there were more, see `pending:overflow`. */
  recover: CacheEvent & { readonly tier: string; readonly replayed: number; readonly overflowed: boolean };
}

/** A fresh value that differs from what its source gives; see `createCache({ verify })`. */
export interface Mismatch extends KeyEvent {
  /** The group of the key, with `keyGroups`. */
  readonly group?: string;
  /** Label of the tier that served it. */
  readonly tier: string;
  /** How old the entry was. Absent for one whose `ttl` is `Infinity`. */
  readonly ageMs?: number;
  /** Tags of the entry. */
  readonly tags: readonly string[];
  /** Names of the properties that differ, outer ones first: at most 10. None where a value differs as a whole. */
  readonly fields: readonly string[];
  /**
   * `wrong`: no time that was allowed explains it; `why` says how that is known. `drift`: the source changed since the
   * entry was loaded, within the time that is allowed. `unclear`: one of the two, which the share of mismatches by age
   * shows over many.
   */
  readonly verdict: "wrong" | "drift" | "unclear";
  /** Absent unless the verdict is `wrong`. */
  readonly why?: WhyWrong;
  /** The namespace in which the key or tag was invalidated, if `why` is `other-namespace`. */
  readonly otherNamespace?: readonly string[];
  /** How long the source has had another value, where `verify.version` gives the instant of its last change. */
  readonly changedMs?: number;
  /** Whether this process wrote the entry; absent where the backend keeps no versions. */
  readonly isOwn?: boolean;
  /** The first letters of the id that the record of the process has that wrote the entry. */
  readonly writer?: string;
}

/**
 * How it is known that a value is wrong:
 *
 * - `loaded-wrong`: the source had another value before the entry was loaded
 * - `not-invalidated`: the source has had another value for longer than `verify.accepts`
 * - `other-namespace`: since the entry was loaded, the same key or tag was invalidated in another namespace alone
 * - `early-delete`: the entry was loaded within a second after its key was deleted, so the source was changed after that
 * - `copy-behind`: the backend has another entry than the copy in the memory of this process
 * - `shared-key`: two calls of this key have loaders that give different values
 */
export type WhyWrong =
  | "loaded-wrong"
  | "not-invalidated"
  | "other-namespace"
  | "early-delete"
  | "copy-behind"
  | "shared-key";

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
  /** Calls that a fresh value answered. */
  readonly hits: number;
  /** Calls that a stale value answered. */
  readonly staleHits: number;
  /** Calls that a load answered, that found nothing, or that rejected. */
  readonly misses: number;
  /** (hits + staleHits) / all; `NaN` before the first call. */
  readonly hitRatio: number;
  /** Loads that began here; a batch counts each item. */
  readonly loads: number;
  /** Loads that failed, or took longer than `loadTimeout`. */
  readonly loadErrors: number;
  /** Calls that joined the load of another call. */
  readonly coalesced: number;
  /** Results that were not stored, since something newer had happened. */
  readonly fenced: number;
  /** Fresh hits that were compared with the source, see `createCache({ verify })`. */
  readonly verified: number;
  /** How many of those had a value that differed. */
  readonly mismatches: number;
  /** Calls refused because `maxWaiting` others waited. */
  readonly overloaded: number;
  /** Calls that were taken for a miss, since most before were, and found an entry: one trip more for each. */
  readonly mispredicted: number;
  /** Loads of new keys beyond the budget `newKeys`: their results are kept nowhere. */
  readonly unadmitted: number;
  /** Loads that succeeded: the time of the loader alone. */
  readonly loadLatency: Latency;
}

/** Counts and latencies of a cache since `build`, all namespaces included. */
export interface CacheStats extends NamespaceStats {
  /** Callers that wait now. */
  readonly waiting: number;
  /** Invalidations that wait for a backend. */
  readonly pending: number;
  /** The nearest first. */
  readonly tiers: readonly TierStats[];
}

/** Counts and latencies of one tier. */
export interface TierStats {
  /** The label by which events and errors name the tier. */
  readonly label: string;
  /** At present. */
  readonly state: TierState;
  /** Calls that this tier answered. */
  readonly hits: number;
  /** Calls that passed it without an answer. */
  readonly misses: number;
  /** Calls that failed, and entries that could not be decoded. */
  readonly errors: number;
  /** Known for local tiers only. */
  readonly entries?: number;
  /** Known where bytes are counted. */
  readonly bytes?: number;
  /** Answered calls alone. */
  readonly latency: { readonly read: Latency; readonly write: Latency; readonly remove: Latency };
}

/** Percentiles of the durations of some calls. */
export interface Latency {
  /** How many calls. */
  readonly count: number;
  /** Half of them took at most so long; `NaN` before the first. */
  readonly p50Ms: number;
  /** 95 % of them took no longer. */
  readonly p95Ms: number;
  /** 99 % of them took no longer. */
  readonly p99Ms: number;
}

/** Why a load runs. `verify`: its value is compared with the one that was served, and is stored nowhere. */
export type LoadReason = "miss" | "stale" | "refresh-ahead" | "forced" | "verify";

/** Cause that kept a result from being stored. */
export type FencedBy = CacheEvents["fenced"]["by"];

/** Context of one call, load or backend call, published on its tracing channel from start to end. */
export interface Traced extends CacheEvent {
  readonly key?: string;
  readonly tier?: string;
  readonly operation?: string;
  readonly reason?: LoadReason;
  readonly background?: boolean;
}
