/**
 * The history of one round: all calls, loads and faults. The checker reads nothing else, so a history can be written by
 * hand.
 *
 * Every key of the source of truth has a version, which only grows. A change first raises the versions of the keys it
 * covers, then calls the cache. A load reads the version; values carry it.
 */
export interface History {
  readonly terms: Terms;
  readonly processes: readonly Process[];
  readonly issues: readonly Issue[];
  readonly reads: readonly Read[];
  readonly changes: readonly Change[];
  readonly loads: readonly Load[];
  readonly sightings: readonly Sighting[];
  readonly failures: readonly Failure[];
  readonly faults: readonly Fault[];
  readonly incidents: readonly Incident[];
  readonly stalls: readonly Stall[];
  readonly removals: readonly Removal[];
}

/** Milliseconds since the round began, on CLOCK_MONOTONIC, which all processes of a machine share. */
export type Instant = number;

/** The settings of the caches, which decide on their promises. */
export interface Terms {
  readonly maxStalenessMs: number;
  readonly reissueWindowMs: number;
  readonly responseTimeoutMs: number;
  readonly loadTimeoutMs: number;
  readonly ttlMs: number;
  /** How long a stale value may be served, for any reason. */
  readonly staleMs: number;
  /** The time in which every process is in step again after the last fault. */
  readonly healMs: number;
  /** Added to every bound on a call, for a busy machine. */
  readonly slackMs: number;
  /**
   * How old the time of the server may be by which a process computes the ends of entries. 0 where Redis replies with
   * the time that is left.
   *
   * @default 0
   */
  readonly clockAgeMs?: number;
  /** How long after a load for one caller alone others load side by side. @default 0 */
  readonly markedForMs?: number;
}

/** As `code` of a failure: Redis could be reached, and has no memory, no disk or too few replicas for a write. */
export const REFUSED = "REFUSED";

/** Programs without the library. */
export const FOREIGN = "foreign";

export interface Process {
  readonly name: string;
  readonly bornAt: Instant;
  /** The instant at which it was killed. */
  readonly diedAt?: Instant;
}

/** The source of truth gave a key a version. */
export interface Issue {
  readonly at: Instant;
  readonly key: string;
  readonly version: number;
}

/** One key of one reading call. */
export interface Read {
  readonly process: string;
  readonly id: string;
  readonly kind: string;
  readonly key: string;
  /** For many equal answers in a row, the instant of the first question. */
  readonly firstStartedAt?: Instant;
  readonly startedAt: Instant;
  readonly endedAt: Instant;
  /** Absent: there was no value, or the call failed. */
  readonly version?: number;
  /** The key that the value belongs to, where it is another one. */
  readonly strayKey?: string;
  /** The call whose own answer it is, where that is another one. */
  readonly strayCall?: string;
  readonly freshness: "fresh" | "stale" | "unknown";
  /** Label of the tier that answered; `load` where a load did. Absent where the call does not report it. */
  readonly tier?: string;
  readonly coalesced?: boolean;
  /** For a current read: the newest change that its process knew to be acknowledged. */
  readonly after?: { readonly change: string; readonly version: number };
  readonly forced?: boolean;
  readonly error?: string;
  /** The call rejected because another caller had left. */
  readonly isAbandoned?: true;
  /** The longest it may take. */
  readonly boundMs: number;
}

/** A call, or a foreign command, behind a change of the source. */
export interface Change {
  readonly process: string;
  readonly id: string;
  readonly kind: string;
  /** The keys that it covers, with the versions that the source has given them. */
  readonly keys: readonly (readonly [key: string, version: number])[];
  /** Keys that it covers too, without a promise: other programs write them, without tags. */
  readonly touches?: readonly string[];
  /** After a soft one an older value may still be served as stale. */
  readonly mode: "hard" | "soft";
  readonly startedAt: Instant;
  /** Absent: it never settled, or its process was killed. */
  readonly endedAt?: Instant;
  /** `failed`: it was rejected, and promises nothing. */
  readonly status?: "acknowledged" | "pending" | "failed";
  readonly error?: string;
  readonly boundMs: number;
}

/** One run of a loader. */
export interface Load {
  readonly process: string;
  readonly id: string;
  readonly key: string;
  /** The instant of the call whose loader this is. */
  readonly calledAt: Instant;
  /** The instant at which its process asked for the lease that was granted. @default startedAt */
  readonly askedAt?: Instant;
  readonly startedAt: Instant;
  /** Set also after `loadTimeout` or an abort. Absent: the process was killed. */
  readonly endedAt?: Instant;
  /** The version that the source gave. */
  readonly version?: number;
  /** The loader gave the version to the cache, to be stored. */
  readonly isToStore?: boolean;
  /** The loader gave the version by `noStore` or `notShared`. */
  readonly isWithheld?: boolean;
  /** The loader found nothing, so the stored value is removed. */
  readonly isNothing?: boolean;
  /** The instant at which the cache gave it up. */
  readonly abortedAt?: Instant;
  readonly forced: boolean;
  /** The load runs without a lease: none was granted, or it was given up before the loader began. */
  readonly isAlone?: boolean;
  /** The instant at which its process gave its lease up, while the loader ran. */
  readonly givenUpAt?: Instant;
}

/** The state of its backend as a process reports it. */
export interface Sighting {
  readonly process: string;
  readonly at: Instant;
  readonly state: string;
  /** Invalidations that wait for the backend. */
  readonly pending: number;
}

/** A call of the backend that failed. */
export interface Failure {
  readonly process: string;
  readonly at: Instant;
  readonly operation: string;
  /** The code of the error; {@link REFUSED} where Redis answered that it does not carry writes out now. */
  readonly code: string;
}

/** A fault by the nemesis. */
export interface Fault {
  readonly kind: string;
  readonly from: Instant;
  /** The instant at which it was undone and the servers worked again. */
  readonly to: Instant;
  /** The processes that it concerns. @default all */
  readonly processes?: readonly string[];
  /** The processes did not run at all meanwhile. */
  readonly freezes?: boolean;
  /** The instant from which acknowledged writes may be lost: those after the snapshot, or not yet replicated. */
  readonly losesSince?: Instant;
  /** Leases that were granted before or during it may be lost. */
  readonly losesLeases?: boolean;
  /** Tag versions are gone, or their issuer, and no process received that: the most versions that one key has. */
  readonly unreportedVersions?: number;
  /** Until a process is in step again it may use a server that another one has replaced. */
  readonly splits?: boolean;
  /** The keys of entries whose primary did not answer, while that of the tag versions did. @default all, and versions */
  readonly keys?: readonly string[];
  /** By how much the wall clock of the server jumped, ahead or back: no call fails because of that. */
  readonly jumpMs?: number;
}

/** A problem that does not depend on values. */
export interface Incident {
  readonly process: string;
  readonly at: Instant;
  readonly kind: "unhandled" | "leak" | "unsettled" | "not healed" | "crash";
  readonly text: string;
}

/**
 * A time in which a process did not run: it was stopped, or the machine was busy. Its calls could not end meanwhile.
 */
export interface Stall {
  readonly process: string;
  readonly from: Instant;
  readonly to: Instant;
}

/**
 * A command by which a process invalidated an entry, or tag versions where `key` is absent: part of a change, or its
 * replay. Or that of a forced load, which takes the lease from any holder, and may arrive after its caller has left.
 */
export interface Removal {
  readonly process: string;
  readonly from: Instant;
  readonly to: Instant;
  readonly key?: string;
  readonly takesLease?: true;
}
