import type { LocalEntry } from "../contracts/local-tier.ts";
import type { TagVersion } from "../contracts/backend.ts";

/**
 * A value with its freshness, validators and tags. Instants are `clock.now()` of this process.
 *
 *     loadedAt ──fresh──▶ staleAt ──stale──▶ expiresAt ──expired──▶
 *
 * Immutable once built, except for `tagSequence` and `epoch`.
 */
export interface Entry extends LocalEntry {
  /** How long it was fresh when it was written, jitter included. Its age is this minus the remaining freshness. */
  readonly ttlMs: number;
  readonly staleAt: number;
  /** The end of its life, here and in the backend. */
  readonly expiresAt: number;
  /** The end of this copy: `expiresAt`, or earlier because of `localTtl`. */
  readonly deadAt: number;
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  /** Maximum life of a local copy, set by the writer; stored with the entry so that a promotion respects it. */
  readonly localTtlMs: number;
  readonly tags: readonly string[];
  /** Keys of the tag versions it depends on: its tags and its namespaces, see `dependencies`. */
  readonly dependsOn: readonly string[];
  /** The tag versions under which it was stored, in the order of `dependsOn`; absent if no backend keeps it. */
  readonly versions?: readonly TagVersion[] | undefined;
  /** Identifies the write that stored it, if the backend keeps versions. */
  readonly version?: string | undefined;
  /** Number of the last tag event that it was checked against, see `TagEvents`. */
  tagSequence: number;
  /** Set when it is served as fallback and could not be checked: no copy of it is trusted. */
  readonly isUnconfirmed?: true;
  /** Only in a local copy: the epoch in which it was last known to equal the backend's entry, see `Trust`. */
  epoch?: number | undefined;
  readonly etag?: string | undefined;
  readonly lastModified?: string | undefined;
  readonly encoding?: Encoding | undefined;
}

/** Replaces an infinite window: the end of a window must stay a number that backends can store. */
export const HUNDRED_YEARS_MS: number = 100 * 365 * 86_400_000;

/** Ids of the format and the compressor with which a backend stores the entry. Its size there is `encodedBytes`. */
export interface Encoding {
  readonly format: string;
  readonly compressor: string;
}

/** Stale windows that a reading call accepts: they can shorten the windows of an entry, never extend them. */
export interface Windows {
  /** `undefined`: not set, so the stored window applies. */
  readonly staleWhileRevalidateMs: number | undefined;
  /** As `staleWhileRevalidateMs`. */
  readonly staleIfErrorMs: number | undefined;
  /** Fraction of `ttl` after which a hit also starts a refresh in the background; 1 is never. */
  readonly refreshAhead: number;
}

/**
 * - `fresh`: serve it
 * - `ahead`: serve it, and refresh it in the background
 * - `revalidate`: serve it, stale, while one load refreshes it (RFC 5861, section 3)
 * - `fallback`: serve it only instead of an error or a load that takes too long (RFC 5861, section 4)
 * - `absent`: as if there were no entry
 */
export type Verdict = "fresh" | "ahead" | "revalidate" | "fallback" | "absent";

/**
 * Judges an entry at one instant, for a call with these windows.
 *
 *     loadedAt ──fresh──▶ refreshAhead ──ahead──▶ staleAt ──revalidate──▶ ──fallback──▶ deadAt ──absent──▶
 *
 * A boundary instant belongs to the later state. Pure.
 */
export function judge(entry: Entry | undefined, now: number, windows: Windows): Verdict {
  if (entry === undefined || now >= entry.deadAt) return "absent";
  if (now < entry.staleAt) return now < aheadAt(entry, windows.refreshAhead) ? "fresh" : "ahead";
  if (now < entry.staleAt + shorter(entry.staleWhileRevalidateMs, windows.staleWhileRevalidateMs)) return "revalidate";
  return "fallback";
}

/** Whether a stale (or fresh) entry may be served as fallback for a failed or slow load of this call. Pure. */
export function canServeOnError(entry: Entry | undefined, now: number, windows: Windows): entry is Entry {
  return (
    entry !== undefined &&
    now < entry.deadAt &&
    now < entry.staleAt + shorter(entry.staleIfErrorMs, windows.staleIfErrorMs)
  );
}

/** The copy that was loaded later; a tie goes to `a`. */
export function newer(a: Entry | undefined, b: Entry | undefined): Entry | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return loadedAt(b) > loadedAt(a) ? b : a;
}

/** Age, remaining freshness and remaining life in milliseconds. Pure. */
export function lifeOf(entry: Entry, now: number): { ageMs: number; freshForMs: number; expiresInMs: number } {
  const freshForMs = entry.staleAt - now;
  return {
    // Instants of two processes differ by a network trip, so the age of a new entry could be negative.
    ageMs: entry.ttlMs === Infinity ? 0 : Math.max(0, entry.ttlMs - freshForMs),
    freshForMs,
    expiresInMs: entry.expiresAt - now,
  };
}

/** The same entry, stale from `now` on: both windows begin now; its life ends no later than before. Pure. */
export function staleFrom(entry: Entry, now: number): Entry {
  if (entry.staleAt <= now) return entry;
  const expiresAt = Math.min(entry.expiresAt, now + Math.max(entry.staleWhileRevalidateMs, entry.staleIfErrorMs));
  return {
    ...entry,
    ttlMs: lifeOf(entry, now).ageMs,
    staleAt: now,
    expiresAt,
    deadAt: Math.min(entry.deadAt, expiresAt),
  };
}

/**
 * The same entry after one of its tags was marked stale: stale at once. Versions carry no instant, so its windows end
 * at the same instants as before. Pure.
 */
export function staleByTag(entry: Entry, now: number): Entry {
  const leftMs = entry.staleAt - now;
  if (leftMs <= 0) return entry;
  const longer = (windowMs: number): number => (windowMs === 0 ? 0 : windowMs + leftMs);
  return {
    ...entry,
    ttlMs: lifeOf(entry, now).ageMs,
    staleAt: now,
    staleWhileRevalidateMs: longer(entry.staleWhileRevalidateMs),
    staleIfErrorMs: longer(entry.staleIfErrorMs),
  };
}

function shorter(storedMs: number, acceptedMs: number | undefined): number {
  return acceptedMs === undefined ? storedMs : Math.min(storedMs, acceptedMs);
}

function aheadAt(entry: Entry, fraction: number): number {
  return fraction === 1 || entry.ttlMs === Infinity ? Infinity : entry.staleAt - entry.ttlMs * (1 - fraction);
}

/** An entry that never becomes stale counts as loaded last: the other copy is only read because it can end. */
function loadedAt(entry: Entry): number {
  return entry.ttlMs === Infinity ? Infinity : entry.staleAt - entry.ttlMs;
}
