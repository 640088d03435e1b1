import type { Duration, CacheStats, LoadReason, Mismatch, NamespaceStats, TierState } from "@hotset/core";
import type { FencedBy, VerifiedGroup } from "@hotset/core/internal";

/**
 * The present state of a cache, for people: read-only, and without values. Keys and tags are shown as its events
 * show them: `redactKeys` applies. Instants are milliseconds since 1970.
 *
 * Each list is made when it is asked for. Three are remembered from events while the inspection is open, the last
 * {@link InspectOptions.remember} of each: {@link invalidations}, {@link fallbacks} and the hits of {@link entries}.
 * Calls that do not ask the backend throw nothing.
 */
export interface Inspection {
  /** Name of the cache. */
  readonly name: string;
  /** Whether keys, tags and messages are shown as `redactKeys` says. */
  readonly redactsKeys: boolean;
  /** The result of `cache.stats()`. */
  stats(): CacheStats;
  /** The namespaces that are counted on their own, the root first: at most 1,001. Each includes those below it. */
  namespaces(): readonly NamespaceFigures[];
  /** Groups of `createCache({ keyGroups })`, in that order; a key belongs to the first that matches. */
  groups(): readonly GroupFigures[];
  /**
   * Rates of the last minute, and of the time before: read every five seconds while an inspection or a heartbeat of
   * the cache is open. `undefined` with `remember: 0`.
   */
  figures(): Figures | undefined;
  /** The counts of the last five minutes; `undefined` with `remember: 0`. */
  recent(): Recent | undefined;
  /**
   * Entries of the local tier, in no order. Listing is not a use: it does not affect eviction. Ends early if the tier
   * changes so that it cannot continue; lists nothing where a tier cannot be walked. See {@link canListMemory}.
   */
  entries(): Iterable<MemoryEntry>;
  /** Whether the local tier can be walked: `memory()` can. `false` without one. */
  readonly canListMemory: boolean;
  /**
   * Entries of this cache in the backend, a page at a time, in no order; one that is written meanwhile may be left
   * out, or come twice. It reads keys and lives, no values, and costs the store a walk over its keys: for people, not
   * for programs. Ends when the loop that reads it does.
   *
   * @throws {ConfigurationError} where {@link canListBackend} is `false`.
   * @throws {BackendUnavailableError}
   */
  stored(options?: WalkOptions): AsyncIterable<StoredPage>;
  /** Whether the backend can be walked: Redis and SQLite can. PostgreSQL and stores of Keyv have hashes of keys. */
  readonly canListBackend: boolean;
  /** Calls in progress, the longest wait first: reads, waits and loads, with the callers that share each. */
  loads(): readonly RunningLoad[];
  /** Leases that this process holds, asks for, or waits for because another process holds them. */
  leases(): readonly RunningLease[];
  /** Keys that were served stale since a load failed or took too long, the last one first. Ends with a stored load. */
  fallbacks(): readonly Fallback[];
  /** Keys whose loads are put off, the soonest to end first. */
  backoffs(): readonly Backoff[];
  /** The last call of each tier that failed, with its reason. It may be up again: see its state. */
  failures(): readonly TierFailure[];
  /** Invalidations that this cache has made, or was notified of, the last one first. */
  invalidations(): readonly Invalidation[];
  /**
   * The versions that the backend has of these tags in one namespace: another one after each invalidation. `undefined`
   * for a tag that was never used, and where the backend keeps none.
   *
   * @throws {BackendUnavailableError}
   */
  tagVersions(namespace: readonly string[], tags: readonly string[]): Promise<readonly (string | undefined)[]>;
  /**
   * How often each thing was invalidated in the last minute, the most frequent first: at most 100. Exact for `here`.
   * A cache is notified once of tags that others invalidate, until it uses them again:
   * {@link ProcessRecord.lastMinute} has all of them.
   */
  invalidationCounts(): readonly (InvalidationCount & Pick<Invalidation, "origin">)[];
  /**
   * Calls `listener` on each of {@link invalidations} as it comes, until the returned function is called. An error
   * that it throws is ignored.
   */
  onInvalidation(listener: (invalidation: Invalidation) => void): () => void;
  /**
   * The processes that keep a record with {@link Heartbeat}, this one included, by their names. One trip to the
   * backend. Also names the process in {@link invalidations} from elsewhere, as far as the records say.
   *
   * @throws {BackendUnavailableError}
   */
  processes(): Promise<readonly ProcessRecord[]>;
  /** The records that this process read last, for its heartbeat or for {@link processes}. */
  knownProcesses(): readonly ProcessRecord[];
  /**
   * The last records of processes that wrote none any more, and weren't seen to close: for ten minutes, or until a
   * process of the same name has started. Known as far as this process reads records, for its heartbeat or for
   * {@link processes}.
   */
  lostProcesses(): readonly ProcessRecord[];
  /**
   * The processes that started in the last hour, the last one first, and what each does otherwise than the one before
   * it. Known as {@link lostProcesses} are.
   */
  processStarts(): readonly ProcessStart[];
  /** Why the backend does not take the record of this process; `undefined` if it does, or if there is none. */
  recordFailure(): { readonly since: number; readonly error: string } | undefined;
  /** Whether hits are compared with their source, by `createCache({ verify })` or by a sample that is being taken. */
  readonly verifies: boolean;
  /**
   * What `createCache({ verify })` found in the last 15 minutes, by namespace and group, those with most mismatches
   * first; empty without it.
   */
  verified(): readonly VerifiedGroup[];
  /**
   * Compares the next fresh hits with their source, of a cache without the option `verify` too: until so many were
   * compared, or the time has passed. Calls and namespaces with `verify: false` are left out.
   *
   * @throws {ConfigurationError} for a wrong option, in a worker, and while another sample of the cache is taken.
   */
  verify(options?: SampleOptions): Promise<Verification>;
  /** Ends what it remembers; the lists of the present still work. Idempotent. */
  close(): void;
  [Symbol.dispose](): void;
}

/** Options of `inspect`. */
export interface InspectOptions {
  /**
   * How many invalidations, and how many keys, it remembers: at most 100,000, each some 300 bytes. With 0 it listens to
   * nothing: for figures alone. @default 1_000
   */
  readonly remember?: number | undefined;
  /**
   * The "last minute" of {@link Inspection.figures}: from a second to an hour. The first of a cache counts.
   *
   * @default '1m'
   */
  readonly window?: Duration | undefined;
}

/** Options of {@link Inspection.verify}. */
export interface SampleOptions {
  /** How many values are compared: at most 10,000. @default 100 */
  readonly sample?: number | undefined;
  /** When it ends in any case: from a second to an hour. @default '1m' */
  readonly for?: Duration | undefined;
  /** Loads a minute at most, those that confirm a difference included. @default 600 */
  readonly maxPerMinute?: number | undefined;
  /** Ends it before its time, with what was found until then. */
  readonly signal?: AbortSignal | undefined;
}

/** The result of {@link Inspection.verify}. */
export interface Verification {
  /** How many values were compared. */
  readonly checked: number;
  /** The first 100 that differ. Keys and tags are shown as events show them. */
  readonly mismatches: readonly Mismatch[];
  /** How many differ. */
  readonly different: number;
  /** How many entries changed meanwhile, and say nothing. */
  readonly changed: number;
  /** How many values differ from load to load. */
  readonly unsteady: number;
  /** How many loads failed. */
  readonly failed: number;
  /** How many values are stored for nobody. */
  readonly leftOut: number;
  /** Figures of the last 15 minutes, like {@link Inspection.verified}. */
  readonly groups: readonly VerifiedGroup[];
}

/** Counts of one namespace and those below it. */
export interface NamespaceFigures extends NamespaceStats {
  /** Names from the outside in; empty for the root. */
  readonly namespace: readonly string[];
}

/** Counts of the keys of one group, in all namespaces. */
export interface GroupFigures extends NamespaceStats {
  /** Name of the group. */
  readonly group: string;
}

/** Rates of one cache in the last minute, and before. Plain data: records of processes have it. */
export interface Figures {
  /** When the last of them was read. */
  readonly at: number;
  /** The length of the last minute. */
  readonly windowMs: number;
  /** The root, and the namespaces and groups that differ most from before: at most 16. */
  readonly groups: readonly GroupRates[];
  /** The local one first. */
  readonly tiers: readonly TierRates[];
  /** The largest value written in the last minute, in bytes as encoded. */
  readonly largest?: LargeValue;
  /** The largest value that was written in the last minute, and grows each time; absent for none. */
  readonly growing?: GrowingValue;
  /** The last value of the last minute that could not be stored, such as one that is too large; absent for none. */
  readonly unstorable?: UnstorableValue;
  /** The load of the last minute that had most callers. */
  readonly shared?: SharedLoad;
  /** Loads of the last minute that waited for a slot; absent where none did when it was looked. */
  readonly queued?: QueuedLoads;
  /** How the event loop of the process was held up in the last minute; absent where it was not, or is not known. */
  readonly heldLoop?: HeldLoop;
  /** Seconds of the last three hours in which far more loads began than in others; absent for none. */
  readonly spikes?: LoadSpikes;
  /** What `createCache({ verify })` found, like {@link Inspection.verified}: at most 8. Absent without it. */
  readonly verified?: readonly VerifiedGroup[];
}

/** Rates of a namespace with those below it, or of a group of keys. */
export interface GroupRates {
  /** From the outside in; empty for the root, and for a group. */
  readonly namespace: readonly string[];
  /** Absent for a namespace. */
  readonly group?: string;
  /** Rates of as much of the last minute as has enough calls to judge, at least a quarter of it. */
  readonly recent: Rates;
  /** From the start of the cache until then. */
  readonly before: Rates;
  /** Loads of the last minute that failed, the last error, and the key that failed most. */
  readonly failed?: {
    readonly count: number;
    readonly at: number;
    readonly error: string;
    readonly most?: { readonly key: string; readonly count: number };
  };
  /** The load of `recent` that took longest. */
  readonly slowest?: { readonly key: string; readonly ms: number };
  /** How long calls of the last minute took that a fresh copy in memory did not answer; absent for none. */
  readonly calls?: CallLatencies;
  /** Loads of the last minute that gave `undefined` or `null`; absent for none. */
  readonly empty?: EmptyLoads;
  /**
   * Names of the properties that the last 20 loaded values have, all of them the same. Absent where they differ, and
   * with `redactKeys`.
   */
  readonly fields?: readonly string[];
}

/** How long calls took, by what answered them. */
export interface CallLatencies {
  /** A fresh value of the backend. */
  readonly hit?: CallLatency;
  /** A stale value. */
  readonly stale?: CallLatency;
  /** A load that another call had begun. */
  readonly joined?: CallLatency;
  /** A load of the call itself, with all that it waited for: a slot, a lease, the store. */
  readonly loaded?: CallLatency;
  /** An error. */
  readonly failed?: CallLatency;
}

/** Percentiles of some calls. */
export interface CallLatency {
  /** How many calls. */
  readonly count: number;
  /** Half of them took at most so long. */
  readonly p50Ms: number;
  /** 95 % of them took at most so long. */
  readonly p95Ms: number;
  /** 99 % of them took at most so long. */
  readonly p99Ms: number;
  /** How many took 200 ms or longer. */
  readonly slow: number;
}

/** Loads that gave no value. */
export interface EmptyLoads {
  /** All loads of the last minute that succeeded. */
  readonly loads: number;
  /** How many of them gave `undefined`, which is not cached. */
  readonly nothing: number;
  /** How many of them gave `null`. */
  readonly nulls: number;
  /** How many of both were of keys that had a value. */
  readonly emptied: number;
  /** The time before. */
  readonly before: { readonly loads: number; readonly nulls: number };
  /** The key that was empty most often, if more than once. */
  readonly most?: { readonly key: string; readonly count: number };
}

/** Some time of a {@link GroupRates}. */
export interface Rates {
  /** How long it is. */
  readonly ms: number;
  /** Hits, stale hits and misses. */
  readonly calls: number;
  /** Absent without calls. */
  readonly hitRatio?: number;
  /** The ended ones. */
  readonly loads: number;
  /** How many of them failed. */
  readonly loadErrors: number;
  /** How many of them were of new keys beyond the budget `newKeys`; absent for none. */
  readonly unadmitted?: number;
  /** How many of them `p95Ms` is of. */
  readonly timed: number;
  /** Within it 95 % of them ended; absent for none. */
  readonly p95Ms?: number;
}

/** One tier: counts of the last minute, and its size. */
export interface TierRates {
  /** Label of the tier, as in {@link CacheStats}. */
  readonly label: string;
  /** At the end of that minute. */
  readonly state: TierState;
  /** Reads that found an entry. */
  readonly hits: number;
  /** Reads that found none. */
  readonly misses: number;
  /** Calls that failed. */
  readonly errors: number;
  /** The last error since the cache was built. */
  readonly lastError?: {
    readonly at: number;
    readonly operation: string;
    readonly kind: string;
    readonly message: string;
  };
  /** Absent, as the three below, where the tier counts none. */
  readonly entries?: number;
  /** The option of the tier. */
  readonly maxEntries?: number;
  /** The size of its entries, as the tier estimates it. */
  readonly bytes?: number;
  /** The option of the tier. */
  readonly maxBytes?: number;
  /** Entries that made room for others. */
  readonly evicted?: number;
}

/** Where an entry is. */
interface Place {
  /** From the outside in; empty for the root. */
  readonly namespace: readonly string[];
  /** The key as the caller gave it. */
  readonly key: string;
}

/** A value, by its encoded size. */
export interface LargeValue extends Place {
  /** Encoded. */
  readonly bytes: number;
  /** When it was written. */
  readonly at: number;
  /** The largest one before it, in bytes; 0 for none. */
  readonly before: number;
}

/** A value that a tier cannot store: callers get it, and it is loaded again by each process. */
export interface UnstorableValue extends Place {
  /** Label of the tier. */
  readonly tier: string;
  readonly at: number;
  /** For people. */
  readonly error: string;
  /** How many there were, of any key. */
  readonly count: number;
}

/** A value that nearly every write makes larger. */
export interface GrowingValue extends LargeValue {
  /** When it was written first, as far as this process knows: with the size `before`. */
  readonly since: number;
  /** How often it was written since then, the first time included. */
  readonly stores: number;
}

/** A load with its callers, when it ended. */
export interface SharedLoad extends Place {
  /** The one that began it included. */
  readonly callers: number;
  /** How long it took. */
  readonly ms: number;
  /** When it ended. */
  readonly at: number;
}

/** Loads that wait for one of `maxLoads` slots, or of `maxBackgroundLoads`. It is looked at every five seconds. */
export interface QueuedLoads {
  /** How often some waited. */
  readonly seen: number;
  /** How often it was looked. */
  readonly looks: number;
  /** The most that waited at one time. */
  readonly loads: number;
  /** The most callers that waited for them at one time; absent for an older version of hotset. */
  readonly callers?: number;
  /** The longest that one had waited. */
  readonly forMs: number;
  /** The option of the cache; absent where it bounds nothing. */
  readonly maxLoads?: number;
}

/** Delays of the event loop: meanwhile all calls of the process waited. It is looked at every five seconds. */
export interface HeldLoop {
  /** In how many of the looks it was held up for 200 ms or longer. */
  readonly seen: number;
  /** How often it was looked. */
  readonly looks: number;
  /** The longest delay. */
  readonly longestMs: number;
}

/** Loads that began in one second, far more than in others. */
export interface LoadSpikes extends Place {
  /** When: the last ten, the oldest first. `namespace` and `key` are of the last one. */
  readonly at: readonly number[];
  /** The most that began in one second. */
  readonly loads: number;
  /** How many began in half of the seconds around it, at most. */
  readonly usual: number;
}

/** Counts of the last five minutes, or of the time since the inspection began. */
export interface Recent {
  /** How long that is. */
  readonly ms: number;
  /** Figures of each namespace, like {@link Inspection.namespaces}. */
  readonly namespaces: readonly NamespaceFigures[];
  /** Figures of each group, like {@link Inspection.groups}. */
  readonly groups: readonly GroupFigures[];
  /** Rates of each tier, as in {@link Figures}. */
  readonly tiers: readonly TierRates[];
}

/** Where an entry is: in no tier but this process, until it is asked for again. */
export type MemoryState =
  /** Served immediately. */
  | "fresh"
  /** Served while a load refreshes it, or as fallback. */
  | "stale"
  /** Not served before the backend has confirmed it: it was just stored, or changes may have been missed. */
  | "unconfirmed"
  /** Not served: one of its tags was invalidated, or its life has ended. Removed when it is read next, or soon. */
  | "over";

/** One entry of the local tier. */
export interface MemoryEntry extends Place {
  /** The state in which a call would find the entry now. */
  readonly state: MemoryState;
  /** Since it was loaded or written. */
  readonly ageMs: number;
  /** Negative when stale. */
  readonly freshForMs: number;
  /** Until this copy ends; may be `Infinity`. */
  readonly expiresInMs: number;
  /** Tags of the entry itself, without its namespace. */
  readonly tags: readonly string[];
  /** Size as the tier counts it; absent if the tier counts no bytes. */
  readonly bytes?: number;
  /** Encoded, as the backend has it; absent where it is in memory alone. */
  readonly encodedBytes?: number;
  /** An estimate from one of about 64 hits, since the inspection began. */
  readonly hits: number;
}

/** Which entries a walk through a backend gives. */
export interface WalkOptions {
  /** Only keys that contain this text. @default all */
  readonly search?: string | undefined;
  /** Only entries of this namespace, and below it. @default the root */
  readonly namespace?: readonly string[] | undefined;
  /** Ends it between two pages. */
  readonly signal?: AbortSignal | undefined;
}

/** Some entries of a walk. */
export interface StoredPage {
  /** May be empty. */
  readonly entries: readonly WalkedEntry[];
  /** Keys of the store that were looked at until now, those of others included. */
  readonly looked: number;
  /** About how many there are in all; absent where the store does not say. */
  readonly total?: number;
}

/** One entry of a backend. */
export interface WalkedEntry {
  /** From the outside in; empty for the root. */
  readonly namespace: readonly string[];
  /** The key as the caller gave it; for a hashed key, the readable part that is left. */
  readonly key: string;
  /** Remaining freshness, negative when stale; absent where the store does not keep it apart. */
  readonly freshForMs?: number;
  /** Remaining life; `Infinity` without an end. */
  readonly expiresInMs?: number;
  /** Size in the store, or else of its data; absent where the store does not say. */
  readonly bytes?: number;
}

/** One call in progress for a key, which all of its callers share. */
export interface RunningLoad extends Place {
  /**
   * `reading` from the backend, `queued` for one of `maxLoads` slots, `leasing`: the lease is asked for, `waiting` for
   * the load of another process, `loading`: the loader runs, `storing` its result.
   */
  readonly phase: "reading" | "queued" | "leasing" | "waiting" | "loading" | "storing";
  /** Why it loads. */
  readonly reason: LoadReason;
  /** When its first caller came. */
  readonly startedAt: number;
  /** Since then. */
  readonly forMs: number;
  /** How long its loader has been running; absent until it is called. */
  readonly loadingForMs?: number;
  /** The longest wait first. Empty in the background: its caller was answered with a stale value. */
  readonly callers: readonly WaitingCaller[];
  /** Something newer happened: its result is stored nowhere. */
  readonly fencedBy?: FencedBy;
}

/** One caller of a {@link RunningLoad}. */
export interface WaitingCaller {
  /** Since it called. */
  readonly waitingMs: number;
  /** `false` for the one that began it. */
  readonly isJoined: boolean;
  /** Whether the call was made by another load of this cache. */
  readonly isNested: boolean;
}

/** A lease that this process has to do with. */
export interface RunningLease extends Place {
  /** `asked`: no answer yet. `held` by this process. `elsewhere`: another process holds it, and a load here waits. */
  readonly state: "asked" | "held" | "elsewhere";
  /** In this state. */
  readonly forMs: number;
  /** Callers of this process that wait for its end. */
  readonly callers: number;
}

/** A key that is served stale in place of a load that failed. */
export interface Fallback extends Place {
  /** Whether the load failed, or took too long. */
  readonly cause: "error" | "timeout";
  /** When it was served so first, and last. */
  readonly since: number;
  readonly lastAt: number;
  /** How many calls got it. */
  readonly served: number;
  /** Name and message of the error of the last load that failed, for people. Absent if none was seen. */
  readonly error?: { readonly name: string; readonly message: string };
}

/** A key whose loads are put off. */
export interface Backoff extends Place {
  /**
   * `failed`: within `errorBackoff` of a load that failed. `refused`: its last error must reach the callers, so they
   * get no stale value before a load succeeds. `background`: no load in the background yet. `unshared`: its last value
   * was for one caller, so each loads for itself.
   */
  readonly cause: "failed" | "refused" | "background" | "unshared";
  /** How long that lasts, unless a load ends it. */
  readonly forMs: number;
  /** The error, as in {@link Fallback.error}; absent if it was not kept. */
  readonly error?: { readonly name: string; readonly message: string };
}

/** An invalidation of a key, of tags or of a namespace. */
export interface Invalidation {
  /** When this process made it, or was notified. */
  readonly at: number;
  /** From the outside in; empty for the root. */
  readonly namespace: readonly string[];
  /** The kind of thing that it names. */
  readonly scope: "key" | "tags" | "namespace";
  /** For one elsewhere always `remove`: which it was is not reported. */
  readonly mode: "remove" | "stale";
  /** For a key. */
  readonly key?: string;
  /** For tags. */
  readonly tags?: readonly string[];
  /** `here`: this process. */
  readonly origin: "here" | "elsewhere";
  /** The name of the process: of this one, or of another whose record says so; absent while that is not known. */
  readonly process?: string;
}

/** How often a key, a list of tags or a namespace was invalidated in the last minute. */
export interface InvalidationCount extends Pick<Invalidation, "namespace" | "scope" | "key" | "tags"> {
  /** In the last minute. */
  readonly times: number;
  /** The last of them. */
  readonly lastAt: number;
}

/** A call of a tier that failed. */
export interface TierFailure {
  /** Label of the tier. */
  readonly tier: string;
  /** When it failed. */
  readonly at: number;
  /** The operation that failed, such as `read`. */
  readonly operation: string;
  /** The code of its error; of a refusal `BACKEND_REFUSED`, or `BACKEND_ACCESS` where credentials are refused. */
  readonly kind: string;
  /** For people, as the logger of the cache gets it. */
  readonly message: string;
}

/** A record that a process keeps in the backend: see `heartbeat`. */
export interface ProcessRecord {
  /** Unique to one start of the process. */
  readonly id: string;
  /** The name given to `heartbeat`; by default the host name and the process id. */
  readonly name: string;
  /** Version of hotset. */
  readonly version: string;
  /** Version of the runtime, such as `v24.1.0`. */
  readonly runtime: string;
  /** By the clock of the process that reads it. */
  readonly startedAt: number;
  /** When the record was written, by the clock of the process that reads it. */
  readonly at: number;
  /** How old it was when it was read, as the backend counts. */
  readonly ageMs: number;
  /**
   * How far the clock of that process is ahead of the clock of the process that reads it; negative where it is behind.
   * Within the time of two calls of the backend.
   */
  readonly clockAheadMs: number;
  /** Whether the record is of this process. */
  readonly isOwn: boolean;
  /** How its backend reports changes: `tracking`, `pubsub` or `changes`; `none` where it does not. */
  readonly coherence: string;
  /**
   * Whether its local copies may be served now, without asking the backend: of all keys, of `some` (a part of a cluster
   * is lost), or of none. `always` where changes are not reported: until their `localTtl` ends.
   */
  readonly trust: "all" | "some" | "none" | "always";
  /** State of its backend. */
  readonly state: TierState;
  /** Since its cache was built. */
  readonly hits: number;
  /** Since its cache was built. */
  readonly staleHits: number;
  /** Since its cache was built. */
  readonly misses: number;
  /** Since its cache was built. */
  readonly loads: number;
  /** Since its cache was built. */
  readonly loadErrors: number;
  /** `NaN` before the first call. */
  readonly hitRatio: number;
  /** Callers that wait. */
  readonly waiting: number;
  /** Invalidations that wait for the backend. */
  readonly pending: number;
  /** Entries in its memory; absent without a local tier. */
  readonly entries?: number;
  /**
   * The last invalidations of this process itself, at most 50, latest first; their `at` is by its own clock. Those of
   * keys make room for those of tags and namespaces.
   */
  readonly invalidations: readonly Omit<Invalidation, "origin" | "process">[];
  /**
   * How often it invalidated what, in the minute before `at`, the most frequent first: at most 20. By the clock of the
   * process that reads it.
   */
  readonly lastMinute: readonly InvalidationCount[];
  /** The time between two of its records; absent for an older version of hotset, as are its figures. */
  readonly everyMs?: number;
  /** Rates of the cache, if it is inspected or keeps a record. */
  readonly figures?: Figures;
  /** What decides its answers, by name: release, format, compression, coherence, defaults and the like. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** A process that started, by its records. */
export interface ProcessStart {
  /** Unique to this start. */
  readonly id: string;
  /** The name in its record; the next process may have the same. */
  readonly name: string;
  /** By the clock of the process that reads it. */
  readonly startedAt: number;
  /** When its last record was written. */
  readonly lastAt: number;
  /** Whether that record is recent. */
  readonly isLiving: boolean;
  /** Its settings that differ from those of the last process that had started before it, of the same name if there is one. */
  readonly changed: readonly { readonly setting: string; readonly was: string; readonly is: string }[];
}

/** Options of `heartbeat`. */
export interface HeartbeatOptions {
  /** Name of the process. @default host name and process id */
  readonly name?: string | undefined;
  /** Between two records; from a second to an hour. A record ends when three of them are missing. @default '10s' */
  readonly every?: Duration | undefined;
  /** The span that rates cover, like {@link InspectOptions.window}. @default '1m' */
  readonly window?: Duration | undefined;
  /**
   * How many of its most hit keys the record names, for {@link warm} in a process that starts: at most 10,000, and
   * 64 KiB. A hit costs one call more. None with `redactKeys`. @default 0
   */
  readonly hottest?: number | undefined;
  /**
   * Names what runs, such as a commit: processes of one cache are compared by it. @default the first that is set of the
   * variables `RELEASE`, `GIT_COMMIT`, `GIT_SHA`, `COMMIT_SHA`, `SOURCE_VERSION` and those of some hosts
   */
  readonly release?: string | undefined;
}

/** A record that is kept up to date. */
export interface Heartbeat {
  /** The name of the process in its records. */
  readonly name: string;
  /** Removes the record, and writes no more. Never rejects. Idempotent. */
  stop(): Promise<void>;
}
