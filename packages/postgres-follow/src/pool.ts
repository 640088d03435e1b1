import type { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { systemClock } from "@hotset/core";
import { within } from "@hotset/core/internal";
import pg, { type Client, type ClientConfig } from "pg";

/** The part of a `Pool` of `pg` that is used: how to connect. None of its connections is taken. */
export interface FollowPool {
  /** The connections of a follower are made with the same ones. */
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

/** Anything that answers statements: a client, or {@link Questions}. */
export interface Asked {
  query(text: string, values?: unknown[]): Promise<{ readonly rows: readonly unknown[] }>;
}

export async function ask<T = Fields>(asked: Asked, text: string, values?: unknown[]): Promise<readonly T[]> {
  return (await asked.query(text, values)).rows as readonly T[];
}

/** @throws {Error} if PostgreSQL needs longer. */
export const bounded = <T>(ms: number, asked: Promise<T>): Promise<T> =>
  within(systemClock, ms, asked, () => {
    throw new Error(`PostgreSQL did not answer within ${ms} ms`);
  });

/** The parsers of columns that the pool of the program has. */
export const typesOf = ({ options }: FollowPool): NonNullable<ClientConfig["types"]> =>
  (options as ClientConfig).types ?? pg.types;

/** Settings of a connection that are ours, in a URL and in the options of a pool. */
const OURS = [
  "options",
  "application_name",
  "fallback_application_name",
  "replication",
  "query_timeout",
  "statement_timeout",
  "lock_timeout",
  "idle_in_transaction_session_timeout",
  "connect_timeout",
];

/**
 * A client that connects as the pool does. No timeout of the pool ends it, and none of its settings, in a URL or not,
 * replaces one of `settings`: the last `-c` counts.
 */
function clientOf(
  { options: given }: FollowPool,
  settings: Readonly<Record<string, number>>,
  own: ClientConfig,
): Client {
  const { password, ssl, options, connectionString } = given as ClientConfig;
  const [place, query] = (connectionString ?? "").split(/\?(.*)/s) as [string, string | undefined];
  const inUrl = new URLSearchParams(query);
  const users = inUrl.get("options") ?? options ?? process.env["PGOPTIONS"] ?? "";
  for (const name of OURS) inUrl.delete(name);
  const url = inUrl.size > 0 ? `${place}?${inUrl.toString()}` : place;
  const ours = Object.entries({ statement_timeout: 0, ...settings }).map(([name, ms]) => `-c ${name}=${ms}`);
  const config: ClientConfig = {
    ...given,
    ...(connectionString === undefined ? undefined : { connectionString: url }),
    // A pool hides these from being copied.
    ...(password === undefined ? undefined : { password }),
    ...(ssl === undefined ? undefined : { ssl }),
    // Answers to our questions are read with the parsers of `pg`.
    types: undefined,
    query_timeout: 0,
    statement_timeout: 0,
    lock_timeout: 0,
    idle_in_transaction_session_timeout: 0,
    keepAlive: true,
    options: [users, ...ours].join(" ").trim(),
    ...own,
  };
  return new pg.Client(config);
}

/** For an answer, and for a process that is busy, where `silence` is shorter. */
export const patienceMs = (silenceMs: number): number => Math.max(silenceMs, 2_000);

/** For a connection, which takes several answers and a process of the server. */
export const connectingMs = (silenceMs: number): number => Math.max(silenceMs, 4_000);

/** For the log. The server ends it `silenceMs` after its last report, and somewhat later where it follows nothing. */
export const logClient = (pool: FollowPool, silenceMs: number): Client =>
  clientOf(pool, { wal_sender_timeout: silenceMs, idle_session_timeout: 4 * silenceMs }, {
    connectionTimeoutMillis: connectingMs(silenceMs),
    keepAliveInitialDelayMillis: silenceMs,
    application_name: "hotset follow",
    replication: "database",
  } as ClientConfig);

/** For questions. A process that is frozen loses it, and with it the lock that it may hold. */
export const questionClient = (pool: FollowPool, silenceMs: number): Client =>
  clientOf(
    pool,
    { idle_session_timeout: patienceMs(silenceMs), lock_timeout: 1_000 },
    {
      connectionTimeoutMillis: connectingMs(silenceMs),
      keepAliveInitialDelayMillis: silenceMs,
      application_name: "hotset follow questions",
    },
  );

/** The SQLSTATE of a reply; `undefined` if there was no reply. */
export function stateOf(error: unknown): string | undefined {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}
