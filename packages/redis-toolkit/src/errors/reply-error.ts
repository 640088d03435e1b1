import { CacheError } from "@hotset/core";
import { isReply } from "@hotset/redis/internal";
import { CommandError, type CommandErrorCode } from "./command-error.ts";

/**
 * The error for the caller of `operation`: an error reply as a {@link CommandError}, anything else unchanged.
 *
 * Decided by the form of the message, since a client of the user may come from another copy of node-redis, and bundlers
 * rename classes. Scripts of the caller reply with any text.
 *
 * @param script where a script of this package replied: whether it was made to have written nothing where it stops.
 */
export function replyError(
  operation: string,
  error: unknown,
  { isOwnScript = false, isWhole = false }: ScriptKind = {},
): unknown {
  if (error instanceof CacheError || !(error instanceof Error)) return error;
  const kind = /^-?([A-Z][A-Z0-9_]*)(?: |$)/.exec(error.message)?.[1];
  if ("code" in error || (kind === undefined && !isReply(error))) return error;
  const code = kind === "ERR" ? codeOfText(error.message) : (CODES[kind ?? ""] ?? "REFUSED");
  const text = isOwnScript ? error.message.replace(PLACE, "") : error.message;
  const isMadeUp = code === "REFUSED" && OF_CALLERS.has(operation);
  return new CommandError(`${operation} was refused by Redis: ${withoutArguments(text)}`, {
    code,
    operation,
    retryable: RETRYABLE.has(code),
    maybeExecuted: !isWhole && (code === "SCRIPT_FAILED" || IN_SCRIPT.test(error.message) || isMadeUp),
  });
}

interface ScriptKind {
  readonly isOwnScript?: boolean;
  readonly isWhole?: boolean | undefined;
}

/** By the first word of a reply. @see https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors */
const CODES: Readonly<Record<string, CommandErrorCode>> = {
  WRONGTYPE: "WRONG_TYPE",
  OOM: "OUT_OF_MEMORY",
  MISCONF: "PERSISTENCE_FAILED",
  NOREPLICAS: "TOO_FEW_REPLICAS",
  READONLY: "READ_ONLY",
  LOADING: "TRY_AGAIN",
  BUSY: "TRY_AGAIN",
  TRYAGAIN: "TRY_AGAIN",
  CLUSTERDOWN: "TRY_AGAIN",
  MASTERDOWN: "TRY_AGAIN",
  UNBLOCKED: "UNBLOCKED",
  NOPERM: "NO_PERMISSION",
  NOAUTH: "NO_PERMISSION",
  CROSSSLOT: "CROSS_SLOT",
  EXECABORT: "ABORTED",
};

/** Replies of the kind `ERR` differ in their text alone. */
const TEXTS: readonly (readonly [RegExp, CommandErrorCode])[] = [
  [/unknown (?:sub)?command/i, "UNKNOWN_COMMAND"],
  [/not an integer|not a valid float|would overflow|not a float|not a number|NaN or Infinity/i, "NOT_A_NUMBER"],
  [/error (?:running|compiling) script|user_script/i, "SCRIPT_FAILED"],
];

/** The line of the script, at the end of an error that a command in it replied. */
const PLACE = / script: [0-9a-f]{40}, on @user_script:\d+\.$/;
const IN_SCRIPT = /user_script|script: [0-9a-f]{40}/;

/** Commands that run code of the caller: an error that it makes up may come after changes. */
const OF_CALLERS: ReadonlySet<string> = new Set(["EVAL", "EVALSHA", "FCALL"]);

const codeOfText = (message: string): CommandErrorCode =>
  TEXTS.find(([pattern]) => pattern.test(message))?.[1] ?? "REFUSED";

const RETRYABLE: ReadonlySet<CommandErrorCode> = new Set([
  "OUT_OF_MEMORY",
  "PERSISTENCE_FAILED",
  "TOO_FEW_REPLICAS",
  "READ_ONLY",
  "TRY_AGAIN",
  "UNBLOCKED",
]);

/** Replies to unknown commands quote their arguments, which may be values or passwords. */
function withoutArguments(message: string): string {
  const at = message.search(/,? with args beginning with/i);
  return (at === -1 ? message : message.slice(0, at)).slice(0, 300);
}
