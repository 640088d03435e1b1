import type { ProcessRecord, ProcessStart, TierFailure } from "@hotset/core/inspect";
import type { Burst } from "../data/invalidations.ts";
import type { Mark } from "../data/marks.ts";
import type { Elsewhere } from "../data/other-databases.ts";
import type { KeyGroup, QueueRow, RedisPage, Silence } from "../data/pages.ts";

export type Figures = NonNullable<ProcessRecord["figures"]>;

interface TierPicture {
  readonly label: string;
  readonly state: string;
  readonly since: number | undefined;
  /** The last call of this tier that failed. */
  readonly failure: TierFailure | undefined;
}

/** A cache of this process. */
export interface CachePicture {
  readonly name: string;
  readonly tiers: readonly TierPicture[];
  readonly pending: number;
  /** The load with the most callers. */
  readonly busiest:
    | { readonly namespace: readonly string[]; readonly key: string; readonly callers: number; readonly forMs: number }
    | undefined;
  readonly fallbacks: {
    readonly keys: number;
    /** The namespace that all of these keys have in common, from its root. */
    readonly namespace: readonly string[];
    readonly error: string | undefined;
  };
  /** Why its backend refuses the record of this process. */
  readonly recordFailure: { readonly since: number; readonly error: string } | undefined;
}

/** A process of a cache: this one, or another with a record. */
export interface ProcessPicture {
  readonly cache: string;
  /** `undefined`: this one, which has no record. */
  readonly name: string | undefined;
  /** Of its record. */
  readonly id?: string | undefined;
  readonly startedAt: number;
  readonly silentMs: number;
  /** Against the clock of this process; negative where it is behind. */
  readonly clockAheadMs: number;
  readonly everyMs: number;
  readonly isTrusted: boolean;
  readonly figures: Figures | undefined;
  /** What decides its answers; `undefined` where it is not known. */
  readonly settings: Readonly<Record<string, string>> | undefined;
}

/** All that rules look at. */
export interface Picture {
  readonly caches: readonly CachePicture[];
  readonly processes: readonly ProcessPicture[];
  /** Processes that started in the last hour, the last one first. */
  readonly starts: readonly (ProcessStart & { readonly cache: string })[];
  /** Whether a page has more about Redis. */
  readonly hasRedisPage: boolean;
  /** Clears, and calls of tags that many entries have, of the last ten minutes. */
  readonly wide: readonly (Mark & { readonly cache: string })[];
  /** The most frequent first. */
  readonly bursts: readonly Burst[];
  readonly queues: readonly QueueRow[];
  readonly servers: NonNullable<RedisPage["server"]>["servers"];
  /** Its keys by what they are for, as far as they are known. */
  readonly keyGroups: readonly KeyGroup[];
  /** Processes whose records are in another database of it. */
  readonly elsewhere: readonly Elsewhere[];
  /** The Redis of the toolkit. */
  readonly silence: Silence | null;
  /** Followers of a database's log in this process. */
  readonly followers: readonly {
    readonly name: string;
    readonly lagBytes: number | undefined;
    readonly lagMs: number | undefined;
    readonly error: string | undefined;
  }[];
}

/** A picture of nothing, for those who know a part. */
export const EMPTY: Picture = {
  ...{
    caches: [],
    processes: [],
    starts: [],
    hasRedisPage: false,
    wide: [],
    bursts: [],
    queues: [],
    servers: [],
    keyGroups: [],
    elsewhere: [],
    silence: null,
  },
  followers: [],
};
