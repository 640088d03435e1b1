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
  /** Only in a local copy: the epoch in which it was last known to equal the backend's entry, see `Trust`. */
  epoch?: { readonly until: number } | undefined;
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
