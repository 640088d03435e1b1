import type { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import type { Client, ClientConfig } from "pg";

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

/** Connects for the log: no timeout of the pool must end it. */
export async function connect(pool: FollowPool, silenceMs: number): Promise<Client> {
  const { default: pg } = await import("pg");
  const { password, ssl, options } = pool.options as ClientConfig;
  const client = new pg.Client({
    connectionTimeoutMillis: silenceMs,
    ...pool.options,
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
  // It rejects the statement in progress.
  client.on("error", () => undefined);
  try {
    await client.connect();
  } catch (error) {
    await client.end().catch(() => undefined);
    throw error;
  }
  return client;
}

/** The SQLSTATE of a reply; `undefined` if there was no reply. */
export function stateOf(error: unknown): string | undefined {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}
