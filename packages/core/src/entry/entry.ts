import type { LocalEntry } from "../contracts/local-tier.ts";
import type { TagVersion } from "../contracts/backend.ts";

/**
 * A value with its freshness, validators and tags. Instants are `clock.now()` of this process.
 *
 *     loadedAt ──fresh──▶ staleAt ──stale──▶ expiresAt ──expired──▶
 *
 * Never changed once built, except for `checkedAt` and `epoch`.
 */
export interface Entry extends LocalEntry {
  /** How long it was fresh when it was written, jitter included; its age is this minus what remains. */
  readonly ttlMs: number;
  readonly staleAt: number;
  /** The end of its life, here and in the backend. */
  readonly expiresAt: number;
  /** The end of this copy: `expiresAt`, or earlier where `localTtl` says so. */
  readonly deadAt: number;
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  /** What the writer allowed a local copy; kept with the entry so that a promotion respects it. */
  readonly localTtlMs: number;
  readonly tags: readonly string[];
  /** Keys of the tag versions it depends on: its tags and its namespaces, see `dependencies`. */
  readonly dependsOn: readonly string[];
  /** Under which versions it was stored, in the order of `dependsOn`; absent where no backend keeps it. */
  readonly versions?: readonly TagVersion[] | undefined;
  /** Names the write that stored it, where the backend tells one from another. */
  readonly version?: string | undefined;
  /** The tag events that it has been held against, see `Tags`. */
  tagSequence: number;
  /** Set where nobody could say that it is current, and it stands in: no copy of it is trusted. */
  readonly isUnconfirmed?: true;
  /** Of a local copy, when it was last known to be what the backend holds, see `Trust`. */
  epoch?: number | undefined;
  readonly etag?: string | undefined;
  readonly lastModified?: string | undefined;
  readonly encoding?: Encoding | undefined;
}

/** How an infinite window is kept: its end must stay a number that backends can write. */
export const HUNDRED_YEARS_MS: number = 100 * 365 * 86_400_000;

/** How a backend keeps it, by the ids of both; how large it is there is `encodedBytes`. */
export interface Encoding {
  readonly format: string;
  readonly compressor: string;
}

/** What a reading call says of stale windows: it shortens those that the entry brought, and never extends them. */
export interface Windows {
  /** `undefined`: nothing is said, so the stored window stands. */
  readonly staleWhileRevalidateMs: number | undefined;
  /** As `staleWhileRevalidateMs`. */
  readonly staleIfErrorMs: number | undefined;
  /** Fraction of `ttl` after which a fresh entry is refreshed behind the answer; 1 is never. */
  readonly refreshAhead: number;
}

/**
 * - `fresh`: serve it
 * - `ahead`: serve it, and refresh it behind the answer
 * - `revalidate`: serve it, stale, while one load refreshes it (RFC 5861, section 3)
 * - `reserve`: only instead of an error or a load that takes too long (RFC 5861, section 4)
 * - `absent`: as if it were not there
 */
export type Verdict = "fresh" | "ahead" | "revalidate" | "fallback" | "absent";

/**
 * Judges an entry at one instant, for a call with these windows.
 *
 *     loadedAt ──fresh──▶ refreshAhead ──ahead──▶ staleAt ──revalidate──▶ ──reserve──▶ deadAt ──absent──▶
 *
 * A boundary instant belongs to the later state. Pure.
 */
export function judge(entry: Entry | undefined, now: number, windows: Windows): Verdict {
  if (entry === undefined || now >= entry.deadAt) return "absent";
  if (now < entry.staleAt) return now < aheadAt(entry, windows.refreshAhead) ? "fresh" : "ahead";
  if (now < entry.staleAt + shorter(entry.staleWhileRevalidateMs, windows.staleWhileRevalidateMs)) return "revalidate";
  return "fallback";
}

/** Whether a stale (or fresh) entry may stand in for a failed or slow load of a call with these windows. Pure. */
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
    // Between two processes the instants differ by a network trip, so a new entry may seem to come from the future.
    ageMs: entry.ttlMs === Infinity ? 0 : Math.max(0, entry.ttlMs - freshForMs),
    freshForMs,
    expiresInMs: entry.expiresAt - now,
  };
}

/** The same entry, stale from `now` on: both windows begin, the end of its life stays. Pure. */
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
 * The same entry after one of its tags was marked stale: stale at once. Versions carry no instant, so the windows it has
 * end where they would have ended. Pure.
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

function shorter(storedMs: number, saidMs: number | undefined): number {
  return saidMs === undefined ? storedMs : Math.min(storedMs, saidMs);
}

function aheadAt(entry: Entry, fraction: number): number {
  return fraction === 1 || entry.ttlMs === Infinity ? Infinity : entry.staleAt - entry.ttlMs * (1 - fraction);
}

/** What never becomes stale counts as loaded last: the other copy would not be asked for if it did not end. */
function loadedAt(entry: Entry): number {
  return entry.ttlMs === Infinity ? Infinity : entry.staleAt - entry.ttlMs;
}
