import { CacheError, type Duration } from "@hotset/core";
import { errorPage } from "@hotset/core/internal";

declare module "@hotset/core" {
  interface CacheErrorCodes {
    /** A handler says that no further attempt can succeed. */
    readonly UNRECOVERABLE_JOB: true;
    /** Another worker may have the job. */
    readonly JOB_LOST: true;
    /** A handler, or a wait for the end of a job, took too long. */
    readonly JOB_TIMEOUT: true;
    /** A handler has its job delivered again. */
    readonly JOB_PUT_BACK: true;
    /** A handler has not ended long after its signal was aborted. */
    readonly JOB_ABANDONED: true;
  }
}

/** Registered: errors of another copy of this package have them too. Not declared, so not part of the types. */
const UNRECOVERABLE = Symbol.for("@hotset/redis-toolkit/unrecoverable");
const PUT_BACK = Symbol.for("@hotset/redis-toolkit/put-back");

/** For a handler to throw: its job is not tried again, and goes to the dead letters with this message. */
export class UnrecoverableError extends CacheError {
  override readonly name = "UnrecoverableError";
  override readonly code = "UNRECOVERABLE_JOB";
  override readonly url: string = errorPage(this.code);

  static {
    Object.defineProperty(this.prototype, UNRECOVERABLE, { value: true });
  }
}

/**
 * For a handler to throw: its job is delivered again, and this delivery does not count as an attempt. Without a delay it
 * goes back to its place, so that a free worker gets it immediately.
 */
export class PutBackError extends CacheError {
  override readonly name = "PutBackError";
  override readonly code = "JOB_PUT_BACK";
  override readonly url: string = errorPage(this.code);

  /** @param delay not before it has passed. @default 0 */
  constructor(message: string, { delay = 0 }: { readonly delay?: Duration | undefined } = {}) {
    super(message);
    Object.defineProperty(this, PUT_BACK, { value: delay });
  }
}

/**
 * Whether a thrown value is an {@link UnrecoverableError}, of any copy of this package. Never throws: a handler may
 * throw what cannot be looked at, such as a revoked proxy.
 */
export const isUnrecoverable = (thrown: unknown): boolean => valueAt(thrown, UNRECOVERABLE) === true;

/** The delay of a {@link PutBackError}; `undefined` for all else. */
export const putBackDelay = (thrown: unknown): Duration | undefined =>
  valueAt(thrown, PUT_BACK) as Duration | undefined;

function valueAt(thrown: unknown, name: symbol): unknown {
  try {
    return (thrown as { readonly [name: symbol]: unknown } | null | undefined)?.[name];
  } catch {
    return undefined;
  }
}

/**
 * A delivery is not this worker's any more: its lease ended, or the job was removed. Another worker may have the job.
 * Its reports about it are refused.
 */
export class JobLostError extends CacheError {
  override readonly name = "JobLostError";
  override readonly code = "JOB_LOST";
  override readonly url: string = errorPage(this.code);
}

/** A handler took longer than the `timeout` of its job; or `finished` waited for longer than it should. */
export class JobTimeoutError extends CacheError {
  override readonly name = "JobTimeoutError";
  override readonly code = "JOB_TIMEOUT";
  override readonly url: string = errorPage(this.code);
}

/** A handler has not ended, long after its signal was aborted: its slot is free for another job, while it may still run. */
export class JobAbandonedError extends CacheError {
  override readonly name = "JobAbandonedError";
  override readonly code = "JOB_ABANDONED";
  override readonly url: string = errorPage(this.code);
}
