import { staleLifeMs, wholeInstant, type Entry } from "./entry.ts";

/** Stale windows that a reading call accepts: they can shorten the windows of an entry, never extend them. */
export interface Windows {
  /** `undefined`: not set, so the stored window applies. */
  readonly staleWhileRevalidateMs: number | undefined;
  /** `undefined`: not set, so the stored window applies. */
  readonly staleIfErrorMs: number | undefined;
  /** The errors in place of which an entry may be served. `undefined`: all. */
  readonly coversError: ((error: unknown) => boolean) | undefined;
  /** The call accepts only entries loaded after this instant: its start, less its `maxAge`. `-Infinity` without one. */
  readonly loadedAfter: number;
  /** Fraction of `ttl`, or of what `touch` gave, after which a hit starts a refresh in the background; 1 is never. */
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
 * A boundary instant belongs to the later state. An entry that is too old for the call is absent in any state. Pure.
 */
export function judge(entry: Entry | undefined, now: number, windows: Windows): Verdict {
  if (entry === undefined || now >= entry.deadAt || isTooOld(entry, windows)) return "absent";
  if (now < entry.staleAt) return now < aheadAt(entry, windows.refreshAhead) ? "fresh" : "ahead";
  if (now < entry.staleAt + windowMs(entry, windows, "staleWhileRevalidateMs")) return "revalidate";
  return "fallback";
}

/** Whether the entry is fresh, for a call without its own windows. Pure. */
export const isFresh = (entry: Entry | undefined, now: number): entry is Entry =>
  entry !== undefined && now < entry.staleAt && now < entry.deadAt;

/**
 * Whether the call does not accept this entry. The age counts at the start of the call: one that is loaded while the
 * call waits, here or by another process, is always accepted. An entry that never becomes stale has no known age, and
 * is never accepted. Pure.
 */
export const isTooOld = (entry: Entry, { loadedAfter }: Windows): boolean =>
  loadedAfter !== -Infinity && (entry.ttlMs === Infinity || loadedAt(entry) <= loadedAfter);

/** Whether an entry may replace a failed or slow load: of no age that the call refuses. Pure. */
export function canServeOnError(entry: Entry | undefined, now: number, windows: Windows): entry is Entry {
  return (
    entry !== undefined &&
    windows.staleIfErrorMs !== 0 &&
    now < entry.deadAt &&
    !isTooOld(entry, windows) &&
    now < entry.staleAt + windowMs(entry, windows, "staleIfErrorMs")
  );
}

/**
 * The entry to use, of what the backend has and a copy: of two with versions the one in the backend, however old it
 * seems, even if both are of one write, since it may have changed there; of others the one that was loaded later. A tie
 * goes to `stored`.
 */
export function newer(stored: Entry | undefined, copy: Entry | undefined): Entry | undefined {
  if (stored === undefined || copy === undefined) return stored ?? copy;
  if (stored.version !== undefined && copy.version !== undefined) return stored;
  return loadedAt(copy) > loadedAt(stored) ? copy : stored;
}

/**
 * {@link newer}, of what was read from a backend just now and a copy. Without versions an entry that was marked stale
 * seems to be as old as its whole `ttl`; but a copy of what that backend has, or had, is never newer.
 */
export function newerThanRead(read: Entry | undefined, copy: Entry | undefined): Entry | undefined {
  const isVersioned = read?.version !== undefined || copy?.version !== undefined;
  return read !== undefined && !isVersioned && copy?.isLocalOnly !== true ? read : newer(read, copy);
}

/**
 * Whether a stale entry may be served by a read without a loader: until its end; within the windows of the reader,
 * `windows`, where its store keeps none; and within its own where `keepFor` keeps it longer, for loaders alone. Pure.
 */
export function isServable(entry: Entry, now: number, windows: Windows): boolean {
  if (now >= entry.deadAt) return false;
  const { keepForMs, areWindowsUnknown } = entry.terms;
  if (keepForMs === undefined && areWindowsUnknown === undefined) return true;
  const ofReader = areWindowsUnknown === undefined ? NO_WINDOWS : windows;
  return WINDOWS.some((name) => now < entry.staleAt + windowMs(entry, ofReader, name));
}

const WINDOWS = ["staleWhileRevalidateMs", "staleIfErrorMs"] as const;
/** A reader without windows: those of the entry count. */
const NO_WINDOWS: Partial<Windows> = {};

/** How the version begins that {@link Backend.markStale} gives an entry. */
export const MARKED = "stale-";

/** Whether a call ended its freshness: of this process, or of any where the backend keeps versions. Pure. */
export const isMarked = ({ terms, version }: Entry): boolean =>
  terms.isMarked === true || version?.startsWith(MARKED) === true;

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

/** The same entry, stale from `now` on: its windows begin now; its life ends no later than before. Pure. */
export function staleFrom(entry: Entry, now: number): Entry {
  if (entry.staleAt <= now) return entry;
  const staleAt = wholeInstant(now);
  const expiresAt = Math.min(entry.expiresAt, staleAt + staleLifeMs(entry.terms));
  return {
    ...entry,
    ttlMs: entry.ttlMs === Infinity ? Infinity : lifeOf(entry, staleAt).ageMs,
    staleAt,
    expiresAt,
    deadAt: Math.min(entry.deadAt, expiresAt),
    terms: { ...entry.terms, isMarked: true },
  };
}

/**
 * The same entry after one of its tags was marked stale: stale immediately. Versions carry no instant, so its windows
 * end at the same instants as before. A reader's window counts from `now`, and after the former `staleAt` from there.
 * Pure.
 */
export function staleByTag(entry: Entry, now: number): Entry {
  if (entry.staleAt <= now) return entry;
  const staleAt = wholeInstant(now);
  const leftMs = entry.staleAt - staleAt;
  const { staleWhileRevalidateMs, staleIfErrorMs } = entry.terms;
  const longer = (windowMs: number): number => (windowMs === 0 ? 0 : windowMs + leftMs);
  return {
    ...entry,
    ttlMs: entry.ttlMs === Infinity ? Infinity : lifeOf(entry, staleAt).ageMs,
    staleAt,
    terms: {
      ...entry.terms,
      staleWhileRevalidateMs: longer(staleWhileRevalidateMs),
      staleIfErrorMs: longer(staleIfErrorMs),
      isMarked: true,
    },
  };
}

/** A window that is not stored is as long as the reader's, within the life of the entry. */
const windowMs = ({ terms }: Entry, windows: Partial<Windows>, name: (typeof WINDOWS)[number]): number =>
  Math.min(terms[name], windows[name] ?? (terms.areWindowsUnknown ? 0 : Infinity));

const aheadAt = ({ staleAt, ttlMs, terms: { touchedMs = ttlMs } }: Entry, fraction: number): number =>
  fraction === 1 || touchedMs === Infinity ? Infinity : staleAt - touchedMs * (1 - fraction);

/**
 * An entry that never becomes stale counts as loaded last: the other copy is only read because it can end. One that
 * would never have become stale, but was made stale, has no known age and counts as loaded first.
 */
function loadedAt(entry: Entry): number {
  if (entry.ttlMs === Infinity) return entry.staleAt === Infinity ? Infinity : -Infinity;
  return entry.staleAt - entry.ttlMs;
}
