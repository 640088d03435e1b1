import type { Mismatch } from "../contracts/events.ts";

/** A change of a key or tag that this process called itself. */
export interface OwnChange {
  readonly namespace: readonly string[];
  readonly at: number;
}

/** What is known of a value that differs. Instants are by one clock. */
export interface Evidence {
  readonly now: number;
  /** When the entry was written; `undefined` for one whose `ttl` is `Infinity`. */
  readonly writtenAt: number | undefined;
  /** When the source last changed, as it says itself. */
  readonly changedAt: number | undefined;
  /** How old a value may be that no longer is what the source has; `undefined` where it is not known. */
  readonly acceptsMs: number | undefined;
  /** The last time this process changed the key. */
  readonly ownChangeAt: number | undefined;
  /** The last time it changed the same key, or invalidated a tag of the entry, in another namespace alone. */
  readonly otherChange: OwnChange | undefined;
  readonly isCopyBehind: boolean;
  readonly isSharedKey: boolean;
}

/** Clocks of a source and of this process differ by less, and a value is loaded within it. */
const TOLERANCE_MS = 1_000;
/** A transaction that a delete comes before has ended by then. */
const EARLY_MS = 1_000;
/** Entries have whole instants. */
const WHOLE_MS = 1;

export type Judgement = Pick<Mismatch, "verdict" | "why" | "otherNamespace" | "changedMs">;

/**
 * Says what a difference means, as far as one alone can: pure.
 *
 * A copy that is behind the backend, or a key that two callers mean different things by, is wrong at any age. With the
 * instant of the last change the source says itself whether the entry was right when it was written, and for how long
 * it has not been. Without it, what this process invalidated explains some; all else may be drift that the `ttl`
 * permits, or a change without an invalidation, and shows only over many.
 */
export function judgeMismatch(of: Evidence): Judgement {
  const { now, writtenAt, changedAt, acceptsMs, ownChangeAt, otherChange } = of;
  const changedMs = changedAt === undefined ? undefined : Math.max(0, now - changedAt);
  const known = changedMs === undefined ? {} : { changedMs };
  if (of.isSharedKey) return { verdict: "wrong", why: "shared-key", ...known };
  if (of.isCopyBehind) return { verdict: "wrong", why: "copy-behind", ...known };
  const sinceDelete = writtenAt === undefined || ownChangeAt === undefined ? undefined : writtenAt - ownChangeAt;
  const isEarly = sinceDelete !== undefined && sinceDelete > -WHOLE_MS && sinceDelete <= EARLY_MS;
  // The source may have changed after the delete and before the load, and then the load had it.
  if (isEarly && (changedAt === undefined || changedAt > ownChangeAt!))
    return { verdict: "wrong", why: "early-delete", ...known };
  if (writtenAt !== undefined && otherChange !== undefined && otherChange.at > writtenAt)
    return { verdict: "wrong", why: "other-namespace", otherNamespace: otherChange.namespace, ...known };
  if (writtenAt !== undefined && changedAt !== undefined && changedAt < writtenAt - TOLERANCE_MS)
    return { verdict: "wrong", why: "loaded-wrong", ...known };
  const ageMs = changedMs ?? (writtenAt === undefined ? undefined : now - writtenAt);
  if (acceptsMs !== undefined && ageMs !== undefined && ageMs <= acceptsMs) return { verdict: "drift", ...known };
  if (changedMs === undefined) return { verdict: "unclear" };
  return acceptsMs === undefined
    ? { verdict: "drift", ...known }
    : { verdict: "wrong", why: "not-invalidated", ...known };
}
