import type { KeySpace } from "../entry/key.ts";

/**
 * How a call with a loader got its value: from a tier, fresh or stale; by a load that another call had begun, or by
 * its own; or an error.
 */
export type AnsweredBy = "hit" | "stale" | "joined" | "loaded" | "failed";

/** A value that a loader gave. */
export interface SeenLoad {
  readonly space: KeySpace;
  readonly key: string;
  readonly kind: "value" | "nothing" | "not-modified" | "no-store" | "not-shared";
  readonly value: unknown;
  /** Whether the entry that it replaces has a value other than `null`. */
  readonly hadValue: boolean;
  /** Whether many were loaded in one call. */
  readonly isOfBatch: boolean;
  /** By the clock of the cache. */
  readonly startedAt: number;
}

/** Sees each call that a fresh copy in memory does not answer, and what loaders give. */
export interface CallObserver {
  answered(at: { readonly space: KeySpace; readonly key: string }, by: AnsweredBy, ms: number): void;
  loaded(load: SeenLoad): void;
}
