import { BackendUnavailableError, ConfigurationError } from "@hotset/core";

/** Who asked for what. */
export interface Origin {
  /** Label of the backend. */
  readonly tier: string;
  readonly operation: string;
}

/** A call that was not answered in time. */
export const overdue = (origin: Origin, deadlineMs: number, isSent: boolean): BackendUnavailableError =>
  new BackendUnavailableError(
    `${origin.tier}: ${origin.operation} was not ${isSent ? "answered" : "sent"} within ${deadlineMs} ms; see responseTimeout, and whether Redis is overloaded or out of reach`,
    { ...origin, maybeExecuted: isSent },
  );

/** A call beyond what may wait. */
export const overloaded = (origin: Origin, maxInFlight: number): BackendUnavailableError =>
  new BackendUnavailableError(
    `${origin.tier}: ${origin.operation} was refused: ${maxInFlight} commands are in flight and many times as many calls wait; see maxInFlight`,
    {
      ...origin,
      maybeExecuted: false,
    },
  );

/** A call made while there is no connection. `cause` says why there is none. */
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
const NOT_NOW = /^(?:LOADING|BUSY|TRYAGAIN|CLUSTERDOWN|MASTERDOWN|READONLY) /;

/**
 * What a command failed with, for the caller: an answer that refuses this one command (no memory,
 * no permission) is passed on as it is, since the backend is well; everything else means that it
 * could not be reached.
 */
export function fault(origin: Origin, error: unknown): unknown {
  if (error instanceof BackendUnavailableError) {
    const { retryable, maybeExecuted } = error;
    return new BackendUnavailableError(`${origin.tier}: ${origin.operation} failed: ${error.message}`, {
      ...origin,
      cause: error,
      retryable,
      maybeExecuted,
    });
  }
  const reason = error instanceof Error ? error : new Error(String(error));
  if (!isReply(reason)) {
    return new BackendUnavailableError(
      `${origin.tier}: the connection was lost during ${origin.operation}: ${reason.message}`,
      { ...origin, cause: reason },
    );
  }
  if (!NOT_NOW.test(reason.message)) return reason;
  return new BackendUnavailableError(`${origin.tier}: Redis refused ${origin.operation} for now: ${reason.message}`, {
    ...origin,
    cause: reason,
    maybeExecuted: false,
  });
}

/** Whether `error` is a reply that says "not now". */
export const isTemporary = (error: unknown): boolean => error instanceof Error && NOT_NOW.test(error.message);

/**
 * Whether Redis answered, with an error. Told by the reply's form and not by its class: a client
 * handed in may come from another copy of node-redis, and bundlers rename classes.
 */
export const isReply = (error: unknown): boolean =>
  error instanceof Error && !("code" in error) && /^[A-Z][A-Z0-9_]+ /.test(error.message);

/**
 * What a connection attempt failed with, and whether trying again can help.
 *
 * @param place where Redis was looked for: no URL, which could hold credentials.
 */
export function connectFault(place: string, error: unknown): BackendUnavailableError {
  if (error instanceof BackendUnavailableError) return error;
  const cause = error instanceof Error ? error : new Error(String(error));
  const { advice, retryable } = cause instanceof ConfigurationError ? final("see the cause") : diagnose(cause);
  return new BackendUnavailableError(`Redis at ${place} cannot be used: ${cause.message}; ${advice}`, {
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
  [/^ (?:WRONGPASS|NOAUTH|ERR invalid password|ERR Client sent AUTH|ERR AUTH )/, final("check username and password")],
  [/^ NOPERM /, final("grant the user what docs/guide/redis.md lists")],
  [/^ (?:NOPROTO|ERR unknown command.*HELLO)/i, final("it speaks RESP2 only: say .protocol(2)")],
  [/^ (?:ERR DB index|ERR invalid DB|ERR SELECT )/, final("check the database number in the URL")],
  [/^ DENIED /, final("the server admits local clients only: set a password or bind address there")],
  [
    /Unknown RESP type/,
    final("what answers there is no Redis: check host and port, and use rediss: where the server speaks TLS"),
  ],
  [
    /CERT|SELF_SIGNED|UNABLE_TO_|ALTNAME/,
    final("the certificates do not fit: check tls.ca, tls.cert, tls.key and tls.servername; they are always verified"),
  ],
  [
    /^(?:ERR_SSL|EPROTO|ERR_TLS|ERR_OSSL)/,
    final(
      "the TLS handshake failed: check that the server speaks TLS on this port, and that tls.cert and tls.key are right",
    ),
  ],
  [/^ ERR This instance has cluster support disabled/, final("it is no cluster: say single(url)")],
  [
    /^ ERR unknown command.*SENTINEL/i,
    final("it is no sentinel: give the addresses of sentinels, port 26379 by default, or say single(url)"),
  ],
  [/no sentinel knows/, final("check primaryName")],
  [/it is a replica/, { advice: "the sentinels have not agreed yet", retryable: true }],
  [
    /ECONNRESET|Socket closed unexpectedly/,
    {
      advice: "it hung up before it answered: check host and port, and use rediss: where the server speaks TLS",
      retryable: true,
    },
  ],
  [
    /no answer within/,
    {
      advice:
        "check that it is Redis that listens there, with TLS or without as the URL says, and that nothing in between drops packets; see connectTimeout",
      retryable: true,
    },
  ],
  [/the password function failed/, { advice: "see the cause", retryable: true }],
];

/** Whether the server does not know any more, or not yet, who asks: the connection is of no use. */
export const isLoggedOut = (error: unknown): boolean => isReply(error) && (error as Error).message.startsWith("NOAUTH");

/** Whether the server will answer the same each time: it does not let this user ask, or does not know the question. */
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
