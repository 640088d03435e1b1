/** The codes of {@link CacheError}. Other packages add theirs by declaration merging. */
export interface CacheErrorCodes {
  readonly INVALID_ARGUMENT: true;
  readonly INVALID_CONFIGURATION: true;
  readonly MISSING_CONNECTION: true;
  readonly BACKEND_UNAVAILABLE: true;
  readonly ENCODE_FAILED: true;
  readonly DECODE_FAILED: true;
  readonly LOAD_TIMEOUT: true;
  readonly INVALID_VALUE: true;
  readonly REENTRANT_LOAD: true;
  readonly OVERLOADED: true;
  readonly CACHE_CLOSED: true;
}

/** The `code` of an error. */
export type CacheErrorCode = keyof CacheErrorCodes;

/** The details of an error next to its message. */
export interface CacheErrorDetails {
  /** Label of the tier in which it happened, if any. */
  readonly tier?: string | undefined;
  /** The operation that failed, such as `read` or `getOrSet`. */
  readonly operation?: string | undefined;
  /** The error behind it. */
  readonly cause?: unknown;
}

/** The page on which every `code` has a heading. */
const ERRORS_PAGE = "https://github.com/hotset/hotset/blob/main/docs/reference/errors.md";

/** Where the page of errors explains `code`: for the `url` of a {@link CacheError}. */
export const errorPage = (code: CacheErrorCode): string => `${ERRORS_PAGE}#${code.toLowerCase()}`;

/**
 * Base class of every error that this library throws. Errors of a loader are passed on unchanged. Match on `code`:
 * messages are for people and may change. Contains no value, password or credential.
 */
export abstract class CacheError extends Error {
  /** Stable: match on it. */
  abstract readonly code: CacheErrorCode;
  /** The page that says when this `code` occurs and what to do. `console.error` and uncaught errors print it. */
  abstract readonly url: string;
  /** Label of the tier that failed. */
  declare readonly tier?: string;
  /** The operation that failed, such as `read` or `getOrSet`. */
  declare readonly operation?: string;

  constructor(message: string, details: CacheErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    if (details.tier !== undefined) this.tier = details.tier;
    if (details.operation !== undefined) this.operation = details.operation;
  }
}

/** A key, option or value that can never work. */
export class InvalidArgumentError extends CacheError {
  override readonly name = "InvalidArgumentError";
  override readonly code = "INVALID_ARGUMENT";
  override readonly url: string = errorPage(this.code);
}

/** The cache was configured in a way that can never work. */
export class ConfigurationError extends CacheError {
  override readonly name = "ConfigurationError";
  override readonly code = "INVALID_CONFIGURATION";
  override readonly url: string = errorPage(this.code);
}

/** A backend was built without a connection. */
export class MissingConnectionError extends CacheError {
  override readonly name = "MissingConnectionError";
  override readonly code = "MISSING_CONNECTION";
  override readonly url: string = errorPage(this.code);
}

/**
 * The backend could not be reached, or did not answer in time. Retrying may help; a write may have happened. Counts as
 * a failure for the circuit breaker.
 */
export class BackendUnavailableError extends CacheError {
  override readonly name = "BackendUnavailableError";
  override readonly code = "BACKEND_UNAVAILABLE";
  override readonly url: string = errorPage(this.code);
  /** `false` for refused credentials and certificates. @default true */
  declare readonly retryable: boolean;
  /** Whether the command may have been executed. @default true */
  declare readonly maybeExecuted: boolean;

  constructor(
    message: string,
    details: CacheErrorDetails & {
      readonly retryable?: boolean | undefined;
      readonly maybeExecuted?: boolean | undefined;
    } = {},
  ) {
    super(message, details);
    this.retryable = details.retryable ?? true;
    this.maybeExecuted = details.maybeExecuted ?? true;
  }
}

/** The format or compressor cannot write the value. */
export class EncodeError extends CacheError {
  override readonly name = "EncodeError";
  override readonly code = "ENCODE_FAILED";
  override readonly url: string = errorPage(this.code);
}

/** Stored bytes cannot be read. Appears only in events: callers get a miss. */
export class DecodeError extends CacheError {
  override readonly name = "DecodeError";
  override readonly code = "DECODE_FAILED";
  override readonly url: string = errorPage(this.code);
}

/** `hardTimeout` or `loadTimeout` passed and no stale value could be served as fallback. */
export class LoadTimeoutError extends CacheError {
  override readonly name = "LoadTimeoutError";
  override readonly code = "LOAD_TIMEOUT";
  override readonly url: string = errorPage(this.code);
}

/** A schema that checks loads (`schema: { of, checks: "all" }`) refuses what a loader gave. */
export class InvalidValueError extends CacheError {
  override readonly name = "InvalidValueError";
  override readonly code = "INVALID_VALUE";
  override readonly url: string = errorPage(this.code);
}

/** A loader requested the key that it is loading. */
export class ReentrantLoadError extends CacheError {
  override readonly name = "ReentrantLoadError";
  override readonly code = "REENTRANT_LOAD";
  override readonly url: string = errorPage(this.code);
}

/** `maxWaiting` calls wait already. One object serves all refused calls of a cache: a stack would cost more. */
export class OverloadedError extends CacheError {
  override readonly name = "OverloadedError";
  override readonly code = "OVERLOADED";
  override readonly url: string = errorPage(this.code);
}

/** The cache was closed. */
export class CacheClosedError extends CacheError {
  override readonly name = "CacheClosedError";
  override readonly code = "CACHE_CLOSED";
  override readonly url: string = errorPage(this.code);
}
