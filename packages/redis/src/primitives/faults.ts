import { BackendUnavailableError, ConfigurationError, InvalidArgumentError } from "@hotset/core";
import { conceal } from "./secrets.ts";

/** The backend and the operation that caused a command. */
export interface Origin {
  /** Label of the backend. */
  readonly tier: string;
  readonly operation: string;
}

/**
 * The error of a command that was not answered in time.
 *
 * @param command `server`: host and port where it was sent, or waits to be sent; `undefined` where that is not known.
 */
export function overdue(
  origin: Origin,
  deadlineMs: number,
  { isSent, server }: { readonly isSent: boolean; readonly server: string | undefined },
): BackendUnavailableError {
  const where = server === undefined ? "" : ` ${isSent ? "by" : "to"} ${server}`;
  const advice = isSent
    ? "check responseTimeout, and whether Redis is overloaded or unreachable"
    : "check that Redis listens there, with TLS or without as the URL says, and that it is not overloaded; see responseTimeout";
  return new BackendUnavailableError(
    `${origin.tier}: ${origin.operation} was not ${isSent ? "answered" : "sent"} within ${deadlineMs} ms${where}; ${advice}`,
    { ...origin, maybeExecuted: isSent },
  );
}

/** The error of a command when too many are waiting. */
export const overloaded = (origin: Origin, maxInFlight: number): BackendUnavailableError =>
  new BackendUnavailableError(
    `${origin.tier}: ${origin.operation} was refused: ${maxInFlight} commands are in flight and many times as many wait; see maxInFlight`,
    { ...origin, maybeExecuted: false },
  );

/**
 * The error of a connection that was lost, and of the commands in flight on it, which may have been executed.
 *
 * @param address for the message. Not a URL, which could hold credentials.
 */
export const lost = (address: string, reason: Error): BackendUnavailableError =>
  new BackendUnavailableError(`the connection to Redis at ${address} was lost: ${reason.message}`, { cause: reason });

/** The error of a command made while Redis is unreachable. `cause` says why. */
export const unreachable = (origin: Origin, cause: BackendUnavailableError): BackendUnavailableError =>
  new BackendUnavailableError(`${origin.tier}: ${origin.operation} was not sent: ${cause.message}`, {
    ...origin,
    cause,
    retryable: cause.retryable,
    maybeExecuted: false,
  });

/**
 * Replies that say "not now": the server has executed nothing, and may do so later.
 *
 * @see https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors for the first word being the kind
 */
const NOT_NOW = /^(?:LOADING|BUSY|TRYAGAIN|CLUSTERDOWN|MASTERDOWN) /;

/**
 * The error of a failed command, for the caller. An error reply to this one command (no memory, no permission) is
 * passed on as it is: it proves that the backend is reachable. All other errors mean that it could not be reached.
 */
export function fault(origin: Origin, error: unknown): unknown {
  if (error instanceof BackendUnavailableError) {
    const { retryable, maybeExecuted } = error;
    const outcome = maybeExecuted ? "; it may have been executed" : "";
    return new BackendUnavailableError(`${origin.tier}: ${origin.operation} failed: ${error.message}${outcome}`, {
      ...origin,
      cause: error,
      retryable,
      maybeExecuted,
    });
  }
  const reason = error instanceof Error ? error : new Error(String(error));
  // The replies to a client of the user come as its server wrote them.
  conceal(reason);
  if (!isReply(reason)) {
    return new BackendUnavailableError(
      `${origin.tier}: the connection was lost during ${origin.operation}: ${reason.message}`,
      { ...origin, cause: reason },
    );
  }
  const liesElsewhere: boolean = isRedirection(reason);
  if (liesElsewhere)
    return new BackendUnavailableError(
      `${origin.tier}: ${origin.operation} was refused: its key lies on another node of a cluster ` +
        `(${reason.message}); where Redis is a cluster, connect by cluster([url])`,
      { ...origin, cause: reason, retryable: false, maybeExecuted: false },
    );
  if (!NOT_NOW.test(reason.message)) return reason;
  return new BackendUnavailableError(`${origin.tier}: Redis refused ${origin.operation} for now: ${reason.message}`, {
    ...origin,
    cause: reason,
    maybeExecuted: false,
  });
}

/**
 * A reply to a command that was sent to one node: its key lies elsewhere. Nothing was executed.
 *
 * @see https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#redirection-and-resharding
 */
export const isRedirection = (error: unknown): error is Error =>
  error instanceof Error && /^(?:MOVED|ASK) \d+ /.test(error.message);

/** Whether `error` is a reply that says "not now". */
export const isTemporary = (error: unknown): boolean => error instanceof Error && NOT_NOW.test(error.message);

/**
 * Whether Redis answered with an error. Decided by the form of the message, and by the name of the class: a client of
 * the user may come from another copy of node-redis. Scripts reply with any text, and bundlers rename classes.
 */
export const isReply = (error: unknown): boolean =>
  error instanceof Error && !("code" in error) && (/^[A-Z][A-Z0-9_]+ /.test(error.message) || isOfReplies(error));

/** Of node-redis, and of ioredis. */
const REPLY_CLASSES: ReadonlySet<string> = new Set(["ErrorReply", "ReplyError"]);

function isOfReplies(error: Error): boolean {
  for (let of: unknown = Object.getPrototypeOf(error); of !== null; of = Object.getPrototypeOf(of))
    if (REPLY_CLASSES.has(String((of as Partial<object>).constructor?.name))) return true;
  return false;
}

/**
 * The error of a failed connection attempt. It says whether trying again can help.
 *
 * @param address for the message. Not a URL, which could hold credentials.
 */
export function connectFault(address: string, error: unknown): BackendUnavailableError {
  if (error instanceof BackendUnavailableError) return error;
  const cause = error instanceof Error ? error : new Error(String(error));
  const isMistake = cause instanceof ConfigurationError || cause instanceof InvalidArgumentError;
  const { advice, retryable } = isMistake ? final("see the cause") : diagnose(cause);
  // Sentences of Redis end with a stop.
  const reason = cause.message.replace(/\.$/, "");
  return new BackendUnavailableError(`Redis at ${address} cannot be used: ${reason}; ${advice}`, {
    operation: "connect",
    cause,
    retryable,
    maybeExecuted: false,
  });
}

interface Diagnosis {
  readonly advice: string;
  readonly retryable: boolean;
}

function diagnose(error: Error): Diagnosis {
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  for (const [pattern, diagnosis] of DIAGNOSES) {
    if (pattern.test(`${code} ${error.message}`)) return diagnosis;
  }
  return { advice: "check that the server runs and that the address is right", retryable: true };
}

const final = (advice: string): Diagnosis => ({ advice, retryable: false });

/** Matched against code and message, in this order. */
const DIAGNOSES: readonly (readonly [RegExp, Diagnosis])[] = [
  [
    /^ (?:WRONGPASS|NOAUTH|ERR invalid password|ERR Client sent AUTH|ERR AUTH )/,
    final(
      "check username and password (behind sentinels the primary takes .username() and .password(), not those of the URLs)",
    ),
  ],
  [/^ NOPERM /, final("grant the user what docs/guide/redis.md lists")],
  [/^ (?:NOPROTO|ERR unknown command.*HELLO)/i, final("the server speaks RESP2 only: set .protocol(2)")],
  [/^ (?:ERR DB index|ERR invalid DB|ERR SELECT )/, final("check the database number in the URL")],
  [/^ DENIED /, final("the server admits local clients only: set a password or bind address there")],
  [
    /Unknown RESP type/,
    final("the server is not Redis: check host and port, and use rediss: where the server speaks TLS"),
  ],
  [
    /CERT|SELF_SIGNED|UNABLE_TO_|ALTNAME/,
    final(
      "the certificates were rejected: check tls.ca, tls.cert, tls.key, tls.servername and tls.pins; they are always verified",
    ),
  ],
  [
    /^(?:ERR_SSL|EPROTO|ERR_TLS|ERR_OSSL)/,
    final(
      "the TLS handshake failed: check that the server speaks TLS on this port, and that tls.cert and tls.key are right",
    ),
  ],
  [/^ ERR This instance has cluster support disabled/, final("the server is not in a cluster: use single(url)")],
  [
    /^ ERR unknown command.*SENTINEL/i,
    final(
      "the server is not a sentinel: give the addresses of sentinels, on port 26379 by default, or use single(url)",
    ),
  ],
  [/no sentinel knows/, final("check primaryName")],
  [/it is a replica/, { advice: "the sentinels have not agreed yet", retryable: true }],
  [
    /ECONNRESET|Socket closed unexpectedly/,
    {
      advice: "the server hung up before it answered: check host and port, and use rediss: where the server speaks TLS",
      retryable: true,
    },
  ],
  [
    /no answer within/,
    {
      advice:
        "check that Redis listens there, with TLS or without as the URL says, and that no packets are dropped on the way; see connectTimeout",
      retryable: true,
    },
  ],
  [/the (?:password|tls) function failed/, { advice: "see the cause", retryable: true }],
];

/** Whether the server has forgotten, or does not know yet, the user of this connection: the connection is useless. */
export const isLoggedOut = (error: unknown): boolean => isReply(error) && (error as Error).message.startsWith("NOAUTH");

/**
 * Whether the server will answer the same each time: the user may not send this command, or the server does not know
 * it.
 */
export const isRefusal = (error: unknown): boolean => isReply(error) && !isTemporary(error) && !isLoggedOut(error);

/** `undefined` where the server answers with an error. */
export async function unlessRefused<T>(reply: Promise<T>): Promise<T | undefined> {
  try {
    return await reply;
  } catch (error) {
    if (isReply(error)) return undefined;
    throw error;
  }
}

/** Whether the key is of another type than the command is for. */
/** Whether the server has forgotten a script, as after a restart or SCRIPT FLUSH: it carried out nothing. */
export const isNoScript = (error: unknown): boolean => error instanceof Error && error.message.startsWith("NOSCRIPT");

export const isWrongType = (error: unknown): boolean => error instanceof Error && error.message.startsWith("WRONGTYPE");

/** Whether a node cannot answer now, and another one with the same keys may. */
export const isUnfit = (error: unknown): boolean =>
  error instanceof BackendUnavailableError ||
  (error instanceof Error && /^(?:MASTERDOWN|LOADING) /.test(error.message));
