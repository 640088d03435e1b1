import { BackendUnavailableError, CacheError } from "@hotset/core";
import { StandstillError } from "./standstill.ts";

/** The part of a `Pool` of `pg` that is used. */
export interface PostgresPool {
  readonly options?: { readonly max?: number | undefined } | undefined;
  connect(): Promise<PostgresClient>;
  end(): Promise<void>;
}

/** The part of a `PoolClient` of `pg` that is used. */
export interface PostgresClient {
  query(query: PostgresQuery): Promise<{ readonly rows: readonly unknown[] }>;
  /** @param destroy closes the connection. */
  release(destroy?: boolean): void;
  /** `T` or `E` in a transaction. From `pg` 8.21 on. */
  getTransactionStatus?: (() => string | null) | undefined;
  on(event: "error" | "end" | "notification", listener: (given: PostgresNotice) => void): unknown;
  off(event: "error" | "end" | "notification", listener: (given: PostgresNotice) => void): unknown;
}

/** Passed to listeners: a notification, or an error. */
export interface PostgresNotice {
  readonly channel?: string | undefined;
  readonly payload?: string | undefined;
}

/** A statement as `pg` takes it. */
export interface PostgresQuery {
  readonly name?: string | undefined;
  readonly text: string;
  readonly values?: unknown[] | undefined;
  readonly rowMode?: "array" | undefined;
  readonly types?: { getTypeParser(oid: number): (text: string) => unknown } | undefined;
}

/** The process of the server that the connection was given; a pooler between them gives another number. */
export function processOf(client: PostgresClient): number | undefined {
  const { processID } = client as { readonly processID?: unknown };
  return typeof processID === "number" && processID !== 0 ? processID : undefined;
}

/** Whether the session is in a transaction that was begun before, as far as `pg` knows. */
export const isInTransaction = (client: PostgresClient): boolean =>
  ["T", "E"].includes(client.getTransactionStatus?.() ?? "I");

/** The SQLSTATE of a reply; `undefined` if there was no reply. */
export function stateOf(error: unknown): string | undefined {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/**
 * A reply with an SQLSTATE proves that the server works, except where it says that it does not: connections (08), no
 * connection left (53300), a statement that was cancelled or a server that ends (57), a server in recovery, which has
 * no unlogged tables (0A000).
 */
const UNAVAILABLE = /^(08|57|53300|0A000|28|3D)/;
/** Refused credentials and a missing database: trying again does not help. */
const REFUSED = /^(28|3D)/;
/**
 * The session is not as it was left, and nothing was executed: a transaction that a program has begun, or its settings
 * (25), prepared statements that it has dropped (26000) or that a pooler brings (42P05), its role (42501), its encoding
 * (22P05, 22021), a bound on locks (55P03). Or the connection leads to a server that became a standby (25006), and the
 * next one may lead to its successor.
 */
const OF_SESSION = /^(25|26000|42P05|42501|22P05|22021|55P03)/;

/** Whether another session may answer the same call. */
export const isOfSession = (error: unknown): boolean => OF_SESSION.test(stateOf(error) ?? "");

/** Whether a connection that gave this error is used again. */
export function isUsable(error: unknown): boolean {
  const state = stateOf(error);
  return state !== undefined && !UNAVAILABLE.test(state) && !OF_SESSION.test(state);
}

/** The error for the cache. Its message has neither values nor the password. */
export function faultOf(label: string, operation: string, cause: unknown): Error {
  if (cause instanceof CacheError || cause instanceof StandstillError) return cause;
  const state = stateOf(cause);
  if (state !== undefined && !UNAVAILABLE.test(state)) return cause as Error;
  const retryable = state === undefined || !REFUSED.test(state);
  const advice = retryable ? "that PostgreSQL can be reached" : "the name of the database, the user and its password";
  return new BackendUnavailableError(`${label}: ${operation} failed; check ${advice}`, {
    tier: label,
    operation,
    cause,
    retryable,
  });
}
