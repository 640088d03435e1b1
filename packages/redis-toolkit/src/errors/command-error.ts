import { CacheError } from "@hotset/core";
import { errorPage } from "@hotset/core/internal";

/**
 * Why Redis, or the toolkit before it, refused a command:
 *
 * - `WRONG_TYPE`: the key holds another type
 * - `NOT_A_NUMBER`: the value is not a number, the result would be out of range, or it is beyond 2^53
 * - `CORRUPT_VALUE`: the stored value cannot be read as what was asked for
 * - `OUT_OF_MEMORY`, `PERSISTENCE_FAILED`, `TOO_FEW_REPLICAS`: the server takes no writes for now
 * - `READ_ONLY`: the server is a replica
 * - `TRY_AGAIN`: the server starts, runs a long script, or moves the slot; nothing was executed
 * - `UNBLOCKED`: a blocking command was ended by a failover or by another client
 * - `NO_PERMISSION`: the user may not run this command, or touch this key or channel
 * - `CROSS_SLOT`: the keys of one command lie in different slots of the cluster
 * - `UNKNOWN_COMMAND`: the server does not have it
 * - `ABORTED`: `EXEC` ran nothing, because a command before it was refused
 * - `SCRIPT_FAILED`: a script stopped at an error; what it wrote before that stays
 * - `REDIS_DISABLED`: `ENABLE_REDIS` is off
 * - `REFUSED`: any other error reply
 */
export type CommandErrorCode =
  | "WRONG_TYPE"
  | "NOT_A_NUMBER"
  | "CORRUPT_VALUE"
  | "OUT_OF_MEMORY"
  | "PERSISTENCE_FAILED"
  | "TOO_FEW_REPLICAS"
  | "READ_ONLY"
  | "TRY_AGAIN"
  | "UNBLOCKED"
  | "NO_PERMISSION"
  | "CROSS_SLOT"
  | "UNKNOWN_COMMAND"
  | "ABORTED"
  | "SCRIPT_FAILED"
  | "REDIS_DISABLED"
  | "REFUSED";

declare module "@hotset/core" {
  interface CacheErrorCodes extends Readonly<Record<CommandErrorCode, true>> {}
}

/** The parts of a {@link CommandError}. */
export interface CommandErrorDetails {
  /** Why it was refused. */
  readonly code: CommandErrorCode;
  /** The command, in capitals; for a script of a module its call, such as `locks.acquire`. */
  readonly operation: string;
  /** As {@link CommandError.retryable}. @default false */
  readonly retryable?: boolean | undefined;
  /** As {@link CommandError.maybeExecuted}. @default false */
  readonly maybeExecuted?: boolean | undefined;
  /** The error reply. */
  readonly cause?: unknown;
}

/**
 * A command that Redis answered with an error, or that was refused before it was sent. Where Redis could not be
 * reached the error is a `BackendUnavailableError`. Holds no key, no password, and no value but a number beyond 2^53.
 */
export class CommandError extends CacheError {
  override readonly name = "CommandError";
  override readonly code: CommandErrorCode;
  override readonly url: string;
  /** The command, in capitals; for a script of a module its call, such as `locks.acquire`. */
  declare readonly operation: string;
  /** Whether the same call may succeed later. @default false */
  readonly retryable: boolean;
  /** Whether some of it may have been executed. @default false */
  readonly maybeExecuted: boolean;

  constructor(message: string, details: CommandErrorDetails) {
    super(message, details);
    this.code = details.code;
    this.url = errorPage(details.code);
    this.retryable = details.retryable ?? false;
    this.maybeExecuted = details.maybeExecuted ?? false;
  }
}
