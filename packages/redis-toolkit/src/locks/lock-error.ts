import { CacheError } from "@hotset/core";
import { errorPage } from "@hotset/core/internal";

declare module "@hotset/core" {
  interface CacheErrorCodes extends Readonly<Record<"LOCK_UNAVAILABLE" | "LOCK_LOST", true>> {}
}

export interface LockUnavailableDetails {
  readonly resources: readonly string[];
  readonly retryAfterMs: number | undefined;
}

/**
 * Others hold it, and the caller's `wait` has ended. Redis answered: where it does not the error is a
 * `BackendUnavailableError`, and whether the lock is held is not known.
 */
export class LockUnavailableError extends CacheError {
  override readonly name = "LockUnavailableError";
  override readonly code = "LOCK_UNAVAILABLE";
  override readonly url: string = errorPage(this.code);
  /** Sorted. */
  readonly resources: readonly string[];
  /** When the holder's time ends, unless it extends or releases; `undefined` where its key has no end. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, { resources, retryAfterMs }: LockUnavailableDetails) {
    super(message, { operation: "acquire" });
    this.resources = resources;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The lease ended before its holder released it: another may hold the lock. The reason of an aborted `signal`. */
export class LockLostError extends CacheError {
  override readonly name = "LockLostError";
  override readonly code = "LOCK_LOST";
  override readonly url: string = errorPage(this.code);
  /** Sorted. */
  readonly resources: readonly string[];

  constructor(message: string, resources: readonly string[]) {
    super(message, { operation: "lock" });
    this.resources = resources;
  }
}

const SHOWN_LENGTH = 60;

/** For messages: names, cut short. */
export function shownNames(names: readonly string[]): string {
  const [first = "", ...others] = names;
  const text = JSON.stringify(first.length > SHOWN_LENGTH ? `${first.slice(0, SHOWN_LENGTH)}…` : first);
  return others.length === 0 ? text : `${text} and ${others.length} more`;
}
