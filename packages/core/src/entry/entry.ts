import type { TagVersion } from "../contracts/capabilities.ts";
import type { LocalEntry } from "../contracts/local-tier.ts";
import type { Meter } from "../primitives/meters.ts";

/**
 * A value with its freshness, validators and tags. Instants are `clock.now()` of this process, see `wholeInstant`.
 *
 *     loadedAt ──fresh──▶ staleAt ──stale──▶ expiresAt ──expired──▶
 *
 * Immutable once built, except for `tagSequence`, `epoch` and `meter`. A process holds a hundred thousand of them:
 * common parts are in `terms`, and `newEntry`, `storedEntry` and the codec's `emptyEntry` give them the same fields in
 * the same order, so that they have few shapes.
 */
export interface Entry extends LocalEntry {
  /** How long it was fresh when it was written, jitter included. Its age is this minus the remaining freshness. */
  readonly ttlMs: number;
  readonly staleAt: number;
  /** The end of its life, here and in the backend. */
  readonly expiresAt: number;
  /** The end of this copy: `expiresAt`, or earlier because of `localTtl`. */
  readonly deadAt: number;
  readonly terms: Terms;
  /** The tag versions under which it was stored, in the order of `terms.dependsOn`; absent if no backend keeps it. */
  readonly versions?: readonly TagVersion[] | undefined;
  /** Identifies the write that stored it, if the backend keeps versions. */
  readonly version?: string | undefined;
  /** Only in a local copy that no backend has, since it did not take the value. */
  readonly isLocalOnly?: true;
  /** Number of the last tag event that it was checked against, see `TagEvents`. */
  tagSequence: number;
  /** Only in a local copy: the epoch in which it was last known to equal the backend's entry, see `Trust`. */
  epoch?: { readonly until: number } | undefined;
  readonly encoding?: Encoding | undefined;
  /** Only in a local copy, from its first hit on: counts its hits, where keys are counted by group. */
  meter?: Meter;
}

/** Shared by many entries of a namespace. Immutable. */
export interface Terms extends LifeLimits, Labels {
  /** Keys of the tag versions it depends on: its tags and its namespaces, see `dependencies`. */
  readonly dependsOn: readonly string[];
  /** Read where data may be older than an acknowledged write: no local tier keeps it. Not stored. @default false */
  readonly mayLag?: boolean;
  /** A call of this process, or one on a tag, ended its freshness. Not stored. @default false */
  readonly isMarked?: boolean;
  /** Why the entry holds no value, if it is a {@link Placeholder}. @default an ordinary entry */
  readonly placeholder?: Placeholder;
}

/**
 * An entry without a value describes the last load of its key. No tier serves it; a load that finds it takes no lease.
 *
 * - `not-stored`: its value was for the callers of that load. Each process loads for itself
 * - `not-shared`: its value was for one caller. Each caller loads for itself
 */
export type Placeholder = "not-stored" | "not-shared";

export interface LifeLimits {
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  /** How long after its freshness loaders get it, although no call does. Absent: not beyond the windows. */
  readonly keepForMs?: number | undefined;
  /** With `inherit`, how long after the load its parts are fresh. No touch gives more. Absent: no limit. */
  readonly inheritedMs?: number | undefined;
  /** How long it was fresh when it was touched last. Absent: as `ttlMs`. */
  readonly touchedMs?: number | undefined;
  /** Maximum life of a local copy, set by the writer; stored with the entry so that a promotion respects it. */
  readonly localTtlMs: number;
  /** True: the store keeps no windows. Both are the rest of its life, and a reader serves it only within its own. */
  readonly areWindowsUnknown?: true | undefined;
}

export interface Labels {
  readonly tags: readonly string[];
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
}

/**
 * The whole millisecond that `now` is in, for the instants of an entry: a life ends at most that much too early, never
 * too late. V8 keeps a fraction, and a number of 2^31 or more, in an object of 16 bytes.
 */
export const wholeInstant = (now: number): number => Math.floor(now);

/** How long an entry lives after its freshness. */
export const staleLifeMs = ({ staleWhileRevalidateMs, staleIfErrorMs, keepForMs = 0 }: LifeLimits): number =>
  Math.max(staleWhileRevalidateMs, staleIfErrorMs, keepForMs);

/** The parts of a new entry. */
export interface NewEntry {
  readonly value: unknown;
  readonly ttlMs: number;
  readonly terms: Terms;
  readonly now: number;
  readonly tagSequence: number;
  readonly version: string | undefined;
}

/** An entry whose life begins now, not stored yet. */
export function newEntry({ value, ttlMs, terms, now, tagSequence, version }: NewEntry): Entry {
  const staleAt = wholeInstant(now) + ttlMs;
  const expiresAt = staleAt + staleLifeMs(terms);
  return {
    value,
    ttlMs,
    staleAt,
    expiresAt,
    deadAt: expiresAt,
    terms,
    tagSequence,
    epoch: undefined,
    version,
  };
}

/** A value in the form in which a backend stores it. */
export interface StoredForm {
  readonly data: Uint8Array;
  readonly encoding: Encoding;
  /** The size before compression, where `data` is compressed. */
  readonly uncompressedBytes?: number;
}

/** The same entry as a backend keeps it: under these tag versions, in this form. */
export function storedEntry(
  { value, ttlMs, staleAt, expiresAt, deadAt, terms, tagSequence, epoch, version }: Entry,
  versions: readonly TagVersion[] | undefined,
  { encoding, data, uncompressedBytes }: StoredForm,
): Entry {
  return {
    value,
    ttlMs,
    staleAt,
    expiresAt,
    deadAt,
    terms,
    tagSequence,
    epoch,
    version,
    versions,
    encoding,
    encodedBytes: data.length,
    uncompressedBytes,
  };
}

/** Ids of the format and the compressor with which a backend stores the entry. Its size there is `encodedBytes`. */
export interface Encoding {
  readonly format: string;
  readonly compressor: string;
}
