import { CacheError } from "@hotset/core";
import { errorPage } from "@hotset/core/internal";

declare module "@hotset/core" {
  interface CacheErrorCodes {
    readonly UNRECOVERABLE_JOB: true;
    readonly JOB_LOST: true;
    readonly JOB_TIMEOUT: true;
  }
}

/** For a handler to throw: its job is not tried again, and goes to the dead letters with this message. */
export class UnrecoverableError extends CacheError {
  override readonly name = "UnrecoverableError";
  override readonly code = "UNRECOVERABLE_JOB";
  override readonly url: string = errorPage(this.code);
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
