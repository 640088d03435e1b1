/**
 * What happened in one round, by everybody. The checker reads nothing else, so a history can be written by hand.
 *
 * Every key of the source of truth has a version, which only grows. A change first raises the versions of the keys it
 * covers, then tells the cache. A load reads the version; values carry it.
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
}

/** Milliseconds since the round began, on CLOCK_MONOTONIC, which all processes of a machine share. */
export type Instant = number;

/** What the caches were told, and so what they promise. */
export interface Terms {
  readonly maxStalenessMs: number;
  readonly reissueWindowMs: number;
  readonly responseTimeoutMs: number;
  readonly loadTimeoutMs: number;
  /** Added to every bound on a call, for a busy machine. */
  readonly slackMs: number;
}

/** Programs without the library. */
export const FOREIGN = "foreign";

export interface Process {
  readonly name: string;
  readonly bornAt: Instant;
  /** When it was killed. */
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
  /** Of many equal answers in a row, when the first was asked for. */
  readonly firstStartedAt?: Instant;
  readonly startedAt: Instant;
  readonly endedAt: Instant;
  /** Absent: there was nothing, or the call failed. */
  readonly version?: number;
  /** Whose value it was, where that was not this key's. */
  readonly strayKey?: string;
  readonly freshness: "fresh" | "stale" | "unknown";
  /** Label of the tier that answered; `load` where a load did. Absent where it is not told. */
  readonly tier?: string;
  readonly coalesced?: boolean;
  /** The change whose token it carried. */
  readonly after?: { readonly change: string; readonly version: number };
  readonly forced?: boolean;
  readonly error?: string;
  /** The longest it may take. */
  readonly boundMs: number;
}

/** A call, or a foreign command, behind a change of the source. */
export interface Change {
  readonly process: string;
  readonly id: string;
  readonly kind: string;
  /** What it covers, with the versions that the source has given it. */
  readonly keys: readonly (readonly [key: string, version: number])[];
  /** Keys that it covers too, without a promise: other programs write them, and know of no tags. */
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
  /** When the call was made whose loader this is: its lease was granted later. */
  readonly calledAt: Instant;
  readonly startedAt: Instant;
  /** Also by `loadTimeout` or an abort. Absent: killed. */
  readonly endedAt?: Instant;
  /** What the source said. */
  readonly version?: number;
  readonly forced: boolean;
  /** It runs without a lease: the backend did not answer in time, or could not be asked. */
  readonly isAlone?: boolean;
}

/** What a process said of its backend. */
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
  readonly code: string;
}

/** What the nemesis did. */
export interface Fault {
  readonly kind: string;
  readonly from: Instant;
  /** When it was undone and the servers were seen to be well. */
  readonly to: Instant;
  /** Whom it touches. @default everybody */
  readonly processes?: readonly string[];
  /** The process did not run at all meanwhile. */
  readonly freezes?: boolean;
  /** From when on acknowledged writes may be lost with it: those after the snapshot, or not yet replicated. */
  readonly losesSince?: Instant;
}

/** What is wrong whatever the values were. */
export interface Incident {
  readonly process: string;
  readonly at: Instant;
  readonly kind: "unhandled" | "leak" | "unsettled" | "not healed" | "crash";
  readonly text: string;
}

/** A process did not get to run: it was stopped, or the machine was busy. Its calls could not end meanwhile. */
export interface Stall {
  readonly process: string;
  readonly from: Instant;
  readonly to: Instant;
}
