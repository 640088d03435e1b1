import type { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { systemClock } from "@hotset/core";
import { within } from "@hotset/core/internal";
import pg, { type Client, type ClientConfig } from "pg";

/** The part of a `Pool` of `pg` that is used: two of its connections at most. */
export interface FollowPool {
  /** The connection of the log is made with the same ones. */
  readonly options: object;
  query(text: string, values?: unknown[]): Promise<{ readonly rows: readonly unknown[] }>;
}

/** The connection of a `Client` in replication mode, which the types of `pg` have in part. */
export interface LogConnection extends EventEmitter<{ copyData: [{ readonly chunk: Buffer }]; replicationStart: [] }> {
  readonly stream: Socket;
  sendCopyFromChunk(chunk: Buffer): void;
}

/** A row of a statement of ours. */
export type Fields = Readonly<Record<string, unknown>>;

export async function ask<T = Fields>(
  pool: Pick<FollowPool, "query">,
  text: string,
  values?: unknown[],
): Promise<readonly T[]> {
  return (await pool.query(text, values)).rows as readonly T[];
}

/** @throws {Error} if PostgreSQL needs longer. */
export const bounded = <T>(ms: number, asked: Promise<T>): Promise<T> =>
  within(systemClock, ms, asked, () => {
    throw new Error(`PostgreSQL did not answer within ${ms} ms`);
  });

/** For the log: no timeout of the pool must end it. */
export function logClient({ options: given }: FollowPool, silenceMs: number): Client {
  const { password, ssl, options } = given as ClientConfig;
  return new pg.Client({
    connectionTimeoutMillis: silenceMs,
    ...given,
    // A pool hides these from being copied.
    ...(password === undefined ? undefined : { password }),
    ...(ssl === undefined ? undefined : { ssl }),
    options: `${options ?? ""} -c wal_sender_timeout=${silenceMs} -c statement_timeout=0 -c idle_session_timeout=0`,
    query_timeout: 0,
    statement_timeout: 0,
    keepAlive: true,
    keepAliveInitialDelayMillis: silenceMs,
    application_name: "hotset follow",
    replication: "database",
  } as ClientConfig);
}

/** The SQLSTATE of a reply; `undefined` if there was no reply. */
export function stateOf(error: unknown): string | undefined {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}
