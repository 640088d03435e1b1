import type {
  Backoff,
  Fallback,
  GroupFigures,
  GroupRates,
  NamespaceFigures,
  ProcessRecord,
  RunningLease,
} from "@hotset/core/inspect";
import type { HttpCacheStats } from "@hotset/http";
import type { ModuleCounts } from "@hotset/redis-toolkit";
import type { Check, RedisStats, ServerInfo } from "@hotset/redis-toolkit/health";
import type { JobSnapshot, JobState } from "@hotset/redis-toolkit/queue";
import type { Sample } from "./history.ts";
import type { InvalidationsPage } from "./invalidations.ts";
import type { Mark } from "./marks.ts";
import type { ServerEvents } from "./server-watch.ts";

// Everything that the server sends to the page. `Infinity` and `NaN` are `null` in JSON.

export const PAGES = [
  "overview",
  "keys",
  "invalidations",
  "stampedes",
  "stale",
  "fleet",
  "redis",
  "http",
  "queues",
  "locks",
  "limits",
] as const;
export type PageName = (typeof PAGES)[number];

/** One thing that stands out now, and the page that has more about it. */
export interface Finding {
  /** Name of its rule, such as `hit-ratio`: the guide lists them. */
  readonly rule: string;
  /** Id of the finding: it stays the same for as long as the finding lasts, whatever its figures. */
  readonly id: string;
  readonly level: "error" | "warning";
  /** One sentence. Names of keys may be in it, values never. */
  readonly text: string;
  /** The remedy, as a sentence. */
  readonly remedy: string;
  readonly page: PageName;
  /** Processes of which it is so, or that cause it, by the names of their records; none where that is not known. */
  readonly by: readonly string[];
  /** The larger, the more it departs. */
  readonly weight: number;
}

/** A finding of the last hour. */
export interface PastFinding extends Finding {
  readonly since: number;
  /** `null` while it lasts. */
  readonly until: Figure;
  /** How often it has begun. */
  readonly times: number;
}

/** Numbers that may be unknown, after JSON. */
type Figure = number | null;

/** On every page. */
export interface Status {
  /** Host and id of the process that answers. */
  readonly process: string;
  readonly caches: readonly CacheStatus[];
  /** Pages that have something to show. */
  readonly pages: readonly PageName[];
  readonly canWrite: boolean;
}

export interface CacheStatus {
  readonly name: string;
  readonly canListMemory: boolean;
  readonly canListBackend: boolean;
  /** Whether hits are compared with their source. */
  readonly verifies: boolean;
  readonly tiers: readonly string[];
}

export interface CacheOverview {
  readonly name: string;
  readonly hits: number;
  readonly staleHits: number;
  readonly misses: number;
  readonly hitRatio: Figure;
  readonly loads: number;
  readonly loadErrors: number;
  readonly coalesced: number;
  readonly fenced: number;
  readonly overloaded: number;
  readonly waiting: number;
  readonly pending: number;
  /** Time that loaders did not run, because a value was there or a load was shared: the median load for each. */
  readonly savedMs: Figure;
  readonly loadP50Ms: Figure;
  readonly loadP95Ms: Figure;
  readonly tiers: readonly TierOverview[];
  readonly recent: RecentOverview;
  readonly fleet: FleetOverview | null;
}

/** Counts of the last five minutes. */
export interface RecentOverview extends Pick<
  CacheOverview,
  "hits" | "staleHits" | "misses" | "hitRatio" | "loads" | "loadErrors" | "overloaded" | "savedMs"
> {
  readonly ms: number;
  readonly loadP50Ms: Figure;
  readonly loadP95Ms: Figure;
  readonly tiers: readonly Pick<TierOverview, "label" | "hits" | "misses" | "errors">[];
  /** Failures in the last minute, so that past errors are not shown in red. */
  readonly lastMinute: {
    readonly loadErrors: number;
    readonly errors: Readonly<Record<string, number>>;
    /** How long calls took, by what answered them. */
    readonly calls: readonly CallTimes[];
  };
}

/** Calls of the last minute. */
export interface CallTimes {
  /** `memory`, which is not timed, or as `CallLatencies` names them. */
  readonly by: string;
  readonly count: number;
  readonly p50Ms: Figure;
  readonly p99Ms: Figure;
}

/** Rates of all processes of a cache, by their records. */
export interface FleetOverview {
  readonly processes: number;
  readonly callsPerSecond: number;
  readonly hitRatio: Figure;
  readonly loadErrors: number;
  readonly errors: number;
  /** The process with most errors, or else with the lowest hit ratio. */
  readonly worst: Pick<FleetOverview, "hitRatio" | "loadErrors" | "errors"> & { readonly name: string };
}

export interface TierOverview {
  readonly label: string;
  readonly state: string;
  /** Since when, in milliseconds since 1970; `null` since before the inspector began. */
  readonly since: Figure;
  readonly hits: number;
  readonly misses: number;
  readonly errors: number;
  readonly entries: Figure;
  readonly maxEntries: Figure;
  readonly bytes: Figure;
  /** In the last minute. */
  readonly evicted: Figure;
  readonly readP95Ms: Figure;
}

export interface KeyFigures {
  readonly groups: readonly (GroupFigures & { readonly cache: string })[];
  readonly namespaces: readonly (NamespaceFigures & { readonly cache: string })[];
}

export interface KeysPage extends KeyFigures {
  /** Figures of the last five minutes. */
  readonly recent: KeyFigures;
  /** How long calls of the last minute took, of those that differ most from before. */
  readonly calls: readonly (Pick<GroupRates, "namespace" | "group" | "calls"> & { readonly cache: string })[];
}

export interface SeenLoad {
  readonly cache: string;
  readonly namespace: readonly string[];
  readonly key: string;
  readonly phase: string;
  readonly reason: string;
  readonly forMs: number;
  readonly loadingForMs: Figure;
  readonly callers: number;
  readonly longestWaitMs: number;
}

export interface JoinedKey {
  readonly cache: string;
  readonly namespace: readonly string[];
  readonly key: string;
  /** Calls that joined the load of another, since someone watches. */
  readonly joined: number;
  readonly lastAt: number;
}

export interface StampedesPage {
  /** The most callers first. */
  readonly running: readonly SeenLoad[];
  readonly runningTotal: number;
  readonly leases: readonly (RunningLease & { readonly cache: string })[];
  readonly joined: readonly JoinedKey[];
}

export interface StalePage {
  readonly fallbacks: readonly (Fallback & { readonly cache: string })[];
  readonly backoffs: readonly (Backoff & { readonly cache: string })[];
}

export interface FleetPage {
  /** `isOld`: its record is there no more, and this was the last one. */
  readonly processes: readonly (Omit<ProcessRecord, "figures"> & {
    readonly cache: string;
    readonly isOld: boolean;
    readonly recentHitRatio: Figure;
  })[];
  /** Caches whose backend refuses records. */
  readonly refusals: readonly { readonly cache: string; readonly since: number; readonly error: string }[];
  /** Caches whose backend gives no records now. */
  readonly silences: readonly (Silence & { readonly cache: string })[];
}

export interface HttpPage {
  readonly caches: readonly (HttpCacheStats & { readonly name: string })[];
}

/** Kinds of keys that belong to caches. */
export const CACHE_KINDS = {
  entries: "entries of a cache",
  versions: "tag versions of a cache",
  leases: "leases of a cache",
  records: "records of processes",
} as const;

export interface KeyGroup {
  /** Such as `entries of a cache`. */
  readonly kind: string;
  readonly owner: string;
  readonly keys: number;
  /** By the sizes of a sample. */
  readonly bytes: Figure;
}

/** A key of Redis. */
export interface LargeKey {
  readonly kind: string;
  readonly owner: string;
  /** Absent where a cache redacts its keys. */
  readonly key: string | undefined;
  readonly type: string;
  readonly bytes: number;
}

export interface RedisPage {
  readonly server:
    | (Partial<Omit<RedisStats, "servers">> & {
        readonly servers: readonly (Partial<ServerInfo> & {
          readonly address: string;
          readonly error?: string;
          readonly events?: ServerEvents;
        })[];
        readonly checks: readonly (Check & { readonly name: string })[];
      })
    | undefined;
  /** The largest first; `undefined` until they are known. */
  readonly largest: readonly LargeKey[] | undefined;
  readonly groups: readonly KeyGroup[];
  readonly keys: number;
  readonly isComplete: boolean;
  /** Why these figures are not of now: the server, or the walk through its keys, does not answer. `null` if both do. */
  readonly silence: Silence | null;
}

export interface QueueRow extends Readonly<Record<JobState, number>> {
  readonly name: string;
  readonly isPaused: boolean;
  readonly oldestWaitingMs: Figure;
  /** Why the last dead job died. */
  readonly lastReason: string | null;
}

/** A job, without its data. */
export type JobRow = Omit<JobSnapshot<unknown>, "data" | "result" | "progress">;

export interface HeldLock {
  readonly kind: "lock" | "permits" | "writer" | "readers";
  readonly name: string;
  readonly holder: string;
  readonly lifeMs: Figure;
  readonly fence: string | null;
}

export interface LimitRow {
  readonly name: string;
  /** Keys that are counted now. */
  readonly callers: number;
  /** Callers that `blockFor` refuses. */
  readonly blocked: number;
}

/** A limit, with the decisions of this process since its start; `null` where it made none. */
export interface CountedLimit extends LimitRow {
  readonly allowed: Figure;
  readonly refused: Figure;
}

/** A list with what the modules of this process counted since its start. */
export interface Counted<T> extends Listed<T> {
  readonly counts: ModuleCounts | undefined;
}

/** A list that Redis gave, and why there is no newer one. */
export interface Listed<T> {
  readonly rows: readonly T[] | undefined;
  readonly silence: Silence | null;
}

/** A backend that does not answer. */
export interface Silence {
  readonly since: number;
  /** When it gave what is shown; `null` where it has given nothing yet. */
  readonly shownAt: Figure;
  readonly error: string;
}

/** An update of a stream: the parts that have changed since the last one. */
export interface Live {
  readonly status?: Status;
  readonly findings?: readonly (Finding & { readonly since: Figure })[];
  /** Findings of the last hour that have ended. */
  readonly past?: readonly PastFinding[];
  readonly overview?: readonly CacheOverview[];
  readonly history?: Readonly<Record<string, readonly Sample[]>>;
  readonly marks?: Readonly<Record<string, readonly Mark[]>>;
  readonly keys?: KeysPage;
  readonly invalidations?: InvalidationsPage;
  readonly stampedes?: StampedesPage;
  readonly stale?: StalePage;
  readonly fleet?: FleetPage;
  readonly http?: HttpPage;
  readonly redis?: RedisPage;
  readonly queues?: Listed<QueueRow>;
  readonly locks?: Counted<HeldLock>;
  readonly limits?: Counted<CountedLimit>;
  /** A sentence, where the state could not be read. */
  readonly error?: string;
}

/** One row of the list of keys. */
export interface KeyRow {
  readonly namespace: readonly string[];
  readonly key: string;
  readonly state?: string;
  readonly ageMs?: Figure;
  readonly freshForMs?: Figure;
  readonly expiresInMs?: Figure;
  readonly bytes?: Figure;
  readonly hits?: number;
  readonly tags?: readonly string[];
}

export type KeyOrder = "key" | "size" | "age" | "hits" | "expires";

export interface KeysAnswer {
  /** Names this list in later requests. */
  readonly list: string;
  readonly total: number;
  /** From `offset`. */
  readonly rows: readonly KeyRow[];
  /** Whether these are all; otherwise `more` continues the walk. */
  readonly isComplete: boolean;
  /** Keys of the store that were looked at, and about how many there are. */
  readonly looked: number;
  readonly about: Figure;
}

export interface EntryAnswer {
  readonly info: {
    readonly state: string;
    readonly tier: string;
    readonly ageMs: Figure;
    readonly freshForMs: Figure;
    readonly expiresInMs: Figure;
    readonly tags: readonly {
      readonly tag: string;
      /** In this namespace; `null` where it was never invalidated there, or is not known. */
      readonly version: string | null;
      readonly invalidatedAt: Figure;
    }[];
    readonly etag?: string;
    readonly encoding?: { readonly format: string; readonly compressor: string; readonly bytes: number };
  } | null;
  /** The newest first; `null` where the cache records no decisions. */
  readonly decisions:
    | readonly { readonly at: number; readonly what: string; readonly why: string; readonly times: number }[]
    | null;
  readonly running: SeenLoad | null;
}

export interface ValueAnswer {
  /** `missing`: it has ended meanwhile. */
  readonly kind: "json" | "text" | "missing";
  readonly text: string;
  /** Whether the text was cut. */
  readonly isCut: boolean;
}
